"""Value at risk and the copula of joint scenarios, day by day, each by what was known before it.

    python -m benchmarks.joint --data-dir data/demo        a finished walk-forward: its book and equal weights
    python -m benchmarks.joint --inner STORE --fits FITS   B8, calibrated, on the reference panel's 2014 to 2018; ten minutes

``--inner`` reads ``windowed_tensors`` and ``calendar_panel`` of a store; B8's fits of the inner years are read from
``--fits``, or trained as `benchmarks.inner` does and kept there. Labels that end in the first test year or later are left
out. Its portfolios, declared beforehand, are equal weights, weights by the inverse of the forecast volatility, every second
ticker of the alphabet long with the others short; and books, whose tickers are chosen: B8's own by the shipped rules, and
neutral ones of momentum, reversal and low volatility (`benchmarks.books`). A walk-forward of real tickers is refused
without ``--declared``, since it would be a look at test years.

Kupiec and Christoffersen (conditional coverage) of the 95 and 99 % value at risk over each horizon, Holm-adjusted among a
horizon's tests; the smallest p value counts. Energy and variogram scores of the scenarios, of independence and of a Gaussian
copula with shrunk correlation, all on the same draws: the ratio to independence, mean over horizons, with a 95 % interval by
the stationary bootstrap of days; its upper end counts.

Rescaling by the portfolio's own volatility is scored by the quantile loss of value at risk: its ratio to that of the same
scenarios without it, mean over portfolios, horizons and levels, with an interval by the same bootstrap.
"""

import argparse
import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy.stats import kstest

from benchmarks.books import VIEWS as BOOK_VIEWS
from benchmarks.books import neutral_book
from benchmarks.inner import LOOKBACK, fits_of
from benchmarks.signal_ranks import origins as ranked
from forecast_assets.champion.issued import issued_table
from forecast_assets.cli.export import chosen_slots
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import forecast_decisions, join_decisions
from forecast_assets.core.backtest.simulate import Terms, market_of, trade_forecasts
from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA, forecast_table
from forecast_assets.core.evaluation.significance import bootstrap_interval
from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.joint.past import with_outcomes
from forecast_assets.core.joint.portfolio import LEVELS
from forecast_assets.core.joint.scenarios import scenario_returns
from forecast_assets.core.joint.walk_forward import (
    GAUSSIAN,
    INDEPENDENCE,
    SCENARIOS,
    ScenarioDay,
    Weights,
    apart_outcomes,
    copula_scores,
    coverage_tests,
    equal_weights,
    held_weights,
    portfolio_outcomes,
    scenario_days,
    var_column,
)
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles
from forecast_assets.core.settings import Settings
from forecast_assets.core.specs import BacktestSpec, FoldSpec, ScenarioSpec
from forecast_assets.core.training.calibrate import NO_DATE, calibrate_online, label_dates
from forecast_assets.core.training.calibration_groups import Groups
from forecast_assets.core.windows.days import to_day
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.artefact_files import POSITIONS, TABLE, TENSORS
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.store import Store
from tools.results import record

INNER_YEARS = range(2014, 2019)
MODEL = "b8_summary"
SYNTHETIC = "SYN"  # how the demo's tickers begin
DRAWS = 2000  # scenarios of a day


class Panel(NamedTuple):
    """What is evaluated."""

    what: str
    forecasts: pl.DataFrame  # with y and label_end, each key once
    sectors: dict[str, str | None]
    portfolios: Mapping[str, Weights]


def inverse_volatility(day: ScenarioDay) -> Floats:
    """Return weights by the inverse of each ticker's forecast of one session, one in all."""
    inverse = 1.0 / mean_sigma_from_quantiles(day.quantiles)[1][:, 0]
    weights: Floats = inverse / inverse.sum()
    return weights


def long_short(day: ScenarioDay) -> Floats:
    """Return weights of every second ticker of the day long and of the others short, one in all on either side."""
    side = np.where(np.arange(len(day.tickers)) % 2, 1.0, -1.0)
    weights: Floats = side / np.where(side > 0, (side > 0).sum(), (side < 0).sum())
    return weights


