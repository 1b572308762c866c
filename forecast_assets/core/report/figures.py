"""The reports' figures: each function draws a table as a matplotlib ``Figure``."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.report.figure_style import (
    GAIN,
    GRID,
    INK,
    LINE_ID,
    LOSS,
    MUTED,
    NO_VALUE,
    ON_PALE,
    ON_STRONG,
    PALETTE,
    SMALL,
    canvas,
    colours,
    label_ends,
    list_below,
    note,
    percent,
    read_off,
    wrapped,
)
from forecast_assets.core.report.formats import points, session_count
from forecast_assets.core.report.titles import title
from forecast_assets.core.scores.quantile import pit
from forecast_assets.core.scores.trading import EPS, Floats, drawdown, sessions_per_year

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LUMINANCE = (0.2126, 0.7152, 0.0722)
SHOWN = 12  # variables that are drawn, of those that a network selects from
DENSE_COLUMNS = 9
ROW = 0.36  # inches of a row with a label of two lines
EQUITY_STEPS = ((1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,))


def equity_curves(daily: pl.DataFrame, *, strategies: Sequence[str]) -> "Figure":
    """Draw the growth of 1 after costs, on a log axis, of the strategies of a daily table, in the order given."""
    figure, (plot,) = canvas("Growth of 1, net of costs", height=3.6, panels=1)

    def equity(net: Floats) -> Floats:
        growth: Floats = np.cumprod(1.0 + net, dtype=np.float64)
        return growth[: int(np.argmax(growth <= 0)) if (growth <= 0).any() else len(growth)]  # ruin has no logarithm

    ends = _strategy_lines(plot, daily, strategies, height=equity, widths=(2.2, 1.3))
    plot.set_yscale("log")
    plot.set_yticks(_log_ticks(*plot.get_ylim()))
    plot.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    plot.yaxis.minorticks_off()
    plot.axhline(1.0, color=MUTED, linewidth=0.8)
    year_axis(plot)
    read_off(plot, unit="number")
    label_ends(plot, ends, colour=colours(strategies))
    return figure


def drawdown_curves(daily: pl.DataFrame, *, strategies: Sequence[str]) -> "Figure":
    """Draw the fall of the net equity from its running peak."""
    figure, (plot,) = canvas("Drawdown, net of costs", height=3.0, panels=1)
    ends = _strategy_lines(plot, daily, strategies, height=drawdown, widths=(1.6, 1.0))
    read_off(plot, unit="percent")
    plot.yaxis.set_major_formatter(lambda value, _: percent(value))
    year_axis(plot)
    label_ends(plot, ends, colour=colours(strategies))
    return figure


def rolling_volatility(daily: pl.DataFrame, *, strategies: Sequence[str], target: float, sessions: int) -> "Figure":
    """Draw the annual volatility of net returns over the last ``sessions``, beside the target that it is to be held at."""
    figure, (plot,) = canvas(f"Volatility over {sessions} sessions, net of costs", height=3.2, panels=1)
    dates = daily["date"].unique().sort().to_numpy()
    per_year = sessions_per_year(dates)

    def volatility(net: Floats) -> Floats:
        rolling = pl.Series(net).rolling_std(sessions) * per_year**0.5
        return np.asarray(rolling.to_numpy(), dtype=np.float64)

    ends = _strategy_lines(plot, daily, strategies, height=volatility, widths=(2.0, 1.2))
    read_off(plot, unit="percent")
    plot.axhline(target, color=MUTED, linewidth=1.0, linestyle="--")
    plot.set_ylim(bottom=0.0)
    plot.yaxis.set_major_formatter(lambda value, _: percent(value))
    year_axis(plot)
    label_ends(plot, ends, colour=colours(strategies))
    return figure


def rolling_sharpe(daily: pl.DataFrame, *, strategies: Sequence[str], sessions: int) -> "Figure":
    """Draw the Sharpe ratio of net returns over the last ``sessions``; nothing where a book held nothing."""
    figure, (plot,) = canvas(f"Sharpe ratio over {sessions} sessions, net of costs", height=3.0, panels=1)
    per_year = sessions_per_year(daily["date"].unique().sort().to_numpy())

    def ratio(net: Floats) -> Floats:
        series = pl.Series(net)
        mean, deviation = series.rolling_mean(sessions).to_numpy(), series.rolling_std(sessions).to_numpy()
        defined = deviation > EPS  # rounding noise around zero is no volatility
        found = np.full(len(mean), np.nan)
        np.divide(mean, deviation, out=found, where=defined)
        return np.asarray(found * per_year**0.5, dtype=np.float64)

    ends = _strategy_lines(plot, daily, strategies, height=ratio, widths=(1.8, 1.1))
    read_off(plot, unit="number")
    plot.axhline(0.0, color=MUTED, linewidth=0.8)
    year_axis(plot)
    label_ends(plot, ends, colour=colours(strategies))
    return figure


def _strategy_lines(
    plot: "Axes",
    daily: pl.DataFrame,
    strategies: Sequence[str],
    *,
    height: Callable[[Floats], Floats],
    widths: tuple[float, float],
) -> dict[str, float]:
    """Draw ``height`` of each strategy's net returns, the first with the larger width; return where each line ends."""
    colour, ends = colours(strategies), {}
    for name in reversed(strategies):  # the first one is drawn on top
        rows = daily.filter(pl.col("strategy") == name).sort("date")
        if np.isfinite(line := height(rows["net_return"].to_numpy())).any():
            dates, width = rows["date"].to_numpy()[: len(line)], widths[name != strategies[0]]
            plot.plot(dates, line, color=colour[name], linewidth=width, label=title(name), gid=LINE_ID)
            ends[name] = float(line[np.isfinite(line)][-1])
    return ends


