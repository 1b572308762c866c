"""The networks as parameters of a stage: a group stands for its fields, one for each network."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Generic, TypeVar

from forecast_assets.assets.framework.stage import Parameters
from forecast_assets.core.specs import FitSpec, GraphSpec, MamlSpec, MoeSpec, PatchTstSpec, TftSpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.windows.tensors import PanelTensors

Of = TypeVar("Of")

SKIPPED = "skipped"
"""Fact of a fold that its network could not be trained on: why."""


@dataclass(frozen=True)
class Candidates(Parameters, Generic[Of]):
    """The networks that an ensemble may be made of: those of a year (``Version``) or of all years (``dict``)."""

    b1_tft: Of
    b2_tft_ticker: Of
    b3_tft_sector: Of
    b4_patchtst: Of
    b5_moe: Of
    b6_graph: Of
    b7_maml: Of

    def each(self) -> list[Of]:
        """In the order of the ablation."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class CandidateSpecs(Parameters):
    """The settings of each."""

    b1_tft: TftSpec
    b2_tft_ticker: TftSpec
    b3_tft_sector: TftSpec
    b4_patchtst: PatchTstSpec
    b5_moe: MoeSpec
    b6_graph: GraphSpec
    b7_maml: MamlSpec

    def by_name(self) -> dict[str, FitSpec]:
        """Asset key -> settings."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def trained(folds: Iterable[Version]) -> list[Version]:
    """Those of the ``folds`` that were not skipped."""
    return [fold for fold in folds if SKIPPED not in fold.manifest.facts]


def why_skipped(name: str, spec: FitSpec, panel: "PanelTensors", rows: "Tensor") -> str | None:
    """Why network ``name`` cannot be trained on ``rows`` of a panel: columns it cannot do without have no value there."""
    import torch

    needed = spec.regime if isinstance(spec, MoeSpec) else ()
    lacking = [
        column
        for column in needed
        if column not in panel.feature_names or not torch.isfinite(panel.column(column)[rows]).any()
    ]
    if not lacking:
        return None
    return (
        f"{name}: the panel has no {', '.join(lacking)}; name a file of macro series with FORECAST_MACRO and run again"
    )
