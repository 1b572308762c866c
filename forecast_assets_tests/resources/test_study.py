"""A study shared by several processes, any of which may be killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.study import Claim, Study

SPACE: dict[str, list[Any]] = {"model": ["a", "b"], "hidden": [1, 2, 3], "rate": [0.1, 0.2]}


def study(folder: Path, *, trials: int = 6, storage: str = "", seed: int = 0, warm_up_steps: int = 0) -> Study:
    return Study(
        "s", folder=folder, storage=storage, space=SPACE, trials=trials, seed=seed, warm_up_steps=warm_up_steps
    )


def finish(of: Study, claim: Claim, value: float = 1.0) -> None:
    of.optuna.tell(claim.trial, value, state=TrialState.COMPLETE)


def value(params: dict[str, Any]) -> float:
    return float(params["hidden"] + params["rate"] + (params["model"] == "b"))


def run_all(of: Study) -> list[dict[str, Any]]:
    ran = []
    while (claim := of.claim()) is not None:
        ran.append(claim.params)
        finish(of, claim, value(claim.params))
    return ran


def claim_and_hang(folder: Path, claimed: Any) -> None:
    of = study(folder)
    claim = of.claim()
    assert claim is not None
    claimed.put(claim.params)
    time.sleep(600)


@pytest.mark.parametrize("storage", ["", "journal"])
def test_as_many_distinct_settings_run_as_asked_for(tmp_path: Path, storage: str) -> None:
    of = study(tmp_path, storage=storage and str(tmp_path / "journal.log"))
    ran = run_all(of)
    assert len(ran) == 6
    assert len({tuple(params.values()) for params in ran}) == 6


def test_no_more_settings_run_than_there_are(tmp_path: Path) -> None:
    assert len(run_all(study(tmp_path, trials=100))) == 12


def test_a_resumed_search_draws_the_same_settings(tmp_path: Path) -> None:
    whole = run_all(study(tmp_path / "whole"))
    begun = study(tmp_path / "begun")
    first = []
    for _ in range(3):
        claim = begun.claim()
        assert claim is not None
        first.append(claim.params)
        finish(begun, claim, value(claim.params))
    assert first + run_all(study(tmp_path / "begun")) == whole
    assert run_all(study(tmp_path / "other", seed=1)) != whole


def test_the_trial_of_a_killed_process_runs_again_and_none_is_lost_or_doubled(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    claimed = context.Queue()
    process = context.Process(target=claim_and_hang, args=(tmp_path, claimed))
    process.start()
    params = claimed.get(timeout=120)
    of = study(tmp_path)
    other = of.claim()
    assert other is not None
    assert other.params != params  # it is alive, and what it is at is its own
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    again = of.claim()
    assert again is not None
    assert again.params == params
    assert again.folder.is_dir()
    for claim in (other, again):
        finish(of, claim)
    run_all(of)
    assert len(of.finished()) == 6
    assert len({tuple(trial.params.values()) for trial in of.finished()}) == 6
    assert of.running() == 0


def test_a_killed_search_resumes_with_the_same_settings(tmp_path: Path) -> None:
    whole = run_all(study(tmp_path / "whole"))
    claimed = study(tmp_path / "killed").claim()
    assert claimed is not None
    del claimed  # with it goes the lock, as with its process
    assert run_all(study(tmp_path / "killed")) == whole


def test_a_trial_that_breaks_a_constraint_is_not_feasible(tmp_path: Path) -> None:
    of = study(tmp_path, trials=2)
    for broken, result in ((1.0, 0.1), (-1.0, 0.9)):
        claim = of.claim()
        assert claim is not None
        claim.trial.set_constraint("coverage", broken)
        finish(of, claim, result)
    assert [trial.value for trial in of.feasible()] == [0.9]


def test_nothing_is_pruned_before_the_warm_up_is_over(tmp_path: Path) -> None:
    of = study(tmp_path, trials=12, warm_up_steps=2)
    for _ in range(6):
        claim = of.claim()
        assert claim is not None
        for step in range(4):
            claim.trial.report(1.0, step)
        finish(of, claim)
    claim = of.claim()
    assert claim is not None
    pruned = []
    for step in range(4):
        claim.trial.report(2.0, step)
        pruned.append(claim.trial.should_prune())
    assert pruned == [False, False, True, True]


def test_a_storage_that_cannot_be_opened_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"sweep\.storage") as caught:
        study(tmp_path, storage="postgresql://user:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
