"""The trial log: which fits and evaluations count, and that they stay counted."""

import datetime as dt
import json
import shutil
from pathlib import Path

from forecast_assets.core.evaluation.trials import Trial
from forecast_assets.resources.trial_log import collect_trials, declare_claims, trial_journal
from forecast_assets.store.artefact_files import CHALLENGER_VERDICT, TRAINING
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import KEY_A, KEY_B, KEY_C, publish


def train(store: Store, key: str, *, seeds: tuple[int, ...] = (0, 1), partition: str = "2019") -> None:
    fits = [{"seed": seed, "validation_pinball": seed / 10} for seed in seeds]
    files = {TRAINING: json.dumps({"fits": fits}), "weights": "w"}
    publish(store, files, asset="b0_mlp", partition=partition, key=key, seeds=list(seeds))


def test_every_member_that_a_night_trains_on_is_counted(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    members = [{"fit": f"{model}/0", "seed": 0, "validation_pinball": 0.2} for model in ("b1_tft", "b4_patchtst")]
    verdict = {"promoted": False, "members": members}
    publish(store, {CHALLENGER_VERDICT: json.dumps(verdict)}, asset="challenger", partition="2025-01-02", seeds=[0, 0])
    no_contest = {CHALLENGER_VERDICT: json.dumps({"promoted": False})}
    publish(store, no_contest, asset="challenger", partition="2025-01-03")
    log = collect_trials(store, str(tmp_path))
    assert [trial.model for trial in log.trials] == ["challenger/b1_tft", "challenger/b4_patchtst"]
    assert log.count("fit") == 2


def test_every_fit_ever_published_is_counted_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    train(store, KEY_A)
    train(store, KEY_A)  # computed again: the same trial
    train(store, KEY_B)  # other settings, given up or not
    train(store, KEY_A, partition="2020")
    publish(store, {"table": "t"}, asset="backtest", partition="2019", key=KEY_C)
    publish(store, {TRAINING: json.dumps({"unconditional_mean": []})}, asset="baselines", partition="2019")
    log = collect_trials(store, str(tmp_path))
    assert (log.count("fit"), log.count("look")) == (6, 1)
    assert sorted(trial.score for trial in log.trials if trial.score is not None) == [0.0, 0.0, 0.0, 0.1, 0.1, 0.1]
    assert collect_trials(store, str(tmp_path)) == log


def test_a_trial_stays_counted_when_its_version_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    train(store, KEY_A)
    before = collect_trials(store, str(tmp_path))
    shutil.rmtree(tmp_path / "store")
    train(store, KEY_B)
    after = collect_trials(store, str(tmp_path))
    assert set(before.trials) < set(after.trials)
    assert after.count("fit") == 4


def test_a_fit_with_a_damaged_file_counts_without_a_score(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    train(store, KEY_A)
    next((tmp_path / "store").rglob(TRAINING)).write_text("?")
    scores = [trial.score for trial in collect_trials(store, str(tmp_path)).trials]
    assert scores == [None, None]


def test_a_search_adds_its_pruned_trials(tmp_path: Path) -> None:
    pruned = Trial("p", "fit", "b1_tft", "s", 3, "2019", None, True, "2026-01-01T00:00:00+00:00")
    trial_journal(str(tmp_path)).append([pruned.as_record()])
    assert collect_trials(Store(tmp_path / "store"), str(tmp_path)).trials == (pruned,)


def test_a_claim_keeps_its_time_and_says_whether_it_came_before_the_first_look(tmp_path: Path) -> None:
    store, root, early = Store(tmp_path / "store"), str(tmp_path), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    declare_claims(root, ["below HAR-X"], now=early)
    publish(store, {"table": "t"}, asset="backtest", partition="2019", key=KEY_C)
    declare_claims(root, ["below HAR-X", "a Sharpe ratio of two"], now=early + dt.timedelta(days=100_000))
    log = collect_trials(store, root)
    assert [(claim["text"], claim["before"]) for claim in log.claims()] == [
        ("below HAR-X", True),
        ("a Sharpe ratio of two", False),
    ]
    assert (log.count("fit"), log.count("look")) == (0, 1)
