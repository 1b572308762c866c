"""The asset check that compares a trained TFT with pytorch-forecasting's, whose architecture it has."""

from typing import TYPE_CHECKING

from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check

if TYPE_CHECKING:
    from forecast_assets.core.models.base import ForecastModel
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors

COMPARED, TOLERANCE = 64, 1e-4
"""Test windows that are compared at least, evenly spaced; largest difference of hidden states, which are of order 1."""

REFERENCE = CheckSpec(
    "matches_pytorch_forecasting",
    "the best fit's weights give the same hidden states in pytorch-forecasting's TemporalFusionTransformer",
    blocking=False,
)


def reference_check(
    model: "ForecastModel", *, panel: "PanelTensors", fold: "Fold", stats: "FoldStats"
) -> dict[str, Check]:
    """Return the check ``REFERENCE`` of a trained TFT, with the largest absolute difference."""
    from forecast_assets.core.models.tft.reference import largest_difference

    ends = fold.test[:: max(1, len(fold.test) // COMPARED)]
    difference = largest_difference(model, ends, panel=panel, stats=stats)
    sentence = f"{len(ends)} windows, hidden states at most {difference:.1e} apart"
    return {REFERENCE.name: Check(difference <= TOLERANCE, sentence, {"largest_difference": difference}, warns=True)}
