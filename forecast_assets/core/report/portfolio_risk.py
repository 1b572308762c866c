"""The report's section on losses: value at risk of the walk-forward's book and of equal weights, and how it was kept."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.joint.portfolio import LEVELS
from forecast_assets.core.joint.scenarios import scenario_returns
from forecast_assets.core.joint.walk_forward import (
    apart_outcomes,
    coverage_tests,
    equal_weights,
    es_column,
    held_weights,
    portfolio_outcomes,
    scenario_days,
    var_column,
)
from forecast_assets.core.report.figure_style import GRID, LOSS, MUTED, PALETTE, SMALL, percent, two_panels
from forecast_assets.core.report.figures import year_axis
from forecast_assets.core.report.formats import session_count
from forecast_assets.core.report.titles import title
from forecast_assets.core.specs import ScenarioSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EQUAL = "equal weights"
REPORT_SCENARIOS = 2000
"""Of each day at most: there are hundreds of days."""
REJECTED = 0.05


def book_outcomes(
    forecasts: pl.DataFrame,
    positions: pl.DataFrame,
    *,
    sectors: Mapping[str, str | None],
    spec: ScenarioSpec,
    model: str,
) -> pl.DataFrame:
    """Return what the book of ``model`` and equal weights risked on each test day and then earned: ``portfolio_outcomes``.

    ``forecasts``: date, ticker, horizon, split, the quantiles, y and label_end, each key once; ``positions``: date, ticker,
    weight. Days before which too little had matured are left out; empty where that is all of them.
    """
    quick = spec.model_copy(update={"scenarios": min(spec.scenarios, REPORT_SCENARIOS)})
    tested = forecasts.filter(pl.col("split") == "test").drop_nulls("label_end")
    days = tested["date"].unique().sort().to_numpy().astype("datetime64[D]")
    portfolios = {model: held_weights(positions), EQUAL: equal_weights}
    rows: list[dict[str, object]] = []
    for day in scenario_days(forecasts, days=days, sectors=sectors, spec=quick, skip_early=True):
        rows += portfolio_outcomes(day, scenario_returns(day.quantiles, day.model, spec=quick), portfolios, spec=quick)
    return pl.DataFrame(rows)


def portfolio_risk_section(outcomes: pl.DataFrame, *, model: str) -> dict[str, Any] | None:
    """Return the tests of ``book_outcomes`` by portfolio, horizon and level, with mean risks, and a sentence; None if empty.

    A row: as ``coverage_tests``, with the means of value at risk and expected shortfall, and of the losses that exceeded
    the first (NaN without any).
    """
    if outcomes.is_empty():
        return None
    rows = coverage_tests(outcomes).to_dicts()
    apart = apart_outcomes(outcomes)
    for row in rows:
        own = apart.filter(pl.col("portfolio") == row["portfolio"], pl.col("horizon") == row["horizon"])
        var, es, loss = own[var_column(row["level"])], own[es_column(row["level"])], -own["realised"]
        beyond = loss.filter(loss > var).to_numpy()
        row |= {"value_at_risk": var.mean(), "expected_shortfall": es.mean()}
        row["mean_exceeding_loss"] = float(beyond.mean()) if len(beyond) else float("nan")
    first = {column: [row for row in rows if row["portfolio"] == column] for column in (model, EQUAL)}
    return {
        "rows": [*first[model], *first[EQUAL]],
        "first": outcomes["date"].min(),
        "last": outcomes["date"].max(),
        "sentence": _sentence(rows, model=model),
    }


def _sentence(rows: Sequence[Mapping[str, Any]], *, model: str) -> str:
    own = [row for row in rows if row["portfolio"] == model and row["horizon"] == HORIZONS[0]]
    if own:
        counts = ", and ".join(
            f"more than its {100 * row['level']:g} % value at risk on {row['exceedances']} ({row['expected']:.1f} expected)"
            for row in own
        )
        began = f"Of {own[0]['days']:,} days the book lost over one session {counts}."
    else:
        began = "The book held nothing on the days that have an outcome, so it risked nothing."
    doubtful = [row for row in rows if min(row["kupiec_holm"], row["christoffersen_holm"]) < REJECTED]
    if not doubtful:
        return f"{began} None of the {2 * len(rows)} tests below finds that the promise was not kept."
    named = "; ".join(
        f"{_name(row['portfolio'], model)} over {session_count(row['horizon'])} at {100 * row['level']:g} % "
        f"({row['exceedances']} of {row['days']:,}, {row['expected']:.1f} expected)"
        for row in doubtful
    )
    return f"{began} The promise was not kept by: {named}."


def _name(portfolio: str, model: str) -> str:
    return "the book" if portfolio == model else portfolio


def portfolio_risk_figure(outcomes: pl.DataFrame, *, model: str) -> "Figure":
    """Draw the returns of ``book_outcomes`` over one session, the loss quantiles below them, and what fell below these."""
    figure, *plots = two_panels(
        "Return over one session, and the losses that were to be exceeded on 5 % and 1 % of days",
        height=4.2,
        heights=(1.0, 1.0),
    )
    one = outcomes.filter(pl.col("horizon") == HORIZONS[0]).sort("date")
    for plot, portfolio in zip(plots, (model, EQUAL), strict=True):
        own = one.filter(pl.col("portfolio") == portfolio)
        dates, realised = own["date"].to_numpy(), own["realised"].to_numpy()
        plot.vlines(dates, 0.0, realised, color=GRID, linewidth=0.8)
        for level, colour in zip(LEVELS, (PALETTE[0], MUTED), strict=True):
            plot.plot(dates, -own[var_column(level)].to_numpy(), color=colour, linewidth=1.2)
        bounds = np.stack([-own[var_column(level)].to_numpy() for level in LEVELS]) if own.height else np.empty((2, 0))
        for size, below in ((9.0, (realised < bounds[0]) & (realised >= bounds[1])), (22.0, realised < bounds[1])):
            plot.scatter(dates[below], realised[below], s=size, color=LOSS, zorder=3)
        plot.axhline(0.0, color=MUTED, linewidth=0.8)
        plot.set_title(
            title(portfolio) if portfolio == model else EQUAL.capitalize(), fontsize=SMALL, color=MUTED, loc="left"
        )
        plot.yaxis.set_major_formatter(lambda value, _: percent(value, digits=2))
        year_axis(plot)
    return figure