def walk_forward(root: Path, *, declared: bool) -> Panel:
    """Return the ensemble's forecasts and the book of a finished store. Raises SystemExit for one of real tickers."""
    store = Store(root / "store")
    renames = declared_renames(store)
    years = chosen_slots(store, "ensemble", [])
    tables = [issued_table(store.current("ensemble", year), renames) for year in years]
    panel = pl.scan_parquet(store.current("feature_panel").path(TABLE))
    rows = panel.select("date", "ticker", "is_missing", *TARGETS).collect()
    tickers = rows["ticker"].unique().to_list()
    if not declared and not all(ticker.startswith(SYNTHETIC) for ticker in tickers):
        raise SystemExit(
            f"{root}: real tickers, whose test years are looked at once; declare the look in conf/verdict/reference.yaml "
            "and add --declared"
        )
    parts = [pl.scan_parquet(store.current("backtest", year).path(POSITIONS)) for year in years]
    book = pl.concat(part.filter(pl.col("strategy") == "ensemble") for part in parts)
    positions = book.select("date", "ticker", "weight").collect()
    sectors = panel.select("ticker", "sector").unique("ticker", keep="last").collect()
    return Panel(
        what=f"ensemble, {', '.join(map(str, years))}, {len(tickers)} {'real' if declared else 'synthetic'} tickers",
        forecasts=with_outcomes(tables, rows),
        sectors=dict(sectors.iter_rows()),
        portfolios={"book": held_weights(positions), "equal weights": equal_weights},
    )


class InnerYear(NamedTuple):
    """Forecasts of an inner year: calibrated, with outcomes and label ends, and as the model made them."""

    published: pl.DataFrame
    raw: pl.DataFrame


def inner_year(
    panel: PanelTensors, settings: Settings, made_by: Callable[[Fold], Floats], *, model: str, year: int
) -> InnerYear:
    """Return a model's forecasts of a year, each with the outcome where it ended before the test years."""
    fold = make_fold(panel, year=year, spec=settings.folds, lookback=LOOKBACK)
    raw = made_by(fold)
    origins, ended = fold.origins.numpy(), label_dates(panel)[fold.origins.numpy()]
    known = (ended < to_day(dt.date(FoldSpec().first_test_year, 1, 1))) & (ended != NO_DATE)
    y = np.where(known, panel.targets[fold.origins].double().numpy(), np.nan)
    date = panel.date[fold.origins].numpy().astype(np.int64)
    groups = Groups.fit(panel, train=fold.train).of(panel, fold.origins)
    made = calibrate_online(raw, y=y, date=date, label_date=ended, groups=groups, spec=settings.calibration).quantiles
    ticker, on = np.array(panel.tickers)[panel.ticker[fold.origins].numpy()], date.astype("datetime64[D]")
    split = np.where(np.arange(len(origins)) < len(fold.validation), "validation", "test")
    published, uncalibrated = (
        forecast_table(date=on, ticker=ticker, quantiles=quantiles, y=y, split=split, model=model)
        for quantiles in (made, raw)
    )
    label = pl.DataFrame(
        {
            "date": np.repeat(on, len(HORIZONS)),
            "ticker": np.repeat(ticker, len(HORIZONS)),
            "horizon": np.tile(np.array(HORIZONS, dtype=np.int32), len(origins)),
            "label_end": np.where(known, ended, 0).astype("datetime64[D]").ravel(),
            "known": known.ravel(),
        }
    )
    label = label.filter("known").drop("known").with_columns(pl.col("date", "label_end").cast(pl.Date))
    return InnerYear(published.join(label, on=["date", "ticker", "horizon"], how="left"), uncalibrated)


def each_once(years: Mapping[int, InnerYear]) -> pl.DataFrame:
    """Return the calibrated forecasts of all years, each key once: test forecasts before those of a validation."""
    every = pl.concat(made.published for made in years.values()).sort(pl.col("split") != "test", maintain_order=True)
    first = every.unique(["date", "ticker", "horizon"], keep="first", maintain_order=True)
    return first.select(*FORECAST_SCHEMA, "label_end")


def inner_books(years: Mapping[int, InnerYear], calendar: pl.DataFrame, spec: BacktestSpec) -> dict[str, Weights]:
    """Return the books of B8, by the shipped rules, and of the views of `benchmarks.books`, neutral as it is."""
    horizon = spec.horizon_sessions
    decisions = join_decisions(
        {year: forecast_decisions(made.published, made.raw, horizon_sessions=horizon) for year, made in years.items()}
    )
    view = market_of(decisions, calendar, spec=spec)
    books = {"book": trade_forecasts(decisions, Terms(MODEL, view, spec, Costs.of(spec.cost_bps, calendar))).positions}
    sign = {name: -1.0 if of.startswith("-") else 1.0 for name, of in BOOK_VIEWS.items()}
    scores = {name: sign[name] * pl.col(of.lstrip("-")) for name, of in BOOK_VIEWS.items()}
    scored = decisions.join(ranked(calendar).select("date", "ticker", **scores), on=["date", "ticker"], how="left")
    for name in scores:
        books[name] = neutral_book(scored.drop_nulls(name), view, name, ("scale", "beta")).positions
    return {name: held_weights(positions) for name, positions in books.items()}


