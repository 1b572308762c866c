"""Power of the leak auditor: which leaky functions it catches, which clean ones it accuses, and our own seeded leaks.

python -m benchmarks.audit
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.audit.forecasts import audit_forecasts
from forecast_assets.core.audit.function import Audit, AuditRun, Decide, Subject, has_fit, train_until
from forecast_assets.core.audit.rows import synthetic_rows, with_known_at
from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.specs import AuditSpec
from forecast_assets_tests.helpers import clean_features, leaky_features
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.mutants import MUTANTS
from forecast_assets_tests.helpers.seeding import copy_packages, python_in, seed
from tools.results import record

PROJECT = "forecast_assets_tests/helpers/audited_project.py"
SEEDED = {
    "carries_the_sector_across_tickers": "features",
    "rolling_window_looks_ahead": "features",
    "lag_across_a_border": "features",
    "rank_among_later_closes": "features",
    "announcement_among_later_days": "announcements",
    "market_of_a_later_close": "announcements",
    "announcements_fitted_on_the_year_itself": "announcements",
}
"""Mutants by which a feature or an announcement of a day depends on later data, and the function that shows it.

The others are of targets, folds, scalers, fits, the simulation, a universe or a union calendar, which no function of a raw
panel's rows shows, or are no look-ahead; ``z_score_of_the_whole_history`` raises on a panel of several tickers.
"""
SHARES = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05)  # of the next return in forecasts that are otherwise noise


def main() -> None:
    raw = with_known_at(synthetic_rows())
    panels = {"raw": raw, "calendar": with_known_at(reindex(synthetic_rows(), spec=panel_spec()))}
    begin = time.perf_counter()
    leaky = {name: catches(function, panels, "day") for name, function in leaky_features.LEAKY.items()}
    leaky |= {name: catches(function, panels, "close") for name, function in leaky_features.LEAKY_AT_THE_CLOSE.items()}
    clean = {name: catches(function, panels, "day") for name, function in clean_features.CLEAN.items()}
    seconds = (time.perf_counter() - begin) / (len(leaky) + len(clean))
    seeded = {name: catches_mutant(name, function) for name, function in SEEDED.items()}
    untouched = {function: catches_mutant(None, function) for function in sorted(set(SEEDED.values()))}
    found = {**leaky, **seeded}
    accused = {**clean, **untouched}
    files = forecast_files(raw)
    held_out = [name for name in leaky if name in leaky_features.HELD_OUT]
    held_out_clean = [name for name in clean if name in clean_features.HELD_OUT]
    figures: dict[str, dict[str, Any]] = {
        "audit_detection": {
            "value": share(found),
            "leaky": len(found),
            "missed": sorted(name for name, by in found.items() if not by),
            "caught_by": found,
        },
        "audit_false_alarms": {
            "value": sum(bool(by) for by in accused.values()),
            "clean": len(accused),
            "accused": sorted(name for name, by in accused.items() if by),
        },
        "audit_detection_held_out": {
            "value": share({name: leaky[name] for name in held_out}),
            "leaky": len(held_out),
            "clean": len(held_out_clean),
            "clean_accused": sum(bool(clean[name]) for name in held_out_clean),
            "note": "functions written when the auditor was done; the others were used while it was written",
        },
        "audit_mutants_caught": {"value": share(seeded), "seeded": len(seeded), "caught_by": seeded},
        "audit_seconds": {"value": round(seconds, 2), "note": "mean per function, without starting the process"},
        "audit_forecasts": files,
    }
    print(record("audit", figures, command="python -m benchmarks.audit"))


def share(caught: Mapping[str, str]) -> float:
    """Return the share of subjects in which something was found."""
    return round(sum(bool(by) for by in caught.values()) / len(caught), 4)


def catches(function: Callable[..., Any], panels: Mapping[Any, pl.DataFrame], decide: Decide) -> str:
    """Return the tests that found a leak, "" for none. A function that can't be audited is found to be nothing."""
    spec = AuditSpec()
    until = train_until(panels["raw"], spec) if has_fit(function) else None
    subject = Subject(function.__name__, lambda: function, train_until=until)
    try:
        audit: Audit = AuditRun(subject, panels, spec, decide).result()
    except BadInput as problem:
        raise SystemExit(f"{function.__name__} can't be audited: {problem}") from problem
    by = ", ".join(sorted({leak.test for leak in audit.leaks}))
    print(f"{function.__name__}: {by or 'nothing'}", flush=True)
    return by


def catches_mutant(name: str | None, function: str) -> str:
    """Return the tests that found a leak in this project's own code with one mutant, or (None) with none."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_packages(folder, "forecast_assets", "forecast_assets_tests")
        for mutant in MUTANTS:
            if mutant.name == name:
                seed(mutant, folder / "forecast_assets")
        arguments = ("--decide", "close", "--json", "--set", "audit.limit_seconds=900")
        done = python_in(folder, "-m", "forecast_assets.cli", "audit", f"{PROJECT}:{function}", *arguments)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{name}: {done.stderr}")
    by = ", ".join(sorted({leak["test"] for leak in json.loads(done.stdout)["leaks"]}))
    print(f"{name or 'untouched'} ({function}): {by or 'nothing'}", flush=True)
    return by


def forecast_files(rows: pl.DataFrame) -> dict[str, Any]:
    """Return what is found in forecasts of the next session that hold a share of its return, and in honest ones."""
    step = pl.col("close").log().diff().over("ticker")
    moved = rows.sort("ticker", "date").with_columns(
        now=step, month=pl.col("close").log().diff(20).over("ticker"), week=pl.col("close").log().diff(5).over("ticker")
    )
    moved = moved.with_columns(ahead=pl.col("now").shift(-1).over("ticker"))
    noise = pl.Series(np.random.default_rng(5).normal(0.0, 0.015, rows.height))
    planted = (pl.col("month") / 0.09).tanh() - (pl.col("week") / 0.045).tanh()  # the panel's own signal
    honest = {
        "noise": pl.lit(noise),
        "momentum": pl.col("month"),
        "reversal": -pl.col("now"),
        "planted_signal": planted,
    }
    leaky = {f"{part:g} of the next return": pl.lit(noise) + part * pl.col("ahead") for part in SHARES}

    def audited(forecast: pl.Expr) -> dict[str, Any]:
        table = moved.select(
            "date", "ticker", horizon=1, location=forecast, available_at=pl.lit(None, dtype=pl.Datetime)
        )
        audit = audit_forecasts(table.drop_nulls("location"), rows, name="forecasts", spec=AuditSpec())
        return {"rank_ic": round(audit.ics[0].mean, 3), "found": [each.kind for each in audit.evidence]}

    found = {name: audited(forecast) for name, forecast in leaky.items()}
    clean = {name: audited(forecast) for name, forecast in honest.items()}
    return {
        "value": sum(bool(each["found"]) for each in clean.values()),
        "what": "honest files of forecasts that were accused; beside them how much look-ahead is found",
        "honest": clean,
        "looking_ahead": found,
    }


if __name__ == "__main__":
    main()
