"""False alert rate of the monitors, how fast they detect a doubling of volatility, and their alerts in 2020.

    python -m benchmarks.monitors --workers 2                    both figures
    python -m benchmarks.monitors --only replay --data data      2020, from a finished data root

A null simulation is a panel of 20 tickers without drift: four features that are AR(1) (0, .5, .9, .97) and share half
of their variance, and a 95 % band on returns that share half of theirs, with an AR(.9) error of the volatility. Limits
are calibrated on the six years before; then one year is monitored, and the episodes of all monitors that send a warning are
added up. Features are checked every ``STRIDE`` sessions instead of every night, and a warning needs the checks within
``feature_confirm_nights`` to agree: that many nights in a row contain that many checks (the same holds for a release), so
there are no fewer episodes than nightly checks would have given. Progress goes to standard error.
"""

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.monitoring.coverage import (
    calibrate_limits,
    coverage_alarm,
    coverage_by_day,
    coverage_rule,
)
from forecast_assets.core.monitoring.drift import feature_drift, split_periods
from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.specs import DriftSpec
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.scores import persistent
from tools.results import ROOT, record

TICKERS, YEAR, HISTORY, STRIDE = 20, 252, 1512, 10
PERSISTENCE = {"white": 0.0, "short": 0.5, "long": 0.9, "longest": 0.97}
DAY_ZERO = dt.date(2000, 1, 1)


def ar1(generator: np.random.Generator, *, sessions: int, columns: int, coefficient: float) -> NDArray[np.float64]:
    """Simulate unit-variance AR(1) paths, (sessions, columns)."""
    noise = generator.standard_normal((sessions, columns))
    path = np.empty_like(noise)
    path[0] = noise[0]
    for day in range(1, sessions):
        path[day] = coefficient * path[day - 1] + np.sqrt(1 - coefficient**2) * noise[day]
    return path


def feature_panel(generator: np.random.Generator, *, sessions: int) -> pl.DataFrame:
    """Simulate rows of a panel without drift: date, is_missing, four features."""
    columns = {
        name: np.sqrt(0.5)
        * (
            ar1(generator, sessions=sessions, columns=1, coefficient=coefficient)
            + ar1(generator, sessions=sessions, columns=TICKERS, coefficient=coefficient)
        ).ravel()
        for name, coefficient in PERSISTENCE.items()
    }
    dates = pl.Series([DAY_ZERO + dt.timedelta(days=day) for day in range(sessions)])
    return pl.DataFrame({"date": dates[np.repeat(np.arange(sessions), TICKERS)], **columns}).with_columns(
        is_missing=pl.lit(False)
    )


def daily_coverage(
    generator: np.random.Generator, *, sessions: int, doubled_from: int | None = None, tickers: int = 100
) -> pl.DataFrame:
    """Simulate what ``coverage_by_day`` returns for a band whose volatility has a persistent error."""
    wrong = np.exp(0.1 * ar1(generator, sessions=sessions, columns=1, coefficient=0.9))  # (sessions, 1)
    if doubled_from is not None:
        wrong[doubled_from:] *= 2
    shock = generator.standard_normal((sessions, 1)) + generator.standard_normal((sessions, tickers))
    covered = (np.abs(wrong * np.sqrt(0.5) * shock) <= 1.959964).sum(axis=1)
    return pl.DataFrame(
        {
            "date": [DAY_ZERO + dt.timedelta(days=day) for day in range(sessions)],
            "names": [tickers] * sessions,
            "covered_95": covered,
            "coverage_95": covered / tickers,
        }
    )


def openings(on: NDArray[np.bool_]) -> int:
    """Count the episodes that began in a series of checks."""
    return int(on[:1].sum() + (on[1:] & ~on[:-1]).sum())


