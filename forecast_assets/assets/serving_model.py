"""The serving model: the champion as one artefact."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from forecast_assets.assets.framework.inputs import RenamesNow, Successor
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.next_champion import NEXT_CHAMPION
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import FeatureSpec, ServingSpec
from forecast_assets.store.artefact_files import MODEL_PROGRAM, RAW_FORECASTS, TABLE, TENSORS

if TYPE_CHECKING:
    from forecast_assets.champion.bundle import Bundle
    from forecast_assets.champion.promotion import NextChampion


TOLERANCE = 1e-5  # of a log return: how far it may be off

PARITY = "reproduces_the_walk_forward"


@stage(
    group="night",
    kinds={"torch"},
    checks=(CheckSpec(PARITY, "the binary forecasts what the ensemble's own code did, within 1e-5"),),
    follows=("ensemble", "windowed_tensors_by_year", "challenger"),
    observed={NEXT_CHAMPION: ""},
)
def serving_model(
    next_champion: Successor, serving: ServingSpec, features: FeatureSpec, renames: RenamesNow
) -> StageOutput:
    """Champion bundle: one traced binary of members, combination and calibration, with all that prediction needs."""
    from forecast_assets.champion.assemble import ensemble_of_challenger, ensemble_of_fold
    from forecast_assets.champion.bundle import Bundle

    trained = (
        ensemble_of_fold(next_champion, features=features)
        if next_champion.challenger is None
        else ensemble_of_challenger(next_champion)
    )
    files = trained.files() | ({MODEL_PROGRAM: trained.program()} if serving.program else {})
    bundle = Bundle.of(trained, files)
    bundle.rename(renames)
    return StageOutput(
        files=files,
        facts={
            "model_version": bundle.card.model_version,
            "fold": bundle.card.fold,
            "members": ", ".join(member.fit for member in bundle.card.members),
            "challenger": next_champion.challenger.label if next_champion.challenger else "none: the fold's own fits",
            "cutoff": str(bundle.card.cutoff),
        },
        checks={PARITY: parity(bundle, next_champion, program=files.get(MODEL_PROGRAM), renames=renames)},
    )


def parity(
    bundle: "Bundle", next_champion: "NextChampion", *, program: bytes | None, renames: Mapping[str, str]
) -> Check:
    """Whether binary and program give what the members' own code gives, and for a fold's own fits what was published."""
    import io

    import torch

    from forecast_assets.champion.assemble import sample_published
    from forecast_assets.champion.issued import issued_table
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(next_champion.tensors.path(TENSORS))
    file = RAW_FORECASTS if bundle.card.calibrated else TABLE
    table = issued_table(next_champion.base, renames, file=file)
    published = sample_published(table, panel)
    given = bundle.forecast(panel, published.rows)
    with torch.inference_mode():
        inputs = bundle.inputs(panel, published.rows, groups=given.groups, state=bundle.state)
        eager = bundle.trained.module()(*inputs.arguments())[0].numpy()
        others = [given.quantiles]
        if program is not None:
            others.append(torch.export.load(io.BytesIO(program)).module()(*inputs.arguments())[0].numpy())
    differences = [other - eager for other in others]
    if next_champion.challenger is None:
        differences.append(given.raw - published.quantiles)
    off = float(np.max([np.abs(difference).max() for difference in differences]))  # NaN stays NaN, unlike in max()
    return Check(
        off <= TOLERANCE,
        f"{len(published.rows)} decisions, at most {off:.1e} off; more than {TOLERANCE:.0e} means that the panel's rows "
        "have changed since the fold was trained: run the walk-forward again",
        {"max_abs_diff": off},
    )
