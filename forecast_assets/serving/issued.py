"""Forecasts issued by nights and folds: tables of the store as arrays for look-up."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.evaluation.forecast_table import quantile_array
from forecast_assets.core.scores.direction import probability_above
from forecast_assets.serving.schemas import Source

Floats = NDArray[np.float64]


class Forecast(NamedTuple):
    """The forecast of one ticker at one session, all horizons."""

    quantiles: Floats  # (3, 7)
    mean: Floats  # (3,)
    sigma: Floats  # (3,)
    p_up: Floats  # (3,)


class Provenance(NamedTuple):
    """Who made a forecast, from which data."""

    source: Source
    calibrated: bool
    model_version: str
    data_version: str


@dataclass(frozen=True)
class ForecastTable:
    """M forecasts of one night or fold, sorted by ticker and date."""

    provenance: Provenance
    date: NDArray[np.int32]  # (M,) days since 1970-01-01
    quantiles: Floats  # (M, 3, 7)
    mean: Floats  # (M, 3)
    sigma: Floats  # (M, 3)
    p_up: Floats  # (M, 3)
    span: dict[str, tuple[int, int]]  # ticker -> its rows [start, stop)

    @classmethod
    def of(cls, table: pl.DataFrame, provenance: Provenance) -> "ForecastTable":
        """Index the test rows of a table. Raises BadInput where a number is not finite or quantiles cross."""
        arrays = quantile_array(table.filter(pl.col("split") == "test"))
        order = np.lexsort((arrays.date, arrays.ticker))
        ticker = arrays.ticker[order]
        tickers, first = np.unique(ticker, return_index=True)
        stops = [*first[1:].tolist(), len(ticker)]
        q, mean, sigma = arrays.quantiles[order], arrays.mean[order], arrays.sigma[order]
        bad = int((~(np.isfinite(q).all(axis=-1) & np.isfinite(mean) & np.isfinite(sigma))).sum())
        if bad or (q[..., 1:] < q[..., :-1]).any():
            made_by = f"{provenance.source} forecasts of {provenance.model_version}"
            raise BadInput(f"{made_by}: {bad} not finite, or quantiles that cross.")
        return cls(
            provenance,
            date=arrays.date[order].astype("datetime64[D]").astype(np.int32),
            quantiles=q,
            mean=mean,
            sigma=sigma,
            p_up=probability_above(q),
            span=dict(zip(tickers.tolist(), zip(first.tolist(), stops, strict=True), strict=True)),
        )

    def rows(self, ticker: str) -> slice:
        """Return the rows of ``ticker``; none for one that is not forecast."""
        return slice(*self.span.get(ticker, (0, 0)))

    def at(self, ticker: str, day: int) -> Forecast | None:
        """Return the forecast for ``ticker`` made on ``day``, if there is one."""
        start, stop = self.span.get(ticker, (0, 0))
        row = start + int(np.searchsorted(self.date[start:stop], day))
        if row == stop or self.date[row] != day:
            return None
        return Forecast(self.quantiles[row], self.mean[row], self.sigma[row], self.p_up[row])


class IssuedForecasts:
    """The forecasts of all nights; of a ticker and day, the one committed first counts."""

    def __init__(self, nights: dict[str, ForecastTable]) -> None:
        """``nights``: the table of each night by its day, in the order they were committed."""
        self.nights = nights
        self.latest: dict[str, int] = {}  # ticker -> day of its latest forecast
        self._of_date: dict[int, list[ForecastTable]] = {}
        for table in nights.values():
            for day in np.unique(table.date).tolist():
                self._of_date.setdefault(day, []).append(table)
            for ticker, (_, stop) in table.span.items():
                self.latest[ticker] = max(self.latest.get(ticker, 0), int(table.date[stop - 1]))

    def at(self, ticker: str, day: int) -> tuple[Forecast, Provenance] | None:
        """Return the first forecast issued for ``ticker`` on ``day``, and its provenance."""
        for table in self._of_date.get(day, ()):
            if (forecast := table.at(ticker, day)) is not None:
                return forecast, table.provenance
        return None