def yearly_returns(daily: pl.DataFrame, *, strategies: Sequence[str]) -> "Figure":
    """Draw the net return of each strategy in each year, as coloured numbers (blue gains, orange losses, grey 0)."""
    table = (
        daily.group_by("strategy", "year", maintain_order=True)
        .agg(net=(1.0 + pl.col("net_return")).product() - 1.0)
        .pivot(on="year", index="strategy", values="net")
    )
    years = sorted(daily["year"].unique().to_list())
    order = pl.DataFrame({"strategy": list(strategies)})
    values = order.join(table, on="strategy", how="left").select(str(year) for year in years).to_numpy().astype(float)
    figure, (plot,) = canvas("Net return by year", height=0.9 + ROW * len(strategies), panels=1)
    reach = max(float(np.nanmax(np.abs(values), initial=0.0)), 0.01)
    texts = [[percent(value) for value in row] for row in values]
    _heat_map(plot, values, reach=reach, texts=texts, columns=years, rows=[wrapped(name) for name in strategies])
    return figure


def weights_by_year(weights: Mapping[str, Sequence[float]], *, years: Sequence[int], model: str) -> "Figure":
    """Draw the selection weight of each variable in each year, of the ``SHOWN`` first ones of ``weights``."""
    count, weights = len(weights), dict(list(weights.items())[:SHOWN])
    values = np.array(list(weights.values()))  # (variables, years)
    heading = f"Selection weights of {title(model)}: {len(weights)} of {count} variables"
    figure, (plot,) = canvas(heading, height=0.9 + 0.26 * len(weights), panels=1)
    texts = [[percent(value) for value in row] for row in values]
    _heat_map(plot, values, reach=max(float(values.max()), 0.01), texts=texts, columns=years, rows=list(weights))
    return figure


