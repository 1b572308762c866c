"""Which networks of a fold could be trained, and why others were skipped."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.reads import is_covariate
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.windows.tensors import PanelTensors

SKIPPED = "skipped"  # fact of a fold that its network could not be trained on: why


def trained(folds: Iterable[Version]) -> list[Version]:
    """Return those of the ``folds`` that were not skipped."""
    return [fold for fold in folds if SKIPPED not in fold.manifest.facts]


def why_skipped(key: str, spec: ModelSpec, panel: "PanelTensors", rows: "Tensor") -> str | None:
    """Return why network ``key`` cannot be trained on ``rows`` of a panel.

    Its optional columns have no value in any row, or it names a series of the user's own that is not declared.
    """
    import torch

    if unknown := [name for name in spec.reads.columns if is_covariate(name) and name not in panel.feature_names]:
        there = ", ".join(filter(is_covariate, panel.feature_names)) or "none"
        return (
            f"{key}: reads {', '.join(unknown)}, which no series makes; declare it in covariates.yaml (there: {there})"
        )
    lacking = [
        column
        for column in spec.reads.optional
        if column not in panel.feature_names or not torch.isfinite(panel.column(column)[rows]).any()
    ]
    if not lacking:
        return None
    return (
        f"{key}: the panel has no {', '.join(lacking)}; name a file of macro series with FORECAST_MACRO and run again"
    )
