"""Every benchmark that could have looked at the reference panel's test years is declared, or says why it has not."""

import re

from forecast_assets.resources.settings import compose_settings
from tools.results import ROOT

READS_A_PANEL = re.compile(r"PANEL_40|FULL_PANEL|shared/data|\"--(store|data|data-dir)\"")

NOT_EVALUATED = {
    "boosted": "scores inner years",
    "books": "reads the panel up to 2018; of a store, whether books that have to be empty are, and whether years join",
    "cases": "what files are read as, and how fast",
    "early_warning": "scores inner years",
    "desk": "times of commands, sizes",
    "etth1": "another data set",
    "evaluation": "trades realised returns, true and shuffled: no forecast of a model",
    "announcements": "reads the panel up to 2018; time of the stage on all of it",
    "factor": "reads the panel up to 2018",
    "fit_speed": "time of fits",
    "fold": "memory and time",
    "graph": "time and memory of the correlations",
    "inner": "scores inner years",
    "mean_models": "reads the panel up to 2018",
    "nightly": "equality of a night's forecasts and the walk-forward's, and time",
    "panel": "time and memory",
    "panel_features": "equality of features with another library's, and time",
    "record_statistics": "draws days of 2014 to 2018",
    "regression": "scores inner years",
    "ray_cluster": "equality of fits on two nodes, and time",
    "search_proofs": "compares what is chosen on inner years; test years are only distorted",
    "serve": "the service's answers and times",
    "survivorship_again": "how far two simulations of the same plantings are apart; of the demo's synthetic panel",
    "sweep": "scores inner years",
}
"""Benchmarks that read a panel or a store and evaluate no test year of the reference panel, and why."""


def panel_readers() -> set[str]:
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py")}
    return {name for name, source in sources.items() if READS_A_PANEL.search(source)}


def declared() -> set[str]:
    names = [trial.name for trial in compose_settings("full", ["verdict=reference"]).verdict.declared_trials]
    return {name.partition(":")[0].removeprefix("benchmarks.") for name in names if name.startswith("benchmarks.")}


def test_every_benchmark_that_reads_a_panel_is_declared_or_evaluates_no_test_year() -> None:
    undecided = panel_readers() - declared() - set(NOT_EVALUATED)
    assert undecided == set(), "declare them in conf/verdict/reference.yaml, or say here why they evaluate no test year"


def test_no_benchmark_is_both_declared_and_excused_and_none_is_gone() -> None:
    assert declared() & set(NOT_EVALUATED) == set()
    assert {name for name in declared() if not (ROOT / "benchmarks" / f"{name}.py").exists()} == set()
    assert set(NOT_EVALUATED) <= panel_readers()