def inner(store: Store, fits: Path) -> Panel:
    """Return B8's calibrated forecasts of the inner years, and the portfolios that are declared for them."""
    settings = compose_settings("full", [])
    panel = PanelTensors.load(store.current("windowed_tensors").path(TENSORS))
    asked = argparse.Namespace(networks=[MODEL], fits={}, work=fits)

    def mean_of_fits(fold: Fold) -> Floats:
        found = fits_of(panel, fold, settings, asked).values()
        return np.mean([fit["quantiles"] for fit in found], axis=0).astype(np.float64)

    years = {year: inner_year(panel, settings, mean_of_fits, model=MODEL, year=year) for year in INNER_YEARS}
    last = np.flatnonzero(np.append(np.diff(panel.ticker.numpy()) != 0, True))
    sectors = {panel.tickers[panel.ticker[row]]: panel.sectors[panel.sector[row]] for row in last.tolist()}
    until = dt.date(FoldSpec().first_test_year, 1, 1)
    calendar = pl.scan_parquet(store.current("calendar_panel").path(TABLE)).filter(pl.col("date") < until).collect()
    return Panel(
        what=f"{MODEL}, {INNER_YEARS[0]} to {INNER_YEARS[-1]}, {len(panel.tickers)} tickers of the reference panel",
        forecasts=each_once(years),
        sectors=dict(sectors),
        portfolios={
            "equal weights": equal_weights,
            "inverse volatility": inverse_volatility,
            "long short": long_short,
            **inner_books(years, calendar, settings.backtest),
        },
    )


class Evaluated(NamedTuple):
    """By day: outcomes of the portfolios, the same without rescaling, and scores of the copulas."""

    outcomes: pl.DataFrame
    plain: pl.DataFrame
    scores: pl.DataFrame


def evaluate(panel: Panel, *, spec: ScenarioSpec, score_every: int) -> Evaluated:
    """Return the outcomes of the portfolios on every test day, and the scores of every ``score_every``-th."""
    known = panel.forecasts.filter(pl.col("split") == "test", pl.col("label_end").is_not_null())
    days = known["date"].unique().sort().to_numpy().astype("datetime64[D]")
    outcomes: list[dict[str, object]] = []
    plain: list[dict[str, object]] = []
    as_they_are = spec.model_copy(update={"volatility_sessions": 0.0})
    scores: list[dict[str, object]] = []
    started = time.perf_counter()
    every = scenario_days(panel.forecasts, days=days, sectors=panel.sectors, spec=spec, skip_early=True)
    for number, day in enumerate(every):
        returns = scenario_returns(day.quantiles, day.model, spec=spec)
        outcomes += portfolio_outcomes(day, returns, panel.portfolios, spec=spec)
        plain += portfolio_outcomes(day, returns, panel.portfolios, spec=as_they_are)
        if number % score_every == 0:
            scores += copula_scores(day, spec=spec)
        if number % 100 == 0:
            print(f"{day.day}: {len(day.tickers)} tickers, {time.perf_counter() - started:.0f} s", flush=True)
    return Evaluated(*(pl.DataFrame(rows) for rows in (outcomes, plain, scores)))


def against(scores: pl.DataFrame, other: str, score: str) -> dict[str, Any]:
    """Return the ratio of the scenarios' mean score to another copula's, mean over horizons, with its interval."""
    wide = scores.pivot(on="copula", index=["date", "horizon"], values=score)
    both = wide.pivot(on="horizon", index="date", values=[SCENARIOS, other]).drop_nulls().sort("date")
    table = both.select(f"{name}_{h}" for name in (SCENARIOS, other) for h in HORIZONS).to_numpy()
    count = len(HORIZONS)

    def ratio(rows: Floats) -> float:
        mean = rows.mean(axis=0)
        return float((mean[:count] / mean[count:]).mean())

    estimate, low, high = bootstrap_interval(table, ratio, samples=1000, seed=0)
    mean = table.mean(axis=0)
    by_horizon = {str(h): round(float(mean[k] / mean[count + k]), 5) for k, h in enumerate(HORIZONS)}
    return {"days": len(table), "ratio": estimate, "low": low, "high": high, "by_horizon": by_horizon}


