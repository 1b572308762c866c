import numpy as np
import pytest

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.core.evaluation.trials import Trial, TrialLog, count_trials
from forecast_assets.core.specs import DeclaredTrial


def trial(key: str, kind: str = "fit", **changes: object) -> Trial:
    record = {"model": "b0_mlp", "spec": "s", "seed": 0, "fold": "2019", "score": 0.1, "pruned": False, "when": "w"}
    return Trial.from_record({"id": key, "kind": kind, **record, **changes})


def test_a_trial_is_counted_once_however_often_it_was_computed() -> None:
    log = TrialLog.of([trial("b"), trial("a", "look"), trial("b", when="later"), trial("c", pruned=True)])
    assert [t.id for t in log.trials] == ["a", "b", "c"]
    assert log.trials[1].when == "w"
    assert (log.count("fit"), log.count("look")) == (2, 1)


def test_a_trial_survives_its_record() -> None:
    assert Trial.from_record(trial("a").as_record()) == trial("a")
    with pytest.raises(CorruptArtefact, match="unknown or missing fields"):
        Trial.from_record({"id": "a"})


def test_declared_trials_count_and_widen_the_spread() -> None:
    declared = [DeclaredTrial(name="x", sharpe=1.0), DeclaredTrial(name="unknown result")]
    log = TrialLog.of([trial("a"), trial("b", "look")])
    count = count_trials(log, declared, candidate_sharpes=[0.0, float("nan"), 0.5], sessions_per_year=250.0)
    assert (count.fits, count.looks, count.declared, count.total, count.sharpes) == (1, 1, 2, 4, 3)
    assert count.sharpe_variance == pytest.approx(np.var([0.0, 0.5, 1.0], ddof=1) / 250)


def test_without_two_known_sharpes_there_is_no_spread() -> None:
    count = count_trials(TrialLog.of([]), [], candidate_sharpes=[0.3], sessions_per_year=250.0)
    assert (count.sharpe_variance, count.total) == (0.0, 0)
