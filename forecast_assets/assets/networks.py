"""The trained models: one asset for each entry of the catalogue, one fold per year, several fits per fold."""

from typing import Annotated

import dagster as dg

from forecast_assets.assets.fold.fold_work import FoldInputs
from forecast_assets.assets.fold.reference_check import REFERENCE
from forecast_assets.assets.fold.train_fold import FORECASTS, train_fold
from forecast_assets.assets.framework.causality_checks import PURGED
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.parameters import Section
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.models.catalogue import CATALOGUE
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.specs import CalibrationSpec, OwnModelsSpec


def network_asset(model: Model) -> dg.AssetsDefinition:
    """Make the asset of a model."""

    made = stage(
        name=model.key,
        description=model.about,
        group="models",
        kinds={model.kind},
        partitions=years,
        checks=(PURGED, *([REFERENCE] if model.family == "tft" else []), *([FORECASTS] if model.file else [])),
        pool="gpu",
        tuned=True,
        models=(model.key,),
    )

    def network(
        spec: Annotated[ModelSpec, Section(model.key)], calibration: CalibrationSpec, inputs: FoldInputs
    ) -> StageOutput:
        return train_fold(model.key, spec, inputs, calibration=calibration)

    def own_model(
        spec: Annotated[ModelSpec, Section(model.key)],
        calibration: CalibrationSpec,
        inputs: FoldInputs,
        own: OwnModelsSpec,
    ) -> StageOutput:
        return train_fold(model.key, spec, inputs, calibration=calibration, own=own)

    return made(own_model if model.file else network)


NETWORK_ASSETS = [network_asset(model) for model in CATALOGUE]
