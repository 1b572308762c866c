"""A ticker's issued forecasts against what happened: how often outcomes lay inside the bands so far."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.windows.days import to_date
from forecast_assets.serving.history import Days, Floats
from forecast_assets.serving.schemas import HorizonRecord, TrackRecord
from forecast_assets.serving.snapshot import Snapshot

OUTSIDE = 100  # stands for the band of an outcome outside all


class Band(NamedTuple):
    """A central band between two quantiles."""

    level: int  # in %
    low: int  # place in ``QUANTILES``
    high: int


BANDS = tuple(
    Band(round(100 * (QUANTILES[-1 - k] - QUANTILES[k])), k, len(QUANTILES) - 1 - k)
    for k in reversed(range(len(QUANTILES) // 2))
)
"""Narrowest first."""


def track_record(snapshot: Snapshot, ticker: str) -> TrackRecord:
    """Return the record of the forecasts issued for ``ticker``. Raises HttpError for an unknown ticker."""
    snapshot.check_known(ticker)
    days, quantiles = issued_quantiles(snapshot, ticker)
    nothing = np.full((len(days), len(HORIZONS)), np.nan)
    outcomes = nothing if snapshot.history is None else snapshot.history.outcomes(ticker, days)
    bands = narrowest_bands(quantiles, outcomes)
    return TrackRecord(
        ticker=ticker,
        snapshot=snapshot.id,
        sessions=[to_date(day) for day in days.tolist()],
        horizons=[_record(sessions, bands[:, k]) for k, sessions in enumerate(HORIZONS)],
    )


def issued_quantiles(snapshot: Snapshot, ticker: str) -> tuple[Days, Floats]:
    """Return the days (B,), ascending, and quantiles (B, 3, 7) of the forecasts issued for a ticker.

    Of a day, the first that a night committed counts, then the walk-forward's.
    """
    found: dict[int, Floats] = {}
    for table in (*snapshot.issued.nights.values(), *snapshot.folds.values()):
        rows = table.rows(ticker)
        for day, quantiles in zip(table.date[rows].tolist(), table.quantiles[rows], strict=True):
            found.setdefault(day, quantiles)
    days = sorted(found)
    shape = (len(days), len(HORIZONS), len(QUANTILES))
    return np.array(days, dtype=np.int32), np.array([found[day] for day in days]).reshape(shape)


def narrowest_bands(quantiles: Floats, outcomes: Floats) -> NDArray[np.int64]:
    """Return the level in % of the narrowest band that holds each outcome, ends included, (B, 3).

    ``quantiles`` (B, 3, 7), ``outcomes`` (B, 3). ``OUTSIDE`` where none does, 0 where the outcome is NaN.
    """
    found = np.where(np.isfinite(outcomes), OUTSIDE, 0)
    for level, low, high in reversed(BANDS):
        inside = (quantiles[..., low] <= outcomes) & (outcomes <= quantiles[..., high])
        found[inside] = level
    return found


def _record(sessions: int, band: NDArray[np.int64]) -> HorizonRecord:
    known = band[band > 0]
    shares = {str(of.level): float((known <= of.level).mean()) if len(known) else None for of in BANDS}
    return HorizonRecord(
        sessions=sessions, matured=len(known), inside=shares, band=[one or None for one in band.tolist()]
    )
