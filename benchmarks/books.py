"""The books' rules: what they are neutral to, chosen on 2014-2018; that no view holds nothing; that years join.

    python -m benchmarks.books inner                            the choices, on the reference panel up to 2018; minutes
    python -m benchmarks.books store --data-dir data            the proofs, on the forecasts of a finished walk-forward

``inner`` trades known premia and noise as views under each set of exposures and publishes the beta of the book to the
equal-weight book by year, and how near its target the equal-risk book stays by the memory of its scale. ``store`` reads
the published baselines: no outcome of theirs is looked at but the size of a book that has to be empty.
"""

import argparse
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.signal_ranks import inner_panel, origins
from forecast_assets.core.backtest import strategies
from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import consecutive, forecast_decisions, join_decisions
from forecast_assets.core.backtest.joining import joining_error, year_by_year
from forecast_assets.core.backtest.market import Market
from forecast_assets.core.backtest.simulate import (
    Terms,
    execute,
    first_test_row,
    market_of,
    orders_of,
    standing_decisions,
    trade_forecasts,
)
from forecast_assets.core.backtest.sizing import capped_book, tranches
from forecast_assets.core.scores.trading import beta
from forecast_assets.core.specs import BacktestSpec
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import RAW_FORECASTS, TABLE
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import record

Figures = dict[str, dict[str, Any]]

SPEC = BacktestSpec(smoothing=0.95)
YEARS = range(2014, 2019)
VIEWS = {"12-1 momentum": "momentum_12_1", "20-session reversal": "-return_20", "low volatility": "-volatility_60"}
NOISES, PERSISTENCE = 3, 0.98
EXPOSURES: dict[str, tuple[str, ...]] = {
    "dollar": (),
    "dollar, risk": ("scale",),
    "dollar, beta": ("beta",),
    "dollar, risk, beta": ("scale", "beta"),
}
LEVERAGE = 20.0  # gross size before caps: the gross cap then sets every book alike
DECAYS = (0.94, 0.97, 0.99)
NO_VIEW = ("harx", "ewma", "garch", "random_walk")


def inner_decisions(panel: pl.DataFrame) -> pl.DataFrame:
    """Return decisions of the inner years with every view as a column, in units of the ticker's own volatility."""
    table = origins(panel).filter(pl.col("date") >= dt.date(YEARS[0] - 1, 7, 1))
    sign = {name: -1.0 if of.startswith("-") else 1.0 for name, of in VIEWS.items()}
    views = {name: sign[name] * pl.col(of.lstrip("-")) for name, of in VIEWS.items()}
    split = pl.when(pl.col("date").dt.year() < YEARS[0]).then(pl.lit("validation")).otherwise(pl.lit("test"))
    sigma = pl.col("sigma") * SPEC.horizon_sessions**0.5
    return table.select("date", "ticker", split=split, sigma=sigma, scale=sigma, **views).sort("date", "ticker")


def noise(view: Market, seed: int) -> pl.DataFrame:
    """Return date, ticker, noise: a persistent view that means nothing."""
    rng = np.random.default_rng(seed)
    values = np.zeros(view.price.shape)
    for row in range(1, len(values)):
        values[row] = PERSISTENCE * values[row - 1] + rng.normal(size=len(view.tickers))
    days = pl.DataFrame({"date": pl.Series(view.dates).cast(pl.Date)})
    cells = days.join(pl.DataFrame({"ticker": view.tickers}), how="cross", maintain_order="left_right")
    return cells.with_columns(noise=pl.Series(values.ravel()))


def neutral_book(decisions: pl.DataFrame, view: Market, name: str, exposures: tuple[str, ...]) -> Simulation:
    """Trade one view, neutral to the named exposures beside the net position."""
    terms, columns = Terms(name, view, SPEC, Costs(0.0)), (name, "scale")
    decided, (score, scale) = standing_decisions(decisions, terms, columns=columns)
    size = np.nan_to_num(score / scale, nan=0.0)
    size *= LEVERAGE / np.maximum(np.abs(size).sum(axis=1, keepdims=True), 1e-12)
    of = {"scale": scale, "beta": view.beta[decided]}
    book = capped_book(size, view.region, exposures=[of[e] for e in exposures], spec=SPEC)
    target = tranches(book, session=decided, horizon_sessions=SPEC.horizon_sessions)
    return execute(orders_of(target, decided, terms), terms, first_test=first_test_row(decisions, view))


def measure_inner(path: Path) -> Figures:
    """Measure both choices on the inner years."""
    panel = inner_panel(path)
    decisions = inner_decisions(panel)
    view = market_of(decisions, panel, spec=SPEC)
    market = strategies.equal_weight(decisions, Terms("market", view, SPEC, Costs(0.0))).daily
    names = list(VIEWS)
    for seed in range(NOISES):
        drawn = noise(view, seed).rename({"noise": f"noise {seed}"})
        decisions = decisions.join(drawn, on=["date", "ticker"], how="left", maintain_order="left")
        names.append(f"noise {seed}")
    table: dict[str, dict[str, Any]] = {}
    for label, exposures in EXPOSURES.items():
        for name in names:
            daily = neutral_book(decisions, view, name, exposures).daily.join(
                market.select("date", market="gross_return"), on="date"
            )
            by_year = {
                str(year): beta(part["net_return"].to_numpy(), part["market"].to_numpy())
                for (year,), part in daily.group_by("year", maintain_order=True)
            }
            table.setdefault(label, {})[name] = by_year
            print(f"{label:20} {name:20} " + " ".join(f"{y} {b:+.3f}" for y, b in by_year.items()), flush=True)
    size = {
        label: float(np.mean([abs(b) for of in rows.values() for b in of.values()])) for label, rows in table.items()
    }
    return {
        "neutrality_mean_abs_beta": {
            "value": size["dollar, risk, beta"],
            "by_exposures": size,
            "chosen": min(size, key=lambda label: size[label]),
            "beta_by_year": table,
        },
        **measure_decay(decisions, view),
    }


