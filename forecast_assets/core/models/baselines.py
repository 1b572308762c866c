"""All baselines by name, the models that a network must beat; those without parameters stand here."""

from typing import Protocol

import numpy as np

from forecast_assets.core.models import garch, har, momentum
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows
from forecast_assets.core.models.empirical import ROOT_HORIZON, ewma_scale, location_scale_quantiles


class Baseline(Protocol):
    """Fits on rows ``train``, forecasts at rows ``origins``."""

    def __call__(self, panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
        """Return quantiles of the log return, (len(origins), 3, 7), finite and non-decreasing."""
        ...


def random_walk(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return the quantiles of all valid training labels, pooled over tickers, per horizon."""
    return location_scale_quantiles(panel, scale=np.ones_like(panel.targets), train=train, origins=origins)


def ewma(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return RiskMetrics volatility (EWMA, decay 0.94) x sqrt(h) x pooled standardised training quantiles."""
    return location_scale_quantiles(panel, scale=ewma_scale(panel), train=train, origins=origins)


def histvol(panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
    """Return the volatility of the last 20 sessions x sqrt(h) x pooled standardised training quantiles."""
    scale = panel.volatility_20[:, None] * ROOT_HORIZON  # (N, 1) * (3,) -> (N, 3)
    return location_scale_quantiles(panel, scale=scale, train=train, origins=origins)


BASELINES: dict[str, Baseline] = {
    "random_walk": random_walk,
    "ewma": ewma,
    "histvol20": histvol,
    "har": har.fit_predict,
    "garch": garch.fit_predict,
    "momentum20": momentum.fit_predict,
}
"""Value of a forecast table's ``model`` column -> baseline."""
