"""Small calendar panels and forecast tables for the simulation's tests."""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from forecast_assets.core.backtest.accounting import Simulation
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.currency import Conversion
from forecast_assets.core.backtest.decisions import Line, forecast_decisions
from forecast_assets.core.backtest.simulate import Terms, Trade, market_of, trade_forecasts
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.specs import BacktestSpec
from forecast_assets_tests.helpers.scores import normal_quantiles

FILLED = "filled"
"""A session of the ticker's exchange without a quote, carried forward in the calendar panel."""

Quote = tuple[float, float] | str | None


def weekdays(count: int, *, start: str = "2024-01-01") -> list[dt.date]:
    return np.busday_offset(start, np.arange(count), roll="forward").astype("datetime64[D]").tolist()


def calendar_panel(
    dates: Sequence[dt.date],
    quotes: Mapping[str, Sequence[Quote]],
    *,
    regions: Mapping[str, str] | None = None,
    breaks: Mapping[str, Sequence[int]] | None = None,
    outside: Mapping[str, Sequence[int]] | None = None,
) -> pl.DataFrame:
    """One row per (open, close) or FILLED; None is a day without a row. ``breaks``: positions that start a segment;
    ``outside``: those on which a ticker is not in the universe.
    """
    rows = []
    for ticker, series in quotes.items():
        last_close, segment = float("nan"), 0
        for position, (date, quote) in enumerate(zip(dates, series, strict=True)):
            segment += position in (breaks or {}).get(ticker, ())
            if quote is None:
                continue
            missing = isinstance(quote, str)
            opening, last_close = (None, last_close) if isinstance(quote, str) else quote
            is_member = position not in (outside or {}).get(ticker, ())
            region = (regions or {}).get(ticker, "Americas")
            rows.append((date, ticker, "XNYS", None, opening, last_close, missing, is_member, segment, region))
    schema = {
        "date": pl.Date,
        "ticker": pl.String,
        "exchange": pl.String,
        "sector": pl.String,
        "open": pl.Float64,
        "close": pl.Float64,
        "is_missing": pl.Boolean,
        "is_member": pl.Boolean,
        "segment": pl.Int32,
        "region": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").sort("ticker", "date")


def random_panel(*, seed: int, sessions: int = 90, outside: Mapping[str, Sequence[int]] | None = None) -> pl.DataFrame:
    """Eight random walks in two regions, with own holidays, filled sessions, a broken segment, an end, a listing.

    ``outside``: positions on which a ticker is not in the universe.
    """
    rng = np.random.default_rng(seed)
    dates = weekdays(sessions, start="2023-11-01")
    quotes: dict[str, list[Quote]] = {}
    for number in range(8):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, sessions)))
        opening = close * np.exp(rng.normal(0, 0.01, sessions))
        series: list[Quote] = list(zip(opening.tolist(), close.tolist(), strict=True))
        for gap in rng.integers(3, sessions - 12, size=2):
            length = int(rng.integers(1, 6))
            series[gap : gap + length] = [FILLED] * length
        quotes[f"T{number}"] = series
    for name in ("T4", "T5", "T6", "T7"):  # another exchange: shut on days on which the first is open
        for holiday in (45, 46, 61):
            quotes[name][holiday] = None
    quotes["T1"][50:59] = [None] * 9
    quotes["T2"][70:] = [None] * (sessions - 70)
    quotes["T6"][:20] = [None] * 20
    regions = {f"T{number}": "Europe" if number >= 4 else "Americas" for number in range(8)}
    return calendar_panel(dates, quotes, regions=regions, breaks={"T1": [59]}, outside=outside)


def forecasts_on(
    panel: pl.DataFrame,
    mean: pl.Expr | float,
    *,
    first_test: dt.date,
    horizon: int = 1,
    sigma: float = 0.02,
    gap: tuple[dt.date, dt.date] | None = None,
    model: str = "m",
) -> pl.DataFrame:
    """A Normal forecast at every member's quote, but for the dates of the gap; ``mean`` null: no forecast there."""
    rows = panel.filter(~pl.col("is_missing")).with_columns(mean=mean if isinstance(mean, pl.Expr) else pl.lit(mean))
    rows = rows.filter(pl.col("is_member") & pl.col("mean").is_not_null())
    if gap is not None:
        rows = rows.filter(~pl.col("date").is_between(*gap))
    split = np.where(rows["date"].to_numpy() < np.datetime64(first_test), "validation", "test")
    location = rows["mean"].to_numpy()[:, None]
    scale = np.full((len(rows), 1), sigma)
    return forecast_table(
        date=rows["date"],
        ticker=rows["ticker"],
        quantiles=normal_quantiles(location, scale),
        mean=location,
        sigma=scale,
        y=np.full((len(rows), 1), np.nan),
        split=split,
        model=model,
        horizons=(horizon,),
    )


def simulate(
    forecasts: pl.DataFrame,
    panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    raw: pl.DataFrame | None = None,
    no_skill: Line | None = (0.0, 0.0),
    delay_sessions: int = 0,
    conversion: Conversion | None = None,
) -> Simulation:
    """The book of one model's forecasts; unless ``no_skill`` is None, that of the validation rows is not taken off."""
    decisions = forecast_decisions(forecasts, raw, horizon_sessions=spec.horizon_sessions, no_skill=no_skill)
    view, costs = market_of(decisions, panel, spec=spec, conversion=conversion), Costs.of(spec.cost_bps, panel)
    return trade_forecasts(decisions, Terms("m", view, spec, costs, delay_sessions=delay_sessions))


def benchmark(
    trade: Trade,
    forecasts: pl.DataFrame,
    panel: pl.DataFrame,
    *,
    spec: BacktestSpec,
    conversion: Conversion | None = None,
) -> Simulation:
    """The book of a strategy that reads no location."""
    decisions = forecast_decisions(forecasts, horizon_sessions=spec.horizon_sessions, no_skill=(0.0, 0.0))
    view, costs = market_of(decisions, panel, spec=spec, conversion=conversion), Costs.of(spec.cost_bps, panel)
    return trade(decisions, Terms("benchmark", view, spec, costs))
