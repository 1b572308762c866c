"""Whether the verdicts find skill and are not fooled by chance: power and size of the deflated Sharpe ratio, seeds compared.

    python -m benchmarks.selection                                            the deflated Sharpe ratio, a minute
    python -m benchmarks.selection --only seed_pairs_called --data-dir data   the fits of a finished store, a minute

``deflated_sharpe_power`` plants a true Sharpe ratio of 1.5 in 6.5 years of Normal daily returns, behind a trial log of 100
trials: the share of simulations in which the report's rule calls it above zero. Its ``size`` is that of the best of 100
strategies without skill, for which the rule promises 5 % at most.

``seed_pairs_called`` compares any two fits of a network with each other, over all years at once, by the rule of the reports:
the share of pairs called "beats" or "loses". Fits differ by their seeds alone, so none should be. They are compared
uncalibrated. Beside it, the share if a network's own fits say nothing of its noise, and the share if days alone are
resampled and any difference counts. ``--data-dir`` names the data root of a run with two fits or more a network.
"""

import argparse
import json
from argparse import Namespace
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.daily_losses import DAY
from forecast_assets.core.evaluation.loss_ratio import Pair
from forecast_assets.core.evaluation.overfitting import deflated_sharpe, deflated_sharpe_power
from forecast_assets.core.evaluation.training_noise import TrainingNoise, fit_losses
from forecast_assets.core.evaluation.trials import Kind, Trial, TrialLog, count_trials
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.report.evidence import CONFIDENCE, PLANTED_SHARPE
from forecast_assets.core.report.verdicts import pinball_verdict
from forecast_assets.core.specs import AblationSpec, DeclaredTrial
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import FITS
from forecast_assets.store.store import Store
from tools.results import record

SESSIONS_PER_YEAR, YEARS = 252.0, 6.5
FITS_LOGGED, EVALUATIONS_LOGGED, DECLARED = 75, 14, 11
"""100 trials, as a walk-forward of seven years makes them."""

SIMULATIONS, SIZE_SIMULATIONS = 20_000, 4_000
CALLED = ("beats", "loses")

Figures = dict[str, dict[str, Any]]


def measure_power(options: Namespace) -> Figures:
    """Simulate one strategy with skill, and the best of as many as were tried without."""
    sessions, deviation = round(YEARS * SESSIONS_PER_YEAR), 0.01
    trials = counted().total
    rng = np.random.default_rng(0)
    simulations = max(1, round(options.scale * SIMULATIONS))
    mean = PLANTED_SHARPE / SESSIONS_PER_YEAR**0.5 * deviation
    found = sum(
        deflated_sharpe(rng.normal(mean, deviation, sessions), trials=trials) >= CONFIDENCE for _ in range(simulations)
    )
    chances = max(1, round(options.scale * SIZE_SIMULATIONS))
    fooled = 0
    for _ in range(chances):
        returns = rng.normal(0.0, deviation, (trials, sessions))
        best = returns[(returns.mean(axis=1) / returns.std(axis=1)).argmax()]
        fooled += deflated_sharpe(best, trials=trials) >= CONFIDENCE
    theory = deflated_sharpe_power(
        true_sharpe=PLANTED_SHARPE / SESSIONS_PER_YEAR**0.5, sessions=sessions, trials=trials, level=CONFIDENCE
    )
    figure = {
        "value": found / simulations,
        "theory": round(theory, 4),
        "size": fooled / chances,
        "true_sharpe": PLANTED_SHARPE,
        "trials": trials,
        "sessions": sessions,
        "simulations": simulations,
        "size_simulations": chances,
    }
    return {"deflated_sharpe_power": figure}


def counted() -> Any:
    """Return the count of a trial log of 100 trials, by the function that counts a report's."""

    def trial(kind: Kind, number: int) -> Trial:
        return Trial(f"{kind}-{number}", kind, "m", "s", number, "2019", None, False, "2026-01-01T00:00:00Z")

    fits = [trial("fit", number) for number in range(FITS_LOGGED)]
    evaluations = [trial("look", number) for number in range(EVALUATIONS_LOGGED)]
    declared = [DeclaredTrial(name=f"strategy {number}") for number in range(DECLARED)]
    return count_trials(TrialLog.of([*fits, *evaluations]), declared)