def measure_decay(decisions: pl.DataFrame, view: Market) -> Figures:
    """Return how far the equal-risk book is from its target over 63 sessions, by the memory of its scale."""
    from forecast_assets.core.backtest.risk_scores import risk_scores

    gaps = {}
    for decay in DECAYS:
        book = strategies.equal_risk(decisions, Terms(str(decay), view, SPEC, Costs(5.0)), decay=decay)
        gaps[str(decay)] = risk_scores(book.daily, [str(decay)], spec=SPEC.model_copy(update={"bootstrap_samples": 1}))[
            0
        ]
    off = {decay: row["target_gap"] for decay, row in gaps.items()}
    details = {"by_decay": off, "chosen": min(off, key=lambda decay: off[decay])}
    return {"equal_risk_target_gap_inner": {"value": off[str(strategies.RISK_DECAY)], **details}}


def baseline_decisions(store: Store, years: list[int], model: str, *, horizon: int) -> pl.DataFrame:
    """Return the joined decisions of a published baseline; "one mean" is HAR-X with one location for all tickers."""
    decided = {}
    for year in years:
        version = store.current("baselines", str(year))
        wanted = (pl.col("model") == ("harx" if model == "one mean" else model)) & (pl.col("horizon") == horizon)
        raw = RAW_FORECASTS if RAW_FORECASTS in version.manifest.files else TABLE
        pair = [pl.scan_parquet(version.path(file)).filter(wanted).collect() for file in (TABLE, raw)]
        if model == "one mean":
            pair = [table.with_columns(q50=pl.lit(0.004)) for table in pair]
        decided[year] = forecast_decisions(*pair, horizon_sessions=horizon)
    return join_decisions(decided)


def measure_store(store: Store) -> Figures:
    """Measure the books that have to be empty, and the joining of books that are not."""
    years = sorted(int(year) for year in store.partitions("baselines"))
    panel = pl.read_parquet(store.current("calendar_panel").path(TABLE))
    grosses: dict[str, float] = {}
    error, details = 0.0, {}
    for run in consecutive(years):
        for model, decisions in (
            (name, baseline_decisions(store, run, name, horizon=20)) for name in (*NO_VIEW, "one mean")
        ):
            spec = BacktestSpec()
            view = market_of(decisions, panel, spec=spec)
            costs = Costs.of(spec.cost_bps, panel)
            book = trade_forecasts(decisions, Terms(model, view, spec, costs))
            gross = float(book.daily["gross_exposure"].to_numpy().max())
            grosses[model] = float(np.max([gross, grosses.get(model, 0.0)]))  # NaN stays NaN, unlike in max()
            print(f"{run[0]}-{run[-1]} {model}: largest gross {gross:.2e}", flush=True)
        for spec, (one, apart) in planted_books(decisions, panel):
            found = joining_error(one, apart)
            nights = new_years_nights(one)
            details[f"{run[0]}-{run[-1]}, {spec.horizon_sessions} sessions, {spec.book}"] = {
                "error": found,
                "nights": nights,
            }
            print(f"{run[0]}-{run[-1]} {spec.horizon_sessions} {spec.book}: {found:.1e}, {nights}", flush=True)
            error = float(np.max([error, found]))
    return {
        "no_view_book_gross": {"value": float(np.max(list(grosses.values()))), "by_model": grosses, "years": years},
        "joined_vs_continuous_max_abs": {"value": error, "books": details, "years": years},
    }


def planted_books(
    decisions: pl.DataFrame, panel: pl.DataFrame
) -> Iterator[tuple[BacktestSpec, tuple[Simulation, list[Simulation]]]]:
    """Yield books of noise on the forecasts' own sigma, in one piece and by year: a book that is not empty."""
    rng = np.random.default_rng(0)
    noisy = decisions.with_columns(location=pl.Series(rng.normal(0, 0.02, len(decisions))))
    for spec in (BacktestSpec(), BacktestSpec(horizon_sessions=5, book="directional", smoothing=0.5)):
        view, costs = market_of(noisy, panel, spec=spec), Costs.of(spec.cost_bps, panel)
        terms = Terms("noise", view, spec, costs)
        yield spec, (trade_forecasts(noisy, terms), year_by_year(noisy, terms))


def new_years_nights(book: Simulation) -> dict[str, float]:
    """Return the gross return of each year's last session, which runs to the next year's first open."""
    last = book.daily.group_by("year", maintain_order=True).last()
    return {str(year): value for year, value in last.select("year", "gross_return").rows()[:-1]}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["inner", "store"])
    parser.add_argument("--panel", type=Path, default=FULL_PANEL)
    parser.add_argument("--data-dir", default="data")
    options = parser.parse_args()
    figures = (
        measure_inner(options.panel)
        if options.part == "inner"
        else measure_store(StoreResource(data_dir=options.data_dir).store())
    )
    print(json.dumps(figures, indent=1))
    record("books", figures, command=f"python -m benchmarks.books {options.part}")


if __name__ == "__main__":
    main()
