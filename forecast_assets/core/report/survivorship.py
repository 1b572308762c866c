"""The report's part on survivorship: Sharpe ratios and coverage as bands over planted delistings, or with the real ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from forecast_assets.core.backtest.strategies import EQUAL_RISK, EQUAL_WEIGHT, MODEL
from forecast_assets.core.evaluation.delistings import DelistedCoverage, Delistings
from forecast_assets.core.report.figure_style import INK, MUTED, PALETTE, SMALL, canvas
from forecast_assets.core.report.formats import decimal, percent, session_count
from forecast_assets.core.report.titles import title
from forecast_assets.core.scores.trading import Floats, sessions_per_year, sharpe
from forecast_assets.core.specs import SurvivorshipSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND = (0.05, 0.5, 0.95)  # quantiles over the plantings
DRAWN = (MODEL, EQUAL_WEIGHT, f"{EQUAL_RISK}_{MODEL}")  # the first two with a Sharpe ratio are
LEAST_SPAN = (0.93, 0.96)  # of coverage: never so fine that a tenth of a percent looks like a gap
SPREAD = 0.18  # of a rate's place, between two recoveries


def survivorship_section(
    delistings: Delistings,
    *,
    sharpes: Mapping[str, Floats],
    coverage: DelistedCoverage,
    daily: pl.DataFrame,
    spec: SurvivorshipSpec,
) -> dict[str, Any]:
    """Return is_real, settings, tickers, delistings by rate, and the bands of each strategy and horizon.

    ``sharpes``: (R, P, C) of each strategy; ``daily``: joined daily table, for the Sharpe ratios without
    delistings. A band has rate,
    recovery, low, median, high: the 5, 50 and 95 % quantiles over the plantings. Undefined numbers are NaN.
    """
    strategies = []
    for name, found in sharpes.items():
        book = daily.filter(pl.col("strategy") == name).sort("date")
        without = sharpe(book["net_return"].to_numpy(), sessions_per_year=sessions_per_year(book["date"].to_numpy()))
        strategies.append({"strategy": name, "sharpe": without, "bands": _bands(found, delistings.rates, spec)})
    counts = delistings.counts
    return {
        "is_real": delistings.is_real,
        "settings": spec.model_dump(),
        "tickers": len(delistings.tickers),
        "ticker_years": delistings.ticker_years,
        "delistings": [
            {"rate": rate, "mean": float(of.mean()), "least": int(of.min()), "most": int(of.max())}
            for rate, of in zip(delistings.rates, counts, strict=True)
        ],
        "strategies": strategies,
        "coverage": [
            {"horizon": horizon, "coverage": float(without), "bands": _bands(after, delistings.rates, spec)}
            for horizon, without, after in zip(
                coverage.horizons, coverage.without, np.moveaxis(coverage.after, -1, 0), strict=True
            )
        ],
    }


def survivorship_in_words(section: Mapping[str, Any]) -> str:
    """Return what the middle one of the rates and recoveries does to the first strategy, equal weight and the coverage."""
    settings, number = section["settings"], section["settings"]["plantings"]
    middle = section["delistings"][len(section["delistings"]) // 2]
    recovery = settings["recoveries"][len(settings["recoveries"]) // 2]
    by_name = {row["strategy"]: row for row in section["strategies"]}
    rows = [by_name[name] for name in dict.fromkeys((MODEL, EQUAL_WEIGHT)) if name in by_name]
    books = " and ".join(
        f"{_between(band_of(row, middle['rate'], recovery), decimal)} for {title(row['strategy'])} "
        f"({decimal(row['sharpe'])} without)"
        for row in rows
    )
    covers = ", ".join(
        f"{_between(band_of(row, middle['rate'], recovery), percent)} over {session_count(row['horizon'])} "
        f"({percent(row['coverage'])})"
        for row in section["coverage"]
    )
    if section["is_real"] and not middle["most"]:
        return "Delistings: no member's quotes end in the test years, so that nothing rests on what holders got."
    if section["is_real"]:
        return (
            f"Delistings: the quotes of {middle['most']} member{'s' if middle['most'] != 1 else ''} end in the test years, "
            f"{percent(middle['rate'])} of the tickers a year, and all other figures sell them at their last price. Had "
            f"holders got {percent(recovery, 0)} of it instead, net Sharpe ratios would be {books}, and the "
            f"95 % band would cover {covers}."
        )
    return (
        f"Survivorship as a number: with {percent(middle['rate'])} of the tickers delisted in a year, volatile and fallen "
        f"ones first, and {percent(recovery, 0)} of their last price recovered, net Sharpe ratios would be {books}, and "
        f"the 95 % band would cover {covers}: 5 to 95 % of {number} plantings."
    )


def band_of(row: Mapping[str, Any], rate: float, recovery: float) -> Mapping[str, Any]:
    """Return the band of a strategy or horizon at a rate and a recovery."""
    return next(band for band in row["bands"] if (band["rate"], band["recovery"]) == (rate, recovery))


def survivorship_figures(section: Mapping[str, Any]) -> "dict[str, Figure]":
    """Return the section's figures: Sharpe ratios of two books, and coverage by horizon."""
    by_name = {row["strategy"]: row for row in section["strategies"]}
    chosen = [by_name[name] for name in DRAWN if name in by_name and np.isfinite(_number(by_name[name]["sharpe"]))][:2]
    figures = {}
    if chosen:
        plots = [(title(row["strategy"]), row["sharpe"], row["bands"]) for row in chosen]
        heading = "Net Sharpe ratio with delistings"
        figures["survivorship:sharpe"] = _draw_bands(heading, plots, unit=lambda value: decimal(value, 1))
    plots = [(session_count(row["horizon"]), row["coverage"], row["bands"]) for row in section["coverage"]]
    heading = "Coverage of the 95 % band with delistings"
    drawn = _draw_bands(heading, plots, unit=lambda value: percent(value, 0), least=LEAST_SPAN)
    return figures | {"survivorship:coverage": drawn}


