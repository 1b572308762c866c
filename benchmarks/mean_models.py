"""Search for a tradable mean signal: 24 linear cross-sectional models on the years before the first test year.

    python -m benchmarks.mean_models                    the reference panel up to 2018; about three minutes of one core
    python -m benchmarks.mean_models --panel other.csv  a trial, printed and not recorded

The rule was fixed before any result was seen. Ranks and outcomes are those of `benchmarks.signal_ranks`, demeaned. A model
is fitted for each year on all forecast origins whose labels end before it, and traded by the project's simulation. Each year
of ``YEARS`` trades the variant with the best beta-hedged Sharpe ratio over the years before it. The search passes with a
Sharpe ratio of ``NEEDED``, an interval above 0 and a deflated probability above ``SURE``, all variants counted.
"""

import argparse
import datetime as dt
import json
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.signal_ranks import ALL, FEW, HORIZONS, inner_panel, origins
from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.comparison import beta_hedge
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import join_decisions
from forecast_assets.core.backtest.metrics import strategy_metrics
from forecast_assets.core.backtest.simulate import Terms, market_of, trade_sizes
from forecast_assets.core.backtest.strategies import equal_weight
from forecast_assets.core.evaluation.overfitting import backtest_overfitting, deflated_sharpe
from forecast_assets.core.evaluation.significance import sharpe_interval
from forecast_assets.core.scores.trading import annual_volatility, break_even_cost_bps, sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.helpers.paths import FULL_PANEL
from tools.results import record

FIRST_YEAR, YEARS = 2012, range(2013, 2019)
"""The first year is traded so that there is a past to choose by; the result is that of the others."""

DEMEANED_WITHIN = {"region": ("date", "region", "close"), "sector": ("date", "region", "close", "sector")}
FEATURES = {"few": FEW, "all": ALL}
PENALTIES: dict[str, float | None] = {"ridge 0.1": 0.1, "ridge 10": 10.0, "fixed": None}
"""Ridge penalties, in units of the features' mean sum of squares; None: equal weights with the signs of ``FEW``, ``ALL``."""

LEVERAGE = 20.0
"""Gross size before caps: large enough that the gross cap sets the size of the book, every day and in every variant."""

ENTRY_SESSIONS = 126
"""Sessions before a year from whose forecasts the opening book is made."""

NEEDED, SURE = 0.5, 0.95
SPEC = BacktestSpec(smoothing=0.98)

Floats = NDArray[np.float64]


class Variant(NamedTuple):
    """One point of the grid."""

    horizon: int
    within: str
    features: str
    weights: str

    def __str__(self) -> str:
        return f"{self.horizon} sessions, demeaned within {self.within}, {self.features} features, {self.weights}"


VARIANTS = [Variant(*point) for point in product(HORIZONS, DEMEANED_WITHIN, FEATURES, PENALTIES)]


class Design:
    """All forecast origins as a regression, demeaned within one kind of group."""

    def __init__(self, table: pl.DataFrame, within: str) -> None:
        names = DEMEANED_WITHIN[within]
        apart = table.select((pl.col(name) - pl.col(name).mean().over(names)).alias(name) for name in ALL)
        self.x = apart.to_numpy()  # (M, K)
        self.y = {h: table[f"y_{h}"].to_numpy() for h in HORIZONS}  # (M,), NaN without a label
        self.end = {h: table[f"end_{h}"].to_numpy() for h in HORIZONS}
        self.group = table.select(pl.struct(names).rank("dense")).to_series().to_numpy().astype(np.intp) - 1  # (M,)

    def score(self, variant: Variant, year: int) -> Floats:
        """Return expected returns of all origins in units of volatility, (M,), fitted on labels that end before ``year``."""
        signs = FEATURES[variant.features]
        chosen = [list(ALL).index(name) for name in signs]
        penalty = PENALTIES[variant.weights]
        if penalty is None:
            result: Floats = self.x[:, chosen] @ np.array(list(signs.values())) / len(signs)
            return result
        train = self.end[variant.horizon] < np.datetime64(f"{year}-01-01")  # False without a label
        x, y, group = self.x[train][:, chosen], self.y[variant.horizon][train], self.group[train]
        y = y - (np.bincount(group, y) / np.maximum(np.bincount(group), 1))[group]  # no later label in the mean either
        gram = x.T @ x
        ridge = penalty * np.trace(gram) / len(chosen) * np.eye(len(chosen))
        fitted: Floats = self.x[:, chosen] @ np.linalg.solve(gram + ridge, x.T @ y)
        return fitted


