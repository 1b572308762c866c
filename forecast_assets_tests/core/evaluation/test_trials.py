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


def test_every_kind_counts_and_a_declared_entry_for_as_many_as_it_stands_for() -> None:
    declared = [DeclaredTrial(name="x", sharpe=1.0), DeclaredTrial(name="five models, compared at once", trials=5)]
    count = count_trials(TrialLog.of([trial("a"), trial("b", "look"), trial("c", pruned=True)]), declared)
    assert (count.fits, count.looks, count.declared, count.total) == (2, 1, 6, 9)
