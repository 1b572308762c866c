"""Forecasts that were made before: one table of the store, held as arrays for look-up."""

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
    """All horizons of one decision."""

    quantiles: Floats  # (3, 7)
    mean: Floats  # (3,)
    sigma: Floats  # (3,)
    p_up: Floats  # (3,)


@dataclass(frozen=True)
class Issued:
    """M decisions sorted by ticker and date, and where they come from."""

    source: Source
    model_version: str
    data_version: str
    calibrated: bool
    date: NDArray[np.int32]  # (M,) days since 1970-01-01
    quantiles: Floats  # (M, 3, 7)
    mean: Floats  # (M, 3)
    sigma: Floats  # (M, 3)
    p_up: Floats  # (M, 3)
    span: dict[str, tuple[int, int]]  # ticker -> its rows [start, stop)

    @classmethod
    def of(
        cls, table: pl.DataFrame, *, source: Source, model_version: str, data_version: str, calibrated: bool
    ) -> "Issued":
        """The test rows of a forecast table. Raises BadInput where a number that is served is not finite."""
        arrays = quantile_array(table.filter(pl.col("split") == "test"))
        order = np.lexsort((arrays.date, arrays.ticker))
        ticker = arrays.ticker[order]
        names, first = np.unique(ticker, return_index=True)
        stops = [*first[1:].tolist(), len(ticker)]
        q, mean, sigma = arrays.quantiles[order], arrays.mean[order], arrays.sigma[order]
        bad = int((~(np.isfinite(q).all(axis=-1) & np.isfinite(mean) & np.isfinite(sigma))).sum())
        if bad or (q[..., 1:] < q[..., :-1]).any():
            raise BadInput(f"{source} forecasts of {model_version}: {bad} not finite, or quantiles that cross.")
        return cls(
            source=source,
            model_version=model_version,
            data_version=data_version,
            calibrated=calibrated,
            date=arrays.date[order].astype("datetime64[D]").astype(np.int32),
            quantiles=q,
            mean=mean,
            sigma=sigma,
            p_up=probability_above(q),
            span=dict(zip(names.tolist(), zip(first.tolist(), stops, strict=True), strict=True)),
        )

    def at(self, ticker: str, day: int) -> Forecast | None:
        """The forecast for ``ticker`` decided on ``day``, if there is one."""
        start, stop = self.span.get(ticker, (0, 0))
        row = start + int(np.searchsorted(self.date[start:stop], day))
        if row == stop or self.date[row] != day:
            return None
        return Forecast(self.quantiles[row], self.mean[row], self.sigma[row], self.p_up[row])


class Ledger:
    """Forecasts of all nights; the one committed first counts."""

    def __init__(self, nights: dict[str, Issued]) -> None:
        """``nights``: day of each night -> its forecasts, in the order they were committed."""
        self.nights = nights
        self._of_date: dict[int, list[Issued]] = {}
        self._latest: dict[str, int] = {}
        for issued in nights.values():
            for day in np.unique(issued.date).tolist():
                self._of_date.setdefault(day, []).append(issued)
            for ticker, (_, stop) in issued.span.items():
                self._latest[ticker] = max(self._latest.get(ticker, 0), int(issued.date[stop - 1]))

    def at(self, ticker: str, day: int) -> tuple[Issued, Forecast] | None:
        """What was first issued for ``ticker`` on ``day``, and by whom."""
        for issued in self._of_date.get(day, ()):
            if (forecast := issued.at(ticker, day)) is not None:
                return issued, forecast
        return None

    @property
    def latest(self) -> dict[str, int]:
        """Ticker -> day of its latest decision."""
        return self._latest
