"""What was taken out of the nights, or altered and signed again, is found by what came after it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from forecast_assets.cli.app import cli
from forecast_assets.resources.trial_log import lost_trials, trial_journal
from forecast_assets.store.artefact_files import TRIALS
from forecast_assets.store.chain import broken_links
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.published import KEY_B, publish

NIGHTS = ["2025-07-01", "2025-07-02", "2025-07-03"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three nights, each made after those before it, with the positions of each."""
    store, before = Store(tmp_path / "store"), dict[str, str]()
    for day in NIGHTS:
        made = night(store, day, before)
        before[made.label] = made.data_version
        publish(store, {"f": day}, asset="target_positions", partition=day, parents=dict(before))
    return store


def night(store: Store, day: str, before: dict[str, str], *, quantiles: str = "1 2 3", key: str = KEY_B) -> Version:
    files = {"table": f"{day} {quantiles}"}
    return publish(store, files, asset="nightly_forecast", partition=day, key=key, parents=dict(before))


def test_nights_as_they_were_committed_hold_together(store: Store) -> None:
    assert broken_links(store) == []


def test_a_night_that_was_deleted_is_missed_by_those_after_it(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "store/nightly_forecast" / NIGHTS[0])
    assert broken_links(store) == [
        f"nightly_forecast/{NIGHTS[0]} is gone: nightly_forecast/{NIGHTS[1]} was made from it"
    ]
    done = CliRunner().invoke(cli, ["verify", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert f"nightly_forecast/{NIGHTS[0]} is gone" in done.output


@pytest.mark.parametrize("day", NIGHTS)
def test_quantiles_that_were_moved_and_signed_again_are_found(store: Store, tmp_path: Path, day: str) -> None:
    parents = store.current("nightly_forecast", day).manifest.parents
    shutil.rmtree(tmp_path / "store/nightly_forecast" / day)
    night(store, day, parents, quantiles="2 3 4")
    assert store.verify() == []
    (found,) = broken_links(store)
    assert found.startswith(f"nightly_forecast/{day} is another one than it was")


def test_late_tickers_that_were_added_to_the_newest_night_break_nothing(store: Store) -> None:
    last = store.current("nightly_forecast", NIGHTS[-1])
    night(store, NIGHTS[-1], {**last.manifest.parents, last.label: last.data_version}, quantiles="1 2 3 4")
    assert broken_links(store) == []


def test_a_trial_log_that_was_emptied_lacks_what_the_report_counted(tmp_path: Path) -> None:
    store, trials = Store(tmp_path / "store"), [{"id": "a"}, {"id": "b"}]
    publish(store, {TRIALS: json.dumps({"trials": trials})}, asset="backtest_report")
    trial_journal(str(tmp_path)).append(trials)
    assert lost_trials(store, str(tmp_path)) == []
    (tmp_path / "ledger/trials.jsonl").unlink()
    trial_journal(str(tmp_path)).append(trials[:1])
    (said,) = lost_trials(store, str(tmp_path))
    assert said == "the trial log lacks 1 of the 2 trials that the report counted"