def _draw_bands(
    heading: str,
    plots: Sequence[tuple[str, float | None, Sequence[Mapping[str, Any]]]],
    *,
    unit: Any,
    least: tuple[float, float] | None = None,
) -> "Figure":
    """Draw the band of each rate and recovery beside the value without delistings, a dashed line.

    With ``least`` all plots share a scale that spans it.
    """
    figure, axes = canvas(heading, height=3.0, panels=len(plots), shared_scale=least is not None)
    rates, recoveries = (list(dict.fromkeys(band[key] for band in plots[0][2])) for key in ("rate", "recovery"))
    for plot, (name, without, bands) in zip(axes, plots, strict=True):
        plot.set_title(name, fontsize=SMALL, color=INK, parse_math=False)
        plot.axhline(_number(without), color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        for band in bands:
            place = recoveries.index(band["recovery"])
            at = rates.index(band["rate"]) + SPREAD * (place - (len(recoveries) - 1) / 2)
            low, median, high = (_number(band[key]) for key in ("low", "median", "high"))
            plot.vlines(at, low, high, color=PALETTE[place % len(PALETTE)], linewidth=2.2)
            plot.plot(at, median, "o", color=PALETTE[place % len(PALETTE)], markersize=4)
        plot.set_xticks(range(len(rates)), [f"{100 * rate:.2g} %" for rate in rates])
        plot.set_xlim(-0.6, len(rates) - 0.4)
        plot.set_xlabel("delisted in a year", fontsize=SMALL, color=MUTED)
        plot.locator_params(axis="y", nbins=4, steps=[1, 2, 5, 10])
        plot.yaxis.set_major_formatter(lambda value, _: unit(value))
    if least is not None:
        low, high = axes[0].get_ylim()
        axes[0].set_ylim(min(low, least[0]), max(high, least[1]))
    _name_recoveries(figure, recoveries)
    return figure


def _name_recoveries(figure: "Figure", recoveries: Sequence[float]) -> None:
    """Write below the figure which colour is which recovery."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=PALETTE[k % len(PALETTE)], linewidth=2.2) for k in range(len(recoveries))]
    texts = [f"{percent(recovery, 0)} recovered" for recovery in recoveries]
    figure.legend(
        lines, texts, loc="outside lower left", ncols=min(len(lines), 3), frameon=False, fontsize=SMALL, handlelength=1
    )


def _bands(found: Floats, rates: Sequence[float], spec: SurvivorshipSpec) -> list[dict[str, float]]:
    """Return the band of each rate and recovery of values (R, P, C); NaN where one is undefined."""
    low, median, high = np.quantile(found, BAND, axis=1)  # (R, C) each
    return [
        {
            "rate": rate,
            "recovery": recovery,
            "low": float(low[r, c]),
            "median": float(median[r, c]),
            "high": float(high[r, c]),
        }
        for r, rate in enumerate(rates)
        for c, recovery in enumerate(spec.recoveries)
    ]


def _between(band: Mapping[str, Any], text: Any) -> str:
    low, high = text(band["low"]), text(band["high"])
    return low if low == high else f"{low} to {high}"


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
