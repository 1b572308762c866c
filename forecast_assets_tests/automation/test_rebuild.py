"""A wiped Dagster home, filled again from a store."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from forecast_assets.assets.framework.partitions import days, years
from forecast_assets.automation.rebuild import is_forgotten, rebuild
from forecast_assets.cli.app import cli
from forecast_assets.definitions import defs
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import DAYS, publish, publish_night, small_store

NIGHTS = [str(day) for day in DAYS[-40:]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a panel of two years, a fold, a model and 40 nights."""
    made = tmp_path_factory.mktemp("data")
    small_store(store := Store(made / "store"))
    partitions = {"years": ["2017", "2018"], "sessions": [str(day) for day in DAYS], "days": [str(DAYS[-1])]}
    publish(store, "raw_panel", None, {"partitions.json": partitions})
    for day in DAYS[-40:-1]:
        publish_night(store, ("T00",), day, mean=0.01)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as made:
        yield made


def where(root: Path) -> StoreResource:
    return StoreResource(data_dir=str(root))


def materialised(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return instance.event_log_storage.get_materialized_partitions(dg.AssetKey(asset))


def test_every_current_version_is_reported_all_nights_of_them(root: Path, instance: dg.DagsterInstance) -> None:
    store = Store(root / "store")
    assert is_forgotten(instance, where(root))
    held = {(asset, slot) for asset in store.assets() for slot in store.slots(asset)}
    assert rebuild(instance, where(root)) == len(held)
    assert materialised(instance, "nightly_forecast") == set(NIGHTS)
    assert materialised(instance, "ensemble") == {"2017"}
    for asset, slot in held:
        event = instance.get_latest_data_version_record(dg.AssetKey(asset), partition_key=slot)
        assert event is not None
        assert event.asset_materialization is not None
        tags = event.asset_materialization.tags or {}
        assert tags["dagster/data_version"] == store.current(asset, slot).data_version
    assert set(instance.get_dynamic_partitions(days.name or "")) == set(NIGHTS)
    assert set(instance.get_dynamic_partitions(years.name or "")) == {"2017", "2018"}


def test_what_dagster_knows_is_not_reported_twice(root: Path, instance: dg.DagsterInstance) -> None:
    rebuild(instance, where(root))
    assert not is_forgotten(instance, where(root))
    assert rebuild(instance, where(root)) == 0


def test_a_damaged_version_is_left_out_and_the_rest_is_reported(
    root: Path, tmp_path: Path, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    small_store(store := Store(tmp_path / "store"))
    publish(store, "raw_panel", None, {"partitions.json": {"years": ["2017"], "days": [str(DAYS[-1])]}})
    table = store.current("nightly_forecast", str(DAYS[-1])).path("table.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    rebuild(instance, where(tmp_path))
    assert materialised(instance, "nightly_forecast") == set()
    assert materialised(instance, "ensemble") == {"2017"}
    assert any("table.parquet" in record.getMessage() for record in caplog.records)


def test_the_command_fills_a_home_on_disk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for expected in (5 + len(NIGHTS), 0):
        done = CliRunner().invoke(cli, ["rebuild-home", "--data-dir", str(root)])
        assert done.exit_code == 0, done.output
        assert done.output.splitlines()[-1] == f"{expected} materialisations reported to Dagster"
    assert (tmp_path / "home" / "dagster.yaml").exists()
    assert defs.resolve_job_def("nightly")  # the stages are those of the definitions
