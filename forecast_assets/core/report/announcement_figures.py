"""Figures of the announcements: the inferred dates, what is expected of the next sessions, how regular companies are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecast_assets.core.panel.announcements.columns import AFTERMATH
from forecast_assets.core.panel.announcements.weekdays import UNKNOWN, YEAR, number
from forecast_assets.core.report.figure_style import INK, MUTED, PALETTE, SMALL, canvas, percent, two_panels
from forecast_assets.core.report.figures import year_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AHEAD = 20  # sessions ahead that are drawn
LAST_ROWS = 80  # of a ticker, among which a forecast origin is looked for
MOVED = 12  # weekdays from the last year's date that are distinguished
BAND = 1.96  # standard deviations of a Normal's 95 % band


def announcement_figures(
    ticker: str, *, prices: pl.DataFrame, rows: pl.DataFrame, events: pl.DataFrame
) -> "Iterator[tuple[str, Figure]]":
    """Yield the figures of a ticker by name, and that of all, as far as there is something to draw.

    ``prices`` and ``rows`` are the ticker's: closes, and its last rows in the announcements' table; ``events`` are all.
    """
    own = events.filter(pl.col("ticker") == ticker)
    if own.height:
        yield "dates_on_price", dates_on_price(ticker, prices, own)
    if (origin := forecast_origin(rows)) is not None:
        yield "variance_ahead", variance_ahead(ticker, rows, origin=origin)
    if events.height:
        yield "regularity", regularity(events)


def most_traded(rows: pl.DataFrame) -> str:
    """Return the ticker with the largest turnover in ``rows``, on the exchange that has most tickers: currencies differ."""
    largest = rows.group_by("exchange").agg(pl.col("ticker").n_unique()).sort("ticker", "exchange")["exchange"][-1]
    turnover = (pl.col("close") * pl.col("volume")).sum().alias("turnover")
    traded = (
        rows.filter(pl.col("exchange") == largest)
        .group_by("ticker", maintain_order=True)
        .agg(turnover)
        .sort("turnover", "ticker")
    )
    name: str = traded["ticker"][-1]
    return name


def dates_on_price(ticker: str, prices: pl.DataFrame, events: pl.DataFrame) -> "Figure":
    """Draw the closes of ``prices`` (date, close) and the inferred announcements of ``events`` (date, posterior) on them."""
    figure, (plot,) = canvas(f"{ticker}: reports inferred from prices and volume", height=3.0, panels=1)
    plot.plot(prices["date"].to_numpy(), prices["close"].to_numpy(), color=MUTED, linewidth=0.9)
    plot.set_yscale("log")
    plot.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    plot.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    plot.tick_params(which="minor", labelsize=SMALL, colors=MUTED)
    marked = prices.join(events, on="date").sort("date")
    for day, posterior in marked.select("date", "posterior").iter_rows():
        plot.axvline(day, color=PALETTE[1], linewidth=0.8, alpha=float(posterior))
    plot.scatter(
        marked["date"].to_numpy(),
        marked["close"].to_numpy(),
        s=28 * marked["posterior"].to_numpy(),
        color=PALETTE[1],
        zorder=3,
    )
    year_axis(plot)
    plot.set_xlabel("the surer, the larger the dot and the darker the line", fontsize=SMALL, color=MUTED)
    return figure


def forecast_origin(rows: pl.DataFrame) -> int | None:
    """Return the place among a ticker's ``rows`` of the latest origin whose next announcement is surest and some days off.

    It is one of the last ``LAST_ROWS``, ``AHEAD`` sessions before the end at least, and none over the turn of a year, when
    expectations change. None where there is none.
    """
    year = rows["date"].dt.year()
    place = pl.int_range(rows.height, eager=True)
    late = (place >= rows.height - LAST_ROWS) & (place < rows.height - AHEAD) & (year == year.shift(-AHEAD))
    surest = rows["announcement_20d"].clip(upper_bound=1.0) - rows["announcement_5d"]
    found = surest.filter(late).arg_max()
    return None if found is None else int(place.filter(late)[found])


def variance_ahead(ticker: str, rows: pl.DataFrame, *, origin: int) -> "Figure":
    """Draw what is expected, at row ``origin`` of ``rows`` (a ticker's, of the announcements' table), of the sessions ahead.

    Above the band of a Normal return over 1, 2, ... sessions, below the standard deviation of each session. An announcement
    has the variance of its usual size; what is expected of a session is known at the origin, since it rests on what lies a
    quarter back.
    """
    at = rows.row(origin, named=True)
    ahead = rows["expected"].slice(origin + 1, AHEAD).fill_null(0.0).to_numpy()
    chance = np.minimum(ahead * at["announcement_1d"] / max(float(ahead[0]), 1e-12), 1.0)
    jump = max(float(np.exp(at["announcement_jump"])), 1.0)
    quiet = float(np.exp(at["quiet_variance_22"]))
    variance = quiet * (1.0 + chance * (AFTERMATH * jump**2 - 1.0))
    figure, upper, lower = two_panels(
        f"{ticker}: sessions ahead, as expected on {at['date']}", height=4.0, heights=(3.0, 2.0)
    )
    session = np.arange(1, AHEAD + 1)
    steps = np.concatenate([[0], session])
    for values, colour, name in (
        (np.full(AHEAD, quiet), PALETTE[0], "without announcements"),
        (variance, PALETTE[1], "with the one that is expected"),
    ):
        edge = 100.0 * BAND * np.sqrt(np.concatenate([[0.0], np.cumsum(values)]))
        upper.fill_between(steps, -edge, edge, color=colour, alpha=0.22, linewidth=0)
        upper.plot(steps, edge, color=colour, linewidth=1.1, label=name)
        upper.plot(steps, -edge, color=colour, linewidth=1.1)
    upper.axhline(0.0, color=INK, linewidth=0.6)
    upper.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %")
    for plot in (upper, lower):
        plot.set_xlim(-0.5, AHEAD + 0.7)
        plot.set_xticks(range(0, AHEAD + 1, 5))
    upper.set_ylim(top=1.7 * edge[-1])  # room for the legend
    upper.legend(fontsize=SMALL, frameon=False, loc="upper left")
    upper.set_title("95 % band of the return from the close", fontsize=SMALL, color=INK, loc="left")
    lower.bar(session, 100.0 * np.sqrt(variance), color=PALETTE[1], width=0.7)
    lower.bar(session, np.full(AHEAD, 100.0 * np.sqrt(quiet)), color=PALETTE[0], width=0.7)
    lower.yaxis.set_major_formatter(lambda value, _: f"{value:.1f} %")
    lower.set_title("standard deviation of each session", fontsize=SMALL, color=INK, loc="left")
    lower.set_xlabel(
        f"sessions ahead; {percent(min(at['announcement_20d'], 1.0))} that it reports in {AHEAD}", fontsize=SMALL
    )
    return figure


def distance_to_last_year(events: pl.DataFrame) -> dict[int, float]:
    """Return by weekdays from the date a year before which share of ``events`` (ticker, date, posterior) came then.

    Shares of the posterior mass of events with more than a year of events behind them. They add up to less than one, by
    those without an event about a year before.
    """
    days = number(events["date"].cast(pl.Int32).to_numpy().astype(np.int64))
    dated = events.select("ticker", "posterior", day=pl.Series(days)).filter(pl.col("day") != UNKNOWN)
    first = pl.col("day").min().over("ticker")
    counted = dated.filter(pl.col("day") >= first + YEAR + MOVED)
    moves = pl.DataFrame({"move": range(-MOVED, MOVED + 1)})
    wanted = counted.join(moves, how="cross").with_columns(before=pl.col("day") - YEAR - pl.col("move"))
    pairs = wanted.join(dated.select("ticker", before="day", was="posterior"), on=["ticker", "before"])
    mass = dict(
        pairs.group_by("move", maintain_order=True).agg((pl.col("posterior") * pl.col("was")).sum()).iter_rows()
    )
    total = max(float(counted["posterior"].sum()), 1e-12)
    return {move: float(mass.get(move, 0.0)) / total for move in range(-MOVED, MOVED + 1)}


def regularity(events: pl.DataFrame) -> "Figure":
    """Draw how far from the last year's date announcements come, all tickers together."""
    shares = distance_to_last_year(events)
    figure, (plot,) = canvas("How regular companies are", height=2.9, panels=1)
    plot.bar(
        list(shares), list(shares.values()), color=[PALETTE[1] if m % 5 == 0 else PALETTE[0] for m in shares], width=0.8
    )
    plot.yaxis.set_major_formatter(lambda value, _: percent(value))
    plot.set_xticks(range(-10, 11, 5))
    plot.set_xlabel("weekdays from the date 52 weeks before", fontsize=SMALL, color=MUTED)
    plot.set_ylabel("share of announcements", fontsize=SMALL, color=MUTED)
    return figure
