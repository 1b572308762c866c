"""The best published fit of a network's fold, opened with the panel that it was trained on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forecast_assets.core.errors import BadInput
from forecast_assets.store.artefact_files import TENSORS, TRAINING, weights_file
from forecast_assets.store.store import Store

if TYPE_CHECKING:
    from forecast_assets.core.models.base import ForecastModel
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors


@dataclass(frozen=True)
class PublishedFit:
    """A trained network, and what its inputs are made with."""

    name: str  # "b2_tft_ticker/1"
    network: "ForecastModel"
    panel: "PanelTensors"
    stats: "FoldStats"
    lookback: int


def best_fit(store: Store, model: str, year: int) -> PublishedFit:
    """Open the fit of ``model`` with the smallest validation pinball in the fold of ``year``.

    Raises BadInput for an unknown network, for one that was skipped, and where the panel has changed since the training.
    """
    from safetensors.torch import load_file

    from forecast_assets.core.models.catalogue import MODELS
    from forecast_assets.core.specs import FoldSpec, WindowSpec
    from forecast_assets.core.training.trained import trained_model, with_slope
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors

    if model not in MODELS:
        raise BadInput(f"{model}: no such network; choose from {', '.join(MODELS)}")
    version, tensors = store.current(model, str(year)), store.current("windowed_tensors")
    if version.manifest.parents["windowed_tensors"] != tensors.seen_by(year):
        raise BadInput(f"{version.label} was trained on another panel than the current one; materialise it again")
    fits, config = version.json(TRAINING)["fits"], version.manifest.config
    if not fits:
        raise BadInput(f"{version.label} was skipped, so it has no weights: {version.manifest.facts['skipped']}")
    panel, lookback = PanelTensors.load(tensors.path(TENSORS)), WindowSpec.model_validate(config["windows"]).lookback
    fold = make_fold(panel, year=year, spec=FoldSpec.model_validate(config["folds"]), lookback=lookback)
    stats = fit_stats(panel, fold)
    best = min(fits, key=lambda fit: fit["validation_pinball"])
    weights = with_slope(load_file(version.path(weights_file(best["seed"]))), config[model])
    spec = MODELS[model].spec.published(config[model])
    network = trained_model(model, spec, weights, stats=stats, lookback=lookback)
    return PublishedFit(best["fit"], network, panel, stats, lookback)
