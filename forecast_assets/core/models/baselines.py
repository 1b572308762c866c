"""All baselines by name: the models that a network must beat."""

from typing import Protocol

from forecast_assets.core.models import ewma, garch, har, histvol, momentum, random_walk
from forecast_assets.core.models.arrays import Floats, PanelArrays, Rows


class Baseline(Protocol):
    """Fits on rows ``train``, forecasts at rows ``origins``."""

    def __call__(self, panel: PanelArrays, *, train: Rows, origins: Rows) -> Floats:
        """Return quantiles of the log return, (len(origins), 3, 7), finite and non-decreasing."""
        ...


BASELINES: dict[str, Baseline] = {
    "random_walk": random_walk.fit_predict,
    "ewma": ewma.fit_predict,
    "histvol20": histvol.fit_predict,
    "har": har.fit_predict,
    "garch": garch.fit_predict,
    "momentum20": momentum.fit_predict,
}
"""Value of a forecast table's ``model`` column -> baseline."""
