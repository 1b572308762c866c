"""Events on days ahead, as known at a forecast origin: how many lie within each horizon, and how far the next one is.

The session of an event is the first one on or after its date, among those that were planned. An event counts for an origin
at whose close it had been announced and not yet withdrawn.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, LOOK_AHEAD
from forecast_assets.core.panel.announcements.columns import AFTERMATH
from forecast_assets.core.panel.announcements.state import USUAL_JUMP
from forecast_assets.core.panel.covariates.declare import NEXT, VARIANCE, feature_name
from forecast_assets.core.panel.covariates.read import EVENT
from forecast_assets.core.panel.covariates.transform import transformed
from forecast_assets.core.panel.sessions import planned_sessions
from forecast_assets.core.specs import CovariateSpec

LONGEST = HORIZONS[-1]

Ints = NDArray[np.int64]


def event_columns(
    rows: pl.DataFrame, events: pl.DataFrame, *, name: str, spec: CovariateSpec, jump: pl.Series | None
) -> list[pl.Series]:
    """Return the columns of events for ``rows`` (ticker, exchange, date, close), in their order.

    ``jump``: log size of the ticker's reports in units of its quiet volatility, (N,), as inferred at each row's close; the
    usual size of all where it is None.
    """
    keys = ["ticker", "exchange", "date"] if spec.is_of_tickers else ["exchange", "date"]
    places = rows.select(*keys, "close").unique().sort(keys)
    groups = places.partition_by(keys[:-1], as_dict=True)
    by_ticker = events.partition_by("ticker", as_dict=True) if spec.is_of_tickers else {}
    none = events.clear()
    ahead = pl.concat(
        _ahead(part, by_ticker.get((key[0],), none) if spec.is_of_tickers else events) for key, part in groups.items()
    )
    return _counted(rows, ahead, keys, name=name, spec=spec, jump=jump)


def _ahead(places: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return a row per origin and event that it knows of: keys of the origin, column, value, and sessions until the event.

    ``places``: origins of one ticker, or of one exchange, by date. Of an event announced twice the later word holds.
    """
    exchange, first, last = places["exchange"][0], places["date"][0], places["date"][-1]
    calendar = planned_sessions(exchange, first, last + LOOK_AHEAD)
    near = events.filter(pl.col("date").is_between(first, calendar[-1]))
    # Of an origin the next session, of an event its own: numbers of sessions in the calendar.
    here = calendar.search_sorted(places["date"], side="right").cast(pl.Int64).to_numpy()
    session = calendar.search_sorted(near["date"], side="left").cast(pl.Int64).to_numpy()
    origin, event = _pairs(here, session)
    known = near.select("column", "known_from", "withdrawn", "value", event_date="date")
    joined = pl.concat([places[origin], known[event]], how="horizontal").with_columns(
        sessions=pl.Series(session[event] - here[origin] + 1, dtype=pl.Int64)
    )
    by_then = joined.filter(pl.col("known_from") <= pl.col("close")).sort("known_from")
    keys = [each for each in places.columns if each != "close"]
    latest = by_then.group_by(*keys, "column", "event_date", maintain_order=True).last()
    holds = pl.col("withdrawn").is_null() | (pl.col("withdrawn") > pl.col("close"))
    return latest.filter(holds).select(*keys, "column", "value", "sessions")


def _pairs(here: Ints, session: Ints) -> tuple[Ints, Ints]:
    """Return the pairs of origin and event that are at most ``LONGEST`` sessions apart; ``here`` (N,) ascends."""
    first = np.searchsorted(here, session - LONGEST + 1, side="left")
    count = np.searchsorted(here, session, side="right") - first
    event = np.repeat(np.arange(len(session)), count)
    within = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(first, count) + within, event


def _counted(
    rows: pl.DataFrame, ahead: pl.DataFrame, keys: list[str], *, name: str, spec: CovariateSpec, jump: pl.Series | None
) -> list[pl.Series]:
    def total(column: str, horizon: int, value: pl.Expr) -> pl.Expr:
        return value.filter((pl.col("column") == column) & (pl.col("sessions") <= horizon)).sum()

    sums = {f"{h}d": total(EVENT, h, pl.col("value")) for h in HORIZONS}
    is_event = pl.col("column") == EVENT
    sums |= {NEXT: pl.col("sessions").filter(is_event).min().cast(pl.Float64)}
    for label, column in spec.columns.items():
        sums |= {f"{label}_{h}d": total(column.column.lower(), h, transformed(column)) for h in HORIZONS}
    counted = ahead.group_by(keys).agg(**sums)
    found = rows.join(counted, on=keys, how="left", maintain_order="left")
    columns = [
        found[label].fill_null(LONGEST + 1.0 if label == NEXT else 0.0).alias(feature_name(name, label))
        for label in sums
    ]
    if spec.announcements:
        columns += [
            _variance(columns[k], jump, h).alias(feature_name(name, f"{VARIANCE}_{h}d")) for k, h in enumerate(HORIZONS)
        ]
    return columns


def _variance(count: pl.Series, jump: pl.Series | None, horizon: int) -> pl.Series:
    """Return the log factor that reports put on a horizon's variance, by the formula of ``announcement_variance_<h>d``."""
    size = np.full(len(count), USUAL_JUMP) if jump is None else np.exp(jump.to_numpy())
    share = np.minimum(count.to_numpy(), 1.0) / horizon
    return pl.Series(np.log1p(share * (AFTERMATH * np.maximum(size, 1.0) ** 2 - 1.0)))