def coverage_by_year(coverage: pl.DataFrame, *, model: str) -> "Figure":
    """Draw the share of returns inside the 95 % and 90 % bands, per horizon and year, beside the nominal lines.

    ``coverage``: model, horizon, year, coverage_95, coverage_90.
    """
    rows = coverage.filter(pl.col("model") == model)
    bands = (("95 %", "coverage_95", 0.95, PALETTE[0], "o"), ("90 %", "coverage_90", 0.90, PALETTE[1], "s"))
    figure, plots, tables = _horizon_panels(f"Coverage of the 95 % and 90 % bands: {title(model)}", rows, height=2.9)
    for plot, table in zip(plots, tables, strict=False):
        of_horizon = table.sort("year")
        years = of_horizon["year"].to_numpy()
        for _, column, nominal, colour, marker in bands:
            plot.axhline(nominal, color=colour, linewidth=1, linestyle=(0, (4, 3)))
            plot.plot(years, of_horizon[column].to_numpy(), marker, color=colour, markersize=5)
        shown = years[:: 1 + len(years) // 5]
        plot.set_xticks(shown, [f"'{year % 100:02d}" for year in shown])
        plot.set_xlim(years.min() - 0.6, years.max() + 0.6)
    plots[0].yaxis.set_major_formatter(lambda value, _: percent(value))
    low, high = plots[0].get_ylim()
    plots[0].set_ylim(min(low, 0.85), max(high, 0.99))
    for text, _, level, colour, _ in bands:
        plots[-1].annotate(
            text, (1.03, level), xycoords=("axes fraction", "data"), color=colour, va="center", fontsize=SMALL
        )
    return figure


def _horizon_panels(
    heading: str, rows: pl.DataFrame, *, height: float
) -> "tuple[Figure, list[Axes], list[pl.DataFrame]]":
    """Return a figure with a titled plot per horizon, and the rows of each; one empty plot without a row."""
    horizons = sorted(rows["horizon"].unique().to_list())
    figure, plots = canvas(heading, height=height, panels=max(len(horizons), 1))
    for plot, horizon in zip(plots, horizons, strict=False):
        plot.set_title(session_count(horizon), fontsize=SMALL, color=INK)
    return figure, plots, [rows.filter(pl.col("horizon") == horizon) for horizon in horizons]


def pit_histograms(forecasts: pl.DataFrame, *, model: str) -> "Figure":
    """Draw where outcomes fall in the forecast distribution, per horizon: flat is calibrated, a hump is too wide."""
    rows = forecasts.filter((pl.col("model") == model) & (pl.col("split") == "test") & pl.col("y").is_not_null())
    figure, plots, tables = _horizon_panels(f"Probability integral transform: {title(model)}", rows, height=2.5)
    for plot, of_horizon in zip(plots, tables, strict=False):
        places = pit(of_horizon["y"].to_numpy(), of_horizon.select(QUANTILE_COLUMNS).to_numpy(), levels=QUANTILES)
        share, edges = np.histogram(places, bins=10, range=(0.0, 1.0))
        plot.bar(edges[:-1], share / max(share.sum(), 1), width=0.1, align="edge", color=PALETTE[0], edgecolor="white")
        plot.axhline(0.1, color=PALETTE[1], linewidth=1.4, linestyle=(0, (4, 3)))
        plot.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
        plot.locator_params(axis="y", steps=[1, 2, 5, 10])
    plots[0].yaxis.set_major_formatter(lambda value, _: percent(value))
    return figure


def fan_chart(prices: pl.DataFrame, forecasts: pl.DataFrame, *, ticker: str, date: dt.date, model: str) -> "Figure":
    """Draw the close before and after a forecast origin, and the model's forecast of the sessions after it.

    ``prices``: rows of a calendar panel (date, ticker, close). Horizontal axis: the ticker's own sessions from the
    origin. Bands between the horizons are interpolated from the last close. Raises BadInput where the ticker has no quote
    or the model no forecast on that day.
    """
    path = prices.filter(pl.col("ticker") == ticker).sort("date")
    rows = forecasts.filter(pl.col("ticker") == ticker, pl.col("date") == date, pl.col("model") == model).sort(
        "horizon"
    )
    at = path["date"].index_of(date)
    if at is None or not rows.height:
        raise BadInput(
            f"fan chart: {ticker} has no quote or no forecast of {title(model)} on {date}; choose another day"
        )
    close = path["close"].to_numpy()
    sessions = np.arange(len(close)) - at
    ahead = np.concatenate([[0], rows["horizon"].to_numpy()])
    fan = close[at] * np.exp(np.vstack([np.zeros(len(QUANTILES)), rows.select(QUANTILE_COLUMNS).to_numpy()]))

    figure, (plot,) = canvas(f"{ticker}: forecast of {title(model)} on {date}", height=3.2, panels=1)
    for low, high, shade in ((0, 6, 0.16), (1, 5, 0.22), (2, 4, 0.35)):
        plot.fill_between(ahead, fan[:, low], fan[:, high], color=PALETTE[0], alpha=shade, linewidth=0)
    plot.plot(ahead, fan[:, 3], color=PALETTE[0], linewidth=1.4)
    before, after = (sessions >= -60) & (sessions <= 0), (sessions >= 0) & (sessions <= ahead[-1])
    plot.plot(sessions[before], close[before], color=INK, linewidth=1.4)
    plot.plot(sessions[after], close[after], color=PALETTE[1], linewidth=1.8)
    plot.axvline(0, color=MUTED, linewidth=0.8)
    plot.set_xlim(-60, ahead[-1] * 1.05)
    plot.set_xlabel("sessions from the forecast", fontsize=SMALL, color=MUTED)
    legend = ((0.02, "close before", INK), (0.3, "bands 95, 90, 50 %", PALETTE[0]), (0.66, "close after", PALETTE[1]))
    for place, text, tint in legend:
        plot.annotate(text, (place, 1.02), xycoords="axes fraction", fontsize=SMALL, color=tint)
    return figure


def training_curves(curves: pl.DataFrame) -> "Figure":
    """Draw the training loss (the network's own) and validation pinball (standardised) of each fit by epoch.

    ``curves``: fit, epoch, train_loss, validation_pinball; an estimator has one epoch and no ``train_loss``.
    """
    from matplotlib.ticker import MaxNLocator

    if "train_loss" not in curves.columns:
        curves = curves.with_columns(train_loss=pl.lit(None, dtype=pl.Float64))
    figure, plots = canvas("Training by epoch", height=2.8, panels=2, shared_scale=False)
    colour = colours(curves["fit"].cast(pl.String).unique(maintain_order=True).to_list())
    curves = curves.with_columns(pl.col("fit").cast(pl.String)).sort("epoch", maintain_order=True)
    losses = {"train_loss": "training loss", "validation_pinball": "validation pinball"}
    for plot, (column, heading) in zip(plots, losses.items(), strict=True):
        for name in colour:
            rows = curves.filter(pl.col("fit") == name)
            plot.plot(rows["epoch"].to_numpy(), rows[column].to_numpy(), "o-", color=colour[name], markersize=3)
        plot.set_title(heading, fontsize=SMALL, color=INK)
        plot.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    last = curves.group_by("fit").agg(pl.col("validation_pinball").last())
    label_ends(plots[-1], {name: end for name, end in last.iter_rows() if np.isfinite(end)}, colour=colour)
    return figure


def pinball_ratios(ratios: pl.DataFrame, *, models: Sequence[str], baseline: str) -> "Figure":
    """Draw the mean pinball loss over the baseline's with its interval, per horizon; left of 1 is better.

    ``ratios``: model, horizon, ratio, low, high (the interval may be null). Models from top to bottom in the order
    given.
    """
    heading = f"Pinball loss over that of {title(baseline)}"
    figure, plots, tables = _horizon_panels(heading, ratios, height=1.1 + ROW * len(models))
    order = pl.DataFrame({"model": list(models)})
    numbers = pl.col("ratio", "low", "high").cast(pl.Float64).fill_null(np.nan)
    for plot, table in zip(plots, tables, strict=False):
        rows = order.join(table, on="model", how="left").select(numbers)
        _intervals(plot, *rows.to_numpy().T, labels=[wrapped(name) for name in models])
        plot.locator_params(axis="x", nbins=2)
    return figure


def year_axis(plot: "Axes") -> None:
    """Label the horizontal axis with dates."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)
    plot.xaxis.set_major_locator(locator)
    plot.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    plot.margins(x=0.01)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two positive heights: the finest steps that give no more than eight."""
    for steps in EQUITY_STEPS:
        ticks = np.outer(10.0 ** np.arange(-12, 12), steps).ravel()
        inside = [float(tick) for tick in ticks if low <= tick <= high]
        if len(inside) <= 8:
            break
    return inside


def step_ratios(steps: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draw the pinball loss of each step's model over the other's, mean over horizons, with its interval.

    ``steps``: model, rival, estimate, low, high (NaN or None where undefined).
    """
    heading = "Ratio of pinball losses with its 95 % interval"
    figure, (plot,) = canvas(heading, height=1.1 + ROW * len(steps), panels=1)
    numbers = np.array([[step[name] for step in steps] for name in ("estimate", "low", "high")], dtype=np.float64)
    _intervals(plot, *numbers, labels=[f"{title(step['model'])}\nvs {title(step['rival'])}" for step in steps])
    return figure


def _intervals(plot: "Axes", ratio: Floats, low: Floats, high: Floats, *, labels: Sequence[str]) -> None:
    """Draw one ratio with its interval per row, from top to bottom, beside the line at 1."""
    places = np.arange(len(labels))
    plot.hlines(places, low, high, color=PALETTE[0], linewidth=2)
    plot.plot(ratio, places, "o", color=PALETTE[0], markersize=5)
    plot.axvline(1.0, color=PALETTE[1], linewidth=1.2, linestyle=(0, (4, 3)))
    plot.grid(visible=False, axis="y")
    plot.grid(axis="x", color=GRID, linewidth=0.6)
    plot.set_yticks(places, labels, color=INK)
    plot.set_ylim(len(labels) - 0.5, -0.5)


def ratio_matrix(pairs: Sequence[Mapping[str, Any]], *, models: Sequence[str]) -> "Figure":
    """Draw the pinball loss of the row's model over the column's, in % off 1; bold: the 95 % interval excludes 1."""
    values = np.full((len(models), len(models)), np.nan)
    sure = np.zeros(values.shape, dtype=bool)
    place = {name: k for k, name in enumerate(models)}
    for pair in pairs:
        at = place[pair["model"]], place[pair["rival"]]
        if pair["ratio"] is not None:
            values[at] = pair["ratio"]
            sure[at] = pair["low"] > 1.0 or pair["high"] < 1.0
    heading = "Pinball loss of the row above that of the column, %"
    figure, plots = canvas(heading, height=0.9 + 0.25 * len(models), panels=1)
    shades, reach, texts = _off_one(values)
    numbers = range(1, len(models) + 1)
    _heat_map(plots[0], shades, reach=reach, texts=texts, columns=numbers, rows=numbers, bold=sure)
    list_below(plots[0], models)
    return figure


def ratios_by_year(scores: pl.DataFrame, *, models: Sequence[str], baseline: str) -> "Figure":
    """Draw the pinball loss over the baseline's by year, mean over horizons, in % above 1 (blue: below the baseline's).

    ``scores``: model, horizon, year, pinball_ratio.
    """
    yearly = scores.group_by("model", "year", maintain_order=True).agg(pl.col("pinball_ratio").mean())
    years = sorted(yearly["year"].unique().to_list())
    shown = [name for name in models if name != baseline]
    wide = yearly.pivot(on="year", on_columns=years, index="model", values="pinball_ratio")
    rows = pl.DataFrame({"model": shown}).join(wide, on="model", how="left", maintain_order="left")
    shades, reach, texts = _off_one(rows.drop("model").cast(pl.Float64).fill_null(np.nan).to_numpy())
    heading = f"Pinball loss above {title(baseline)} by year, %"
    figure, plots = canvas(heading, height=1.1 + ROW * len(shown), panels=1)
    _heat_map(plots[0], shades, reach=reach, texts=texts, columns=years, rows=[wrapped(name) for name in shown])
    return figure


def _off_one(ratios: Floats) -> tuple[Floats, float, list[list[str]]]:
    """Return ratios as shades (a smaller one is better), the reach of the scale, and texts in % above 1."""
    values = 1.0 - ratios
    sizes = np.abs(values[np.isfinite(values)])
    reach = max(float(np.quantile(sizes, 0.9)) if sizes.size else 0.0, 1e-4)  # one bad model must not grey the rest
    return values, reach, [[points(-value) if np.isfinite(value) else "" for value in row] for row in values]


def _heat_map(
    plot: "Axes",
    values: Floats,
    *,
    reach: float,
    texts: Sequence[Sequence[str]],
    columns: Sequence[int],
    rows: Sequence[object],
    bold: NDArray[np.bool_] | None = None,
) -> None:
    """Colour the cells and write a text in each: blue above 0, orange below, full at ``reach``; NaN is grey."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("gain", [LOSS, "#f3f4f6", GAIN]).with_extremes(bad=NO_VALUE)
    corners = [np.arange(size + 1) - 0.5 for size in reversed(values.shape)]
    cells = np.ma.masked_invalid(values)
    plot.pcolormesh(*corners, cells, cmap=shades, vmin=-reach, vmax=reach)  # shapes, not an image
    plot.invert_yaxis()
    size = SMALL if values.shape[1] <= DENSE_COLUMNS else 0.8 * SMALL
    for (row, column), value in np.ndenumerate(values):
        dark = np.dot(shades((np.clip(value / reach, -1.0, 1.0) + 1) / 2)[:3], LUMINANCE) < 0.5
        weight = "bold" if bold is not None and bold[row, column] else "normal"
        style = {"color": ON_STRONG if dark and np.isfinite(value) else ON_PALE, "fontweight": weight, "fontsize": size}
        note(plot, column, row, texts[row][column], ha="center", va="center", **style)
    plot.set_xticks(range(len(columns)), [str(column) for column in columns])
    plot.set_yticks(range(len(rows)), [str(row) for row in rows], color=INK, parse_math=False)
    plot.tick_params(length=0)
    plot.grid(visible=False)
    plot.spines[:].set_visible(False)
