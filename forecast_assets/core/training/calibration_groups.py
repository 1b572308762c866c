"""The groups that a forecast is calibrated in: its volatility regime, its exchange and the level of its volatility.

Known at the forecast origin; borders are fitted on training rows. A group is known by its name, so that a state learnt in
other groups (an earlier champion's, of fewer exchanges) can be gone on with.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.volatility import BLOCK_ROWS, fit_volatility, volatility

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REGIMES = 3  # terciles of a volatility relative to its own ticker's past
LEVELS = 10  # deciles of the volatility forecast
OTHER_EXCHANGE = "other"  # of tickers whose exchange is not among the training rows: they share one group

_FIT_ROWS = 100_000  # training rows, evenly spaced, that the volatility forecast and its deciles are fitted on
_DECIMALS = 6  # of a volatility that is compared with a border: batches of other sizes differ in the last bits


@dataclass(frozen=True)
class Membership:
    """The groups of B forecasts, one of each of K kinds."""

    names: tuple[str, ...]  # (G,) "<kind> <group>": "regime 0", "exchange XNYS", "volatility 9"
    code: Ints  # (B, K) positions in ``names``

    def __getitem__(self, rows: Any) -> "Membership":
        """Return the groups of some of the forecasts, chosen as rows of an array are."""
        return Membership(self.names, self.code[rows])


@dataclass(frozen=True)
class Groups:
    """Fitted borders. Without ``volatility_borders`` forecasts are grouped by regime alone, as earlier champions are."""

    regime_borders: tuple[float, float]
    exchanges: tuple[str, ...] = ()
    volatility_weights: tuple[
        float, ...
    ] = ()  # (1 + R,) of the log variance, see ``fit_volatility``; mean over horizons
    volatility_borders: tuple[float, ...] = ()  # (9,) log one-session volatility

    @classmethod
    def fit(cls, panel: PanelTensors, *, train: Tensor) -> Self:
        """Fit all borders on rows ``train`` (n,), ascending."""
        relative = relative_volatility(panel, train)
        low, high = np.quantile(relative[np.isfinite(relative)], [1 / 3, 2 / 3])
        some = train[:: max(1, len(train) // _FIT_ROWS)]
        weights = fit_volatility(panel, some)[0].mean(dim=0)  # (H, 1 + R) -> (1 + R,)
        level = volatility_level(panel, some, weights=weights)
        borders = np.round(np.quantile(level, np.arange(1, LEVELS) / LEVELS), _DECIMALS)
        return cls(
            regime_borders=(float(low), float(high)),
            exchanges=tuple(panel.exchanges[code] for code in panel.exchange[train].unique().tolist()),
            volatility_weights=tuple(weights.tolist()),
            volatility_borders=tuple(borders.tolist()),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all groups, kind by kind."""
        regimes = tuple(f"regime {k}" for k in range(REGIMES))
        if not self.volatility_borders:
            return regimes
        exchanges = tuple(f"exchange {name}" for name in (OTHER_EXCHANGE, *self.exchanges))
        return (*regimes, *exchanges, *(f"volatility {k}" for k in range(LEVELS)))

    def of(self, panel: PanelTensors, rows: Tensor) -> Membership:
        """Return the groups of forecasts from rows ``rows`` (B,), in any order, of a panel with complete rows there.

        A row without a volatility is in the middle regime.
        """
        relative = relative_volatility(panel, rows)
        above = (relative > self.regime_borders[0]).astype(np.int64) + (relative > self.regime_borders[1])
        columns = [np.where(np.isfinite(relative), above, REGIMES // 2)]
        if self.volatility_borders:
            place = {name: k for k, name in enumerate(self.exchanges, start=1)}
            codes = np.array([place.get(name, 0) for name in panel.exchanges], dtype=np.int64)
            columns.append(REGIMES + codes[panel.exchange[rows].numpy()])
            level = volatility_level(panel, rows, weights=torch.tensor(self.volatility_weights, dtype=torch.float64))
            first = REGIMES + 1 + len(self.exchanges)
            columns.append(first + np.searchsorted(np.array(self.volatility_borders), level))
        return Membership(self.names, np.stack(columns, axis=1))


def relative_volatility(panel: PanelTensors, rows: Tensor) -> Floats:
    """Return the log EWMA volatility at rows ``rows`` (B,) less the mean of the ticker's own so far, NaN without one.

    Relative to the ticker's own past, because the forecasts' errors are: they revert to the ticker's level more slowly than
    volatility does. Tickers are computed one by one, so that no bit depends on which others are asked for.
    """
    relative = np.empty(len(rows))
    ticker, place = panel.ticker[rows].numpy(), rows.numpy()
    order = np.argsort(ticker, kind="stable")
    codes, first = np.unique(ticker[order], return_index=True)
    starts = torch.searchsorted(panel.ticker, torch.from_numpy(codes)).tolist()
    for start, mine in zip(starts, np.split(order, first[1:]), strict=False):  # of no rows, split makes one part
        scale = panel.scale[start : int(place[mine].max()) + 1].double().numpy()
        log_scale = np.log(np.maximum(scale, 1e-8))
        known = np.isfinite(log_scale)
        mean = np.cumsum(np.where(known, log_scale, 0.0)) / np.maximum(np.cumsum(known), 1)
        relative[mine] = np.where(known, log_scale - mean, np.nan)[place[mine] - start]
    return relative


def volatility_level(panel: PanelTensors, rows: Tensor, *, weights: Tensor) -> Floats:
    """Return the log one-session volatility forecast at rows ``rows`` (B,), the mean over horizons; ``weights`` (1 + R,)."""
    blocks = [volatility(panel, block, weights=weights[None])[:, 0].log() for block in rows.split(BLOCK_ROWS)]
    return np.round(torch.cat(blocks).numpy(), _DECIMALS)
