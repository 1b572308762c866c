"""A data root of its own for replays."""

from pathlib import Path

import pytest

from forecast_assets.core.errors import BadSetting
from forecast_assets.store.fork import fork
from forecast_assets.store.journal import Journal
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, publish

DAYS = ("2025-07-01", "2025-07-02", "2025-07-03")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A live store: a panel, a year, two champions and three nights."""
    store = Store(tmp_path / "live" / "store")
    publish(store, {"f": "panel"}, asset="raw_panel")
    publish(store, {"f": "fold"}, asset="ensemble", partition="2025")
    for key in (KEY_A, KEY_B):
        publish(store, {"f": key}, asset="serving_model", key=key)
    for day in DAYS:
        publish(store, {"f": day}, asset="nightly_forecast", partition=day)
    Journal(str(tmp_path / "live"), "ledger/trials").append([{"id": "1"}])
    return store


def test_a_fork_has_all_but_the_panel_and_the_nights_to_be_replayed(store: Store, tmp_path: Path) -> None:
    assert fork(str(tmp_path / "live"), tmp_path / "own", before=DAYS[1]) == 4
    own = Store(tmp_path / "own" / "store")
    assert own.assets() == ["ensemble", "nightly_forecast", "serving_model"]
    assert own.partitions("nightly_forecast") == [DAYS[0]]
    assert own.current("serving_model").id == store.current("serving_model").id
    assert own.verify() == []
    assert Journal(str(tmp_path / "own"), "ledger/trials").read() == [{"id": "1"}]


def test_what_is_made_in_a_fork_stays_there(store: Store, tmp_path: Path) -> None:
    fork(str(tmp_path / "live"), tmp_path / "own", before=DAYS[1])
    own = Store(tmp_path / "own" / "store")
    publish(own, {"f": "older"}, asset="ensemble", partition="2025", key=KEY_B)
    own.promote(own.versions("serving_model")[0])
    Journal(str(tmp_path / "own"), "ledger/trials").append([{"id": "2"}])
    assert store.current("ensemble", "2025").path("f").read_text() == "fold"
    assert store.current("serving_model").input_key == KEY_B
    assert len(Journal(str(tmp_path / "live"), "ledger/trials").read()) == 1
    assert store.verify() == []


def test_a_fork_goes_to_a_new_folder_from_a_local_one(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="live is not empty; name a new folder"):
        fork(str(tmp_path / "live"), tmp_path / "live", before=DAYS[1])
    for root in ("s3://bucket/data", str(tmp_path / "nowhere")):
        with pytest.raises(BadSetting, match="is no local folder with a store"):
            fork(root, tmp_path / "own", before=DAYS[1])