def checks_of(spec: DriftSpec) -> tuple[int, int]:
    """Return the checks that fall into any ``feature_confirm_nights``, and ``feature_release_nights``, in a row."""
    return max(1, spec.feature_confirm_nights // STRIDE), max(1, spec.feature_release_nights // STRIDE)


def null_year(seed: int, spec: DriftSpec) -> tuple[int, int, float]:
    """Return warnings of the features, warnings of the coverage alarm, and the share of checks that found drift."""
    generator = np.random.default_rng(seed)
    before = spec.reference_sessions + spec.recent_sessions
    panel = feature_panel(generator, sessions=before + YEAR)
    fired = []
    for day in range(before - 1, before + YEAR, STRIDE):
        periods = split_periods(panel, spec=spec, as_of=DAY_ZERO + dt.timedelta(days=day))
        moved = feature_drift(periods.reference, periods.recent, features=list(PERSISTENCE), spec=spec)
        fired.append(bool(moved["alert"].any()))
    checks = np.array(fired)
    confirm, release = checks_of(spec)
    features = openings(persistent(checks, confirm=confirm, release=release))
    coverage = daily_coverage(generator, sessions=HISTORY + YEAR)
    limits = calibrate_limits(coverage.head(HISTORY), spec=spec)
    alarms = coverage_alarm(coverage.tail(YEAR), limits=limits).height
    return features, alarms, float(checks.mean())


def doubling_detected(seed: int, spec: DriftSpec) -> bool:
    """Return whether the alarm opens, below, within ten matured sessions of a doubling; one already open does not count."""
    coverage = daily_coverage(np.random.default_rng(seed), sessions=HISTORY + 60 + 10, doubled_from=HISTORY + 60)
    limits = calibrate_limits(coverage.head(HISTORY), spec=spec)
    change = coverage["date"][HISTORY + 60]
    opened = coverage_alarm(coverage.tail(70), limits=limits).filter(pl.col("side") == "below")
    return bool((opened["start"] >= change).any())


def replay(root: str, spec: DriftSpec, *, year: int = 2020) -> dict[str, Any]:
    """Return when each alarm was on in a year of the walk-forward; limits come from the days before each month only."""
    store = Store(f"{root}/store")
    tables = [
        pl.read_parquet(store.current("ensemble", key).path("table.parquet"))
        for key in store.partitions("ensemble")
        if int(key) <= year
    ]
    coverage = coverage_by_day(pl.concat(tables), model="ensemble", horizon=1)
    needed = 5 * spec.alarm_block_sessions
    on: list[str] = []
    for month in range(1, 13):
        first = dt.date(year, month, 1)
        past = coverage.filter(pl.col("date") < first)
        if past.height < needed:
            continue
        limits = calibrate_limits(past, spec=spec)
        until = coverage.filter(pl.col("date") < (first + dt.timedelta(days=31)).replace(day=1))
        for episode in coverage_alarm(until, limits=limits).iter_rows(named=True):
            if first <= episode["start"] and episode["start"].year == year:
                on.append(f"{episode['start']} {episode['side']}")
    rule = coverage_rule(coverage, spec).filter(pl.col("start").dt.year() == year)
    panel = (
        pl.scan_parquet(store.current("feature_panel").path("table.parquet"))
        .filter(pl.col("date").is_between(dt.date(year - 4, 9, 1), dt.date(year, 12, 31)))
        .collect()
    )
    checks = panel.filter(pl.col("date").dt.year() == year)["date"].unique().sort().to_list()[::STRIDE]
    moved, started = {}, time.monotonic()
    for number, day in enumerate(checks, start=1):
        periods = split_periods(panel, spec=spec, as_of=day)
        found = feature_drift(periods.reference, periods.recent, features=feature_names(panel), spec=spec)
        moved[str(day)] = found.filter("alert")["feature"].to_list()
        report_progress("replay of features", number, len(checks), started)
    confirm, release = checks_of(spec)
    warned = persistent(np.array([bool(names) for names in moved.values()]), confirm=confirm, release=release)
    return {
        "value": len(on) + openings(warned),
        "looks_with_a_feature_warning_on": [str(day) for day, on_then in zip(checks, warned, strict=True) if on_then],
        "coverage_alarm_opened": on,
        "plan_rule_episodes": [f"{row['start']} to {row['end']} {row['side']}" for row in rule.iter_rows(named=True)],
        "features_moved_by_look": {day: len(names) for day, names in moved.items()},
        "features_first_moved": next((f"{day}: {', '.join(names)}" for day, names in moved.items() if names), "never"),
    }


def report_progress(what: str, done: int, total: int, started: float) -> None:
    left = (time.monotonic() - started) / done * (total - done)
    print(f"{what}: {done}/{total}, about {left:.0f} s left", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("null", "doubling", "replay"), default=["null", "doubling"])
    parser.add_argument("--simulations", type=int, default=500, help="null years")
    parser.add_argument("--doublings", type=int, default=200)
    parser.add_argument("--data", default=os.environ.get("FORECAST_DATA_DIR"), help="data root to replay")
    parser.add_argument("--workers", type=int, default=1, help="processes; POLARS_MAX_THREADS=1 keeps each to one core")
    given = parser.parse_args()
    spec, figures = DriftSpec(), {}
    if "replay" in given.only:
        if not given.data:
            parser.error("the replay needs --data or FORECAST_DATA_DIR: the root of a finished run")
        figures["replay_2020"] = replay(given.data, spec)
    if "doubling" in given.only:
        detected = simulate(doubling_detected, range(10_000, 10_000 + given.doublings), spec, given.workers)
        figures["vol_doubling_detected_share"] = {
            "value": round(float(np.mean(detected)), 4),
            "simulations": given.doublings,
            "within_matured_sessions": 10,
        }
    if "null" in given.only:
        years = simulate(null_year, range(given.simulations), spec, given.workers)
        features, alarms, checks = (np.array(column, dtype=float) for column in zip(*years, strict=True))
        total = features + alarms
        figures["false_alerts_per_year"] = {
            "value": round(float(total.mean()), 4),
            "standard_error": round(float(total.std(ddof=1) / np.sqrt(len(total))), 4),
            "simulations": given.simulations,
            "features": round(float(features.mean()), 4),
            "coverage_alarm": round(float(alarms.mean()), 4),
            "share_of_looks_with_a_moved_feature": round(float(checks.mean()), 4),
            "sessions_between_looks": STRIDE,
        }
    print(figures)
    path = record("monitors", figures, command=f"python -m benchmarks.monitors --only {' '.join(given.only)}")
    print(path.relative_to(ROOT))


def simulate(one: Callable[[int, DriftSpec], Any], seeds: range, spec: DriftSpec, workers: int) -> list[Any]:
    """Return the outcomes of one simulation per seed, in the order of the seeds; report progress."""
    found, started = [], time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(one, seeds, [spec] * len(seeds)):
            found.append(outcome)
            if len(found) % 25 == 0:
                report_progress(one.__name__, len(found), len(seeds), started)
    return found


if __name__ == "__main__":
    main()