def rescaling(found: Evaluated) -> dict[str, Any]:
    """Return the ratio of the quantile loss of value at risk to that without rescaling, and its interval."""
    key = ["date", "portfolio", "horizon"]
    losses = []
    for table in (found.outcomes, found.plain):
        beyond = {level: pl.col("realised") + pl.col(var_column(level)) for level in LEVELS}  # below 0: exceeded
        tail = {level: pl.when(of < 0).then((1 - level) - 1).otherwise(1 - level) * of for level, of in beyond.items()}
        losses.append(table.select(key, **{str(level): loss for level, loss in tail.items()}))
    both = (
        losses[0]
        .unpivot(index=key, variable_name="level")
        .join(losses[1].unpivot(index=key, variable_name="level"), on=[*key, "level"], suffix="_plain")
    )
    both = both.with_columns(case=pl.format("{}, {}, {}", "portfolio", "horizon", "level"))
    wide = both.pivot(on="case", index="date", values=["value", "value_plain"]).drop_nulls().sort("date").drop("date")
    values, count = wide.to_numpy(), wide.width // 2

    def ratio(rows: Floats) -> float:
        mean = rows.mean(axis=0)
        return float((mean[:count] / mean[count:]).mean())

    estimate, low, high = bootstrap_interval(values, ratio, samples=1000, seed=0)
    mean = values.mean(axis=0)
    cases = [name.removeprefix("value_") for name in wide.columns[:count]]
    by_case = {case: round(float(mean[k] / mean[count + k]), 4) for k, case in enumerate(cases)}
    with_it, without = (coverage_tests(table).to_dicts() for table in (found.outcomes, found.plain))
    exceeded = {
        f"{row['portfolio']}, {row['horizon']}, {row['level']}": {
            "days": row["days"],
            "expected": round(row["expected"], 1),
            "without": plain["exceedances"],
            "with": row["exceedances"],
        }
        for row, plain in zip(with_it, without, strict=True)
    }
    return {
        "value": round(high, 5),
        "ratio": estimate,
        "low": low,
        "high": high,
        "days": len(values),
        "ratios": by_case,
        "exceedances": exceeded,
    }


def figures(panel: Panel, found: Evaluated, *, prefix: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded."""
    outcomes, scores = found.outcomes, found.scores
    tests = coverage_tests(outcomes)
    smallest = tests.select(pl.min_horizontal("kupiec_holm", "christoffersen_holm").min()).item()
    pit = {
        f"{name}, {horizon}": {
            "mean": round(float(rows["pit"].to_numpy().mean()), 4),
            "uniform_p": round(float(kstest(rows["pit"].to_numpy(), "uniform").pvalue), 4),
        }
        for (name, horizon), rows in apart_outcomes(outcomes).group_by("portfolio", "horizon", maintain_order=True)
    }
    energy = against(scores, INDEPENDENCE, "energy")
    return {
        f"{prefix}var_tests_min_p": {
            "value": round(smallest, 4),
            "panel": panel.what,
            "tests": [
                {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in tests.to_dicts()
            ],
            "pit": pit,
        },
        f"{prefix}energy_vs_independence": {
            "value": round(energy["high"], 5),
            "panel": panel.what,
            "energy": {INDEPENDENCE: energy, GAUSSIAN: against(scores, GAUSSIAN, "energy")},
            "variogram": {name: against(scores, name, "variogram") for name in (INDEPENDENCE, GAUSSIAN)},
        },
        f"{prefix}var_loss_of_rescaling": {**rescaling(found), "panel": panel.what},
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data-dir", type=Path, help="data root of a finished walk-forward")
    source.add_argument(
        "--inner", type=Path, metavar="STORE", help="a store with windowed_tensors of the reference panel"
    )
    parser.add_argument("--fits", type=Path, help="folder of B8's fits of the inner years")
    parser.add_argument("--declared", action="store_true", help="a walk-forward of real tickers, declared beforehand")
    parser.add_argument("--score-every", type=int, default=1, help="score the copulas on every so many days")
    parser.add_argument("--dry", action="store_true", help="print, do not record")
    given = parser.parse_args()
    if given.inner and not given.fits:
        parser.error("--inner needs --fits, where B8's fits of the inner years are kept")
    panel = (
        inner(Store(given.inner), given.fits) if given.inner else walk_forward(given.data_dir, declared=given.declared)
    )
    made = evaluate(panel, spec=ScenarioSpec(scenarios=DRAWS), score_every=given.score_every)
    found = figures(panel, made, prefix="inner_" if given.inner else "")
    print(json.dumps(found, indent=1))
    every = f" --score-every {given.score_every}" if given.score_every != 1 else ""
    command = f"python -m benchmarks.joint {'--inner STORE --fits FITS' if given.inner else '--data-dir DATA'}{every}"
    if not given.dry:
        print(record("joint", found, command=command))


if __name__ == "__main__":
    main()
