"""Inputs of the baselines: NumPy columns of the feature panel, one row per ticker and session."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PanelArrays:
    """N rows sorted by (ticker, date). Float columns are NaN where a value is not defined yet.

    ``segment_start`` is True on the first row of every ticker and on the first row after a gap that was too long to
    fill. On a forward-filled row (``is_missing``) the floats may hold carried values: nothing is fitted on them.
    """

    ticker_code: NDArray[np.integer]  # (N,) 0, 1, .. in blocks
    segment_start: NDArray[np.bool_]  # (N,)
    is_missing: NDArray[np.bool_]  # (N,)
    log_return: Floats  # (N,) from the row before to this one
    ewma_vol: Floats  # (N,) one-session volatility forecast made at the row's close
    volatility_20: Floats  # (N,) realised volatility of the last 20 observed sessions, any one unit
    har_1: Floats  # (N,) log variance per session over the last observed session
    har_5: Floats  # (N,) ... over the last 5
    har_22: Floats  # (N,) ... over the last 22
    targets: Floats  # (N, 3) log return over each of HORIZONS, NaN where there is no valid label

    def __post_init__(self) -> None:
        rows = len(self.ticker_code)
        for field in fields(self):
            expected = (rows, len(HORIZONS)) if field.name == "targets" else (rows,)
            shape = getattr(self, field.name).shape
            if shape != expected:
                raise ValueError(f"PanelArrays: {field.name} has shape {shape}, expected {expected}")
        first_of_ticker = np.r_[True, self.ticker_code[1:] != self.ticker_code[:-1]][:rows]
        if not self.segment_start[first_of_ticker].all():
            raise ValueError("PanelArrays: segment_start is False on the first row of a ticker")

    @classmethod
    def from_tensors(cls, panel: PanelTensors) -> "PanelArrays":
        """Take the baselines' columns from the panel's tensors."""
        names = ("log_return", "volatility_20", "har_1", "har_5", "har_22")
        return cls(
            ticker_code=panel.ticker.numpy(),
            segment_start=panel.segment_start.numpy(),
            is_missing=~panel.observed.numpy(),
            ewma_vol=panel.scale.double().numpy(),
            targets=panel.targets.double().numpy(),
            **{name: panel.column(name).double().numpy() for name in names},
        )

    @property
    def segment(self) -> Rows:
        """Number of each row's segment, (N,), ascending over the whole panel."""
        return np.cumsum(self.segment_start, dtype=np.int64)

    @property
    def observed_return(self) -> Floats:
        """``log_return`` where the row has a return of its own, (N,); NaN on filled and first rows."""
        return np.where(self.is_missing | self.segment_start, np.nan, self.log_return)
