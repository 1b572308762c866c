"""What is removed and what stays when a store is pruned."""

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from forecast_assets.cli.app import cli
from forecast_assets.cli.prune import prunable, prune
from forecast_assets.resources.trial_log import collect_trials
from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


def publish(
    store: Store, asset: str, k: int, *, parents: dict[str, str] | None = None, partition: str | None = None
) -> Version:
    """The k-th version of an asset; a network's has one fit."""
    staging = store.stage(asset, partition, input_key=sha256_text(f"{asset} {k}"))
    pl.DataFrame({"k": [k], "of": [asset]}).write_parquet(staging.path / "table.parquet")
    (staging.path / "training.json").write_text(f'{{"fits": [{{"seed": 0, "validation_pinball": 0.{k + 1}}}]}}')
    return store.commit(
        staging,
        {"parents": parents or {}, "config": {}, "code_version": "test", "seeds": [0] if asset == "b1_tft" else []},
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def ids(store: Store, asset: str, partition: str | None = None) -> list[str]:
    return [version.id for version in store.versions(asset, partition)]


def test_the_current_and_the_latest_stay(store: Store, tmp_path: Path) -> None:
    made = [publish(store, "b1_tft", k, partition="2019") for k in range(5)]
    store.promote(made[0])
    gone = prune(store, str(tmp_path), keep=2)
    assert [version.id for version in gone] == [made[1].id, made[2].id]
    assert ids(store, "b1_tft", "2019") == [made[0].id, made[3].id, made[4].id]
    assert store.current("b1_tft", "2019").id == made[0].id
    assert store.verify() == []


def test_the_trials_of_removed_versions_stay_counted(store: Store, tmp_path: Path) -> None:
    for k in range(5):
        publish(store, "b1_tft", k, partition="2019")
    assert len(prune(store, str(tmp_path), keep=1)) == 4
    trials = collect_trials(store, str(tmp_path)).trials
    assert sorted(trial.score or 0.0 for trial in trials) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_whatever_has_served_stays_and_the_challenger_whose_weights_it_is(store: Store) -> None:
    challengers = [publish(store, "challenger", k, partition="2019-12-31") for k in range(3)]
    seen = {"challenger/2019-12-31": challengers[0].data_version}
    bundles = [publish(store, "serving_model", k, parents=seen) for k in range(3)]
    assert [version.id for version in prunable(store, keep=1)] == [challengers[1].id]
    assert ids(store, "serving_model") == [bundle.id for bundle in bundles]


def test_a_dry_run_and_a_second_run_remove_nothing(store: Store, tmp_path: Path) -> None:
    for k in range(3):
        publish(store, "raw_panel", k)
    dry = CliRunner().invoke(cli, ["prune", "--keep", "1", "--dry-run", "--data-dir", str(tmp_path)])
    assert (dry.exit_code, len(ids(store, "raw_panel"))) == (0, 3)
    assert "raw_panel: 2 versions" in dry.output
    assert "2 versions would be removed" in dry.output
    done = CliRunner().invoke(cli, ["prune", "--keep", "1", "--data-dir", str(tmp_path)])
    assert (done.exit_code, len(ids(store, "raw_panel"))) == (0, 1)
    again = CliRunner().invoke(cli, ["prune", "--keep", "1", "--data-dir", str(tmp_path)])
    assert "0 versions removed" in again.output


def test_the_current_version_can_not_be_removed(store: Store) -> None:
    with pytest.raises(ValueError, match="is the current one"):
        store.remove(publish(store, "raw_panel", 0))


def test_an_object_store_is_pruned_alike(tmp_path: Path) -> None:
    remote = Store("memory://pruned", cache=tmp_path / "cache")
    made = [publish(remote, "raw_panel", k) for k in range(3)]
    assert len(prune(remote, "memory://pruned-root", keep=1)) == 2
    assert ids(remote, "raw_panel") == [made[2].id]
    assert remote.verify() == []