class Search:
    """The forecast origins, and every variant traded year by year in the simulation."""

    def __init__(self, panel: pl.DataFrame) -> None:
        self.panel, self.table = panel, origins(panel)
        self.designs = {within: Design(self.table, within) for within in DEMEANED_WITHIN}
        years = {year: self._year(year, pl.lit(1.0)) for year in [FIRST_YEAR, *YEARS]}
        everything = join_decisions(years)
        self.view = market_of(everything, panel, spec=SPEC)
        self.costs = Costs.of(SPEC.cost_bps, panel)
        self.market = equal_weight(everything, Terms("market", self.view, SPEC, self.costs)).daily

    def trade(self, choices: Mapping[int, Variant]) -> pl.DataFrame:
        """Return the daily table of a book that trades each year's variant, carried over from year to year."""
        decided: dict[int, pl.DataFrame] = {}
        book: Simulation | None = None
        parts = []
        for year, variant in sorted(choices.items()):
            score = pl.Series("score", self.designs[variant.within].score(variant, year))
            decided[year] = self._year(year, score / self.table["sigma"])
            spec = SPEC.model_copy(update={"horizon_sessions": variant.horizon})
            until = dt.date(year, 12, 31)
            terms = Terms(str(variant), self.view, spec, self.costs, continues=book, through=until)
            book = trade_sizes(join_decisions(decided), terms)
            parts.append(book.daily)
        return pl.concat(parts)

    def hedged(self, daily: pl.DataFrame, years: range = YEARS) -> pl.DataFrame:
        """Return date, net_return of a joined series less its past beta times the market's, over ``years``."""
        hedged = beta_hedge(daily, self.market, cost_bps=SPEC.cost_bps)
        return hedged.filter(pl.col("date").dt.year().is_between(years[0], years[-1]))

    def _year(self, year: int, size: pl.Series | pl.Expr) -> pl.DataFrame:
        """Origins of a year and of ``ENTRY_SESSIONS`` before it, with sizes that add up to ``LEVERAGE`` per date."""
        dates = self.table["date"].unique().sort()
        first = dates.filter(dates.dt.year() < year)[-ENTRY_SESSIONS]
        sized = self.table.select("date", "ticker", "sigma", size=size)
        return sized.filter(pl.col("date") >= first, pl.col("date").dt.year() <= year).with_columns(
            LEVERAGE * pl.col("size") / pl.col("size").abs().sum().over("date"),
            split=pl.when(pl.col("date").dt.year() < year).then(pl.lit("validation")).otherwise(pl.lit("test")),
        )


def ratio(hedged: pl.DataFrame) -> float:
    """Return the annual Sharpe ratio of date, net_return."""
    return sharpe(hedged["net_return"].to_numpy(), sessions_per_year=sessions_per_year(hedged["date"].to_numpy()))


def run(path: Path) -> dict[str, dict[str, Any]]:
    """Run the whole search; return its figures."""
    started = time.perf_counter()
    search = Search(inner_panel(path))
    print(f"{search.table.height} forecast origins, {time.perf_counter() - started:.0f} s", flush=True)
    daily = {}
    for variant in VARIANTS:
        daily[variant] = search.trade(dict.fromkeys([FIRST_YEAR, *YEARS], variant))
        print(f"{variant}: {ratio(search.hedged(daily[variant])):.2f}", flush=True)
    results = {variant: search.hedged(series) for variant, series in daily.items()}
    table = np.column_stack([series["net_return"].to_numpy() for series in results.values()])  # (T, variants)

    choices = {
        year: max(VARIANTS, key=lambda variant: ratio(search.hedged(daily[variant], range(FIRST_YEAR, year))))
        for year in YEARS
    }
    best = max(VARIANTS, key=lambda variant: ratio(results[variant]))
    chosen = facts(search, search.trade(choices).with_columns(strategy=pl.lit("chosen")))
    passes = chosen["value"] >= NEEDED and chosen["low"] > 0 and chosen["deflated_probability"] > SURE
    overfitting = backtest_overfitting(table)
    return {
        "signal_inner_hedged_sharpe": chosen
        | {"chosen_by_year": {str(year): str(choice) for year, choice in choices.items()}, "passes": bool(passes)},
        "signal_best_in_hindsight_hedged_sharpe": facts(search, daily[best]) | {"variant": str(best)},
        "signal_variants": {
            "value": len(VARIANTS),
            "hedged_sharpe": {str(variant): ratio(series) for variant, series in results.items()},
            "probability_of_overfitting": overfitting.probability,
            "decisions": search.table.height,
            "seconds": round(time.perf_counter() - started),
        },
    }


def facts(search: Search, daily: pl.DataFrame) -> dict[str, Any]:
    """Return the net beta-hedged Sharpe over ``YEARS`` with its interval and per year, trading costs, and the book unhedged.

    Hedged figures start where the hedge does: 63 sessions into a book. The break-even cost is that of the book's own trades
    since then, at the given cost of the hedge.
    """
    hedged = search.hedged(daily)
    returns, per_year = hedged["net_return"].to_numpy(), sessions_per_year(hedged["date"].to_numpy())
    interval = sharpe_interval(returns, sessions_per_year=per_year, samples=SPEC.bootstrap_samples, seed=SPEC.seed)
    evaluated = daily.filter(pl.col("date").dt.year().is_in(YEARS))
    traded = evaluated.join(hedged.select("date"), on="date", how="semi").sort("date")
    cost, turnover = traded["cost"].to_numpy(), traded["turnover"].to_numpy()
    book = strategy_metrics(evaluated, market=None, spec=SPEC.model_copy(update={"bootstrap_samples": 1}))
    names = ("sharpe", "gross_sharpe", "annual_volatility", "max_drawdown", "gross_exposure", "break_even_cost_bps")
    return {
        "value": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "deflated_probability": deflated_sharpe(returns, trials=len(VARIANTS)),
        "by_year": {str(year): ratio(search.hedged(daily, range(year, year + 1))) for year in YEARS},
        "annual_volatility": annual_volatility(returns, sessions_per_year=per_year),
        "mean_beta": float(hedged["beta"].to_numpy().mean()),
        "turnover": float(turnover.mean()),
        "break_even_cost_bps": break_even_cost_bps(returns + cost, turnover),
        "unhedged": {name: book.filter(pl.col("year").is_null())[name].item() for name in names},
    }


def main() -> None:
    """Search, and record the figures of the reference panel."""
    parser = argparse.ArgumentParser(description="Search the inner years for a tradable mean signal.")
    parser.add_argument("--panel", type=Path, default=FULL_PANEL, help="another panel: a trial, which is not recorded")
    options = parser.parse_args()
    figures = run(options.panel)
    print(json.dumps(figures, indent=1), flush=True)
    if options.panel == FULL_PANEL:
        record("mean_models", figures, command="python -m benchmarks.mean_models")


if __name__ == "__main__":
    main()