def measure_seeds(options: Namespace) -> Figures:
    """Compare the seeds of each network in a finished store."""
    if options.data_dir is None:
        raise SystemExit("seed_pairs_called: name the data root of a finished run by --data-dir")
    store, spec = StoreResource(data_dir=str(options.data_dir)).store(), AblationSpec()
    networks = [name for name in CANDIDATES if store.partitions(name)]
    years = sorted(set.intersection(*(set(store.partitions(name)) for name in networks)))
    losses = pl.concat(losses_of(store, networks, year) for year in years)
    noise, none = TrainingNoise.of(losses), TrainingNoise.of(losses.clear())
    called: dict[str, str] = {}
    by_others: dict[str, str] = {}
    by_days: dict[str, str] = {}
    for name in networks:
        # Fits keep their entries as models of their own; what is left out is how far they lie from the network's mean.
        others = TrainingNoise.of(losses.filter(pl.col("model") != name))
        for first, second in combinations(seeds_of(losses, name, years=len(years)), 2):
            pair = both(losses, first, second)
            for source, smallest, outcomes in (
                (noise, spec.smallest_difference, called),
                (others, spec.smallest_difference, by_others),
                (none, 0.0, by_days),
            ):
                entry = pinball_verdict(pair, horizons=HORIZONS, noise=source, spec=spec, smallest=smallest)
                outcomes[f"{first} against {second}"] = f"{entry['verdict']}: {entry['sentence'].partition(': ')[2]}"
    if not called:
        raise SystemExit(f"{options.data_dir}: no network has two fits in each of {years}")
    figure = {
        "value": share(called),
        "called": {pair: text for pair, text in called.items() if text.startswith(CALLED)},
        "noise_of_the_other_networks": share(by_others),
        "days_alone_and_any_difference": share(by_days),
        "called_by_days_alone": {pair: text for pair, text in by_days.items() if text.startswith(CALLED)},
        "pairs": len(called),
        "verdicts": {
            word: sum(text.startswith(word) for text in called.values())
            for word in (*CALLED, "no evidence", "no difference that matters")
        },
        "noise_by_network_bp": {
            name: [round(1e4 * float(v), 1) for v in np.sqrt((own.values**2).mean(axis=0))]
            for name, own in sorted(noise.own.items())
        },
        "smallest_difference": spec.smallest_difference,
        "years": years,
        "tickers": store.current("raw_panel").manifest.facts["tickers"],
    }
    return {"seed_pairs_called": figure}


def losses_of(store: Store, networks: list[str], year: str) -> pl.DataFrame:
    """Return daily losses of the single fits of a year, each also as a model of its own."""
    tables = [pl.read_parquet(store.current(name, year).path(FITS)) for name in networks]
    fits = [fit for table in tables for fit in table["model"].unique().sort()]
    return fit_losses(tables, combined={fit: [fit] for fit in fits})


def seeds_of(losses: pl.DataFrame, network: str, *, years: int) -> list[str]:
    """Return the fits of a network that there are in every year."""
    own = losses.filter(pl.col("model") == network).group_by("fit").agg(pl.col("date").dt.year().n_unique())
    return own.filter(pl.col("date") == years)["fit"].sort().to_list()


def both(losses: pl.DataFrame, first: str, second: str) -> Pair:
    """Return two fits as a comparison of two models."""
    one, other = (losses.filter(pl.col("model") == fit).select(*DAY, "loss") for fit in (first, second))
    return Pair(first, second, one.join(other.rename({"loss": "reference"}), on=list(DAY), validate="1:1"))


def share(outcomes: dict[str, str]) -> float:
    return sum(text.startswith(CALLED) for text in outcomes.values()) / max(len(outcomes), 1)


MEASUREMENTS: dict[str, Callable[[Namespace], Figures]] = {
    "deflated_sharpe_power": measure_power,
    "seed_pairs_called": measure_seeds,
}


def main() -> None:
    """Measure the figures asked for, and merge them into ``benchmarks/results/selection.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="FIGURE", nargs="+", choices=MEASUREMENTS, default=["deflated_sharpe_power"])
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: a trial, which is not recorded")
    parser.add_argument("--data-dir", type=Path, help="data root of a finished run")
    options = parser.parse_args()
    for name in options.only:
        figures = MEASUREMENTS[name](options)
        print(json.dumps(figures, indent=1), flush=True)
        if options.scale == 1.0:
            given = " --data-dir data" if name == "seed_pairs_called" else ""
            record("selection", figures, command=f"python -m benchmarks.selection --only {name}{given}")


if __name__ == "__main__":
    main()
