"""The ensemble that the next bundle is made from: a fold's own, or the champion with a challenger's weights."""

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.torch import load, load_file
from torch import Tensor

from forecast_assets.champion.bundle import (
    Bundle,
    Card,
    Member,
    TrainedEnsemble,
    by_member,
    feature_hash,
    sessions_needed,
    vocabularies,
)
from forecast_assets.champion.promotion import NextChampion
from forecast_assets.core.evaluation.forecast_table import quantile_array
from forecast_assets.core.specs import FeatureSpec, FoldSpec, WindowSpec
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.training.calibration_groups import Groups
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.store.artefact_files import (
    CALIBRATION_STATE,
    CHALLENGER_VERDICT,
    MEMBER_WEIGHTS,
    MEMBERS,
    TENSORS,
    weights_file,
)

PARITY_FORECASTS = 64  # validation forecasts, evenly spaced, that a new binary has to reproduce


def ensemble_of_fold(next_champion: NextChampion, *, features: FeatureSpec) -> TrainedEnsemble:
    """Return the ensemble of a fold, its statistics fitted again to the fold's training rows."""
    base, config = next_champion.base, next_champion.base.manifest.config
    panel = PanelTensors.load(next_champion.tensors.path(TENSORS))
    lookback, folds = WindowSpec.model_validate(config["windows"]).lookback, FoldSpec.model_validate(config["folds"])
    fold = make_fold(panel, year=int(base.partition or 0), spec=folds, lookback=lookback)
    stats = fit_stats(panel, fold)
    members, weights, fits = [], [], next_champion.fits
    for member in base.json(MEMBERS)["members"]:
        model, _, seed = member["fit"].partition("/")
        version = fits[model]
        members.append(Member(fit=member["fit"], model=model, settings=version.manifest.config[model]))
        weights.append(load_file(version.path(weights_file(seed))))
    groups = Groups.fit(panel, train=fold.train)
    calibrated = CALIBRATION_STATE in base.manifest.files
    last = max(int(panel.label_end[rows].max()) for rows in (fold.train, fold.validation))
    card = Card(
        fold=fold.year,
        members=tuple(members),
        groups=config["ensemble"]["groups"],
        lookback=lookback,
        history_sessions=sessions_needed(lookback, members),
        features=panel.feature_names,
        feature_hash=feature_hash(panel.feature_names, features),
        vocabularies=vocabularies(panel, stats),
        regime_borders=groups.regime_borders,
        volatility_weights=groups.volatility_weights,
        volatility_borders=groups.volatility_borders,
        unconditional_mean=stats.unconditional_mean,
        cutoff=to_date(last),
        calibrated=calibrated,
    )
    state = CalibrationState.from_json(base.json(CALIBRATION_STATE)) if calibrated else CalibrationState.initial()
    return TrainedEnsemble(card, weights, stats, state)


def ensemble_of_challenger(next_champion: NextChampion) -> TrainedEnsemble:
    """Return the champion with a challenger's weights; statistics, vocabularies and calibration stay the champion's."""
    if next_champion.challenger is None or next_champion.champion is None:
        raise ValueError("serving_model: there is no champion for the challenger to replace")
    before = Bundle.open(next_champion.champion).trained
    verdict = next_champion.challenger.json(CHALLENGER_VERDICT)
    retrained = load(next_champion.challenger.path(MEMBER_WEIGHTS).read_bytes())
    weights = by_member(retrained, count=len(before.card.members))
    cutoff = dt.date.fromisoformat(verdict["cutoff"])
    return TrainedEnsemble(before.card.model_copy(update={"cutoff": cutoff}), weights, before.stats, before.state)


class PublishedForecasts(NamedTuple):
    """B published raw forecasts and their rows in the panel."""

    rows: Tensor  # (B,)
    quantiles: NDArray[np.float64]  # (B, 3, 7)


def sample_published(table: pl.DataFrame, panel: PanelTensors) -> PublishedForecasts:
    """Return ``PARITY_FORECASTS`` evenly spaced validation forecasts of a forecast table, of tickers that ``panel`` has."""
    arrays = quantile_array(table.filter((pl.col("split") == "validation") & pl.col("ticker").is_in(panel.tickers)))
    chosen = slice(None, None, max(1, len(arrays.date) // PARITY_FORECASTS))
    rows = panel.rows_of(arrays.ticker[chosen].tolist(), arrays.date[chosen])
    return PublishedForecasts(rows, arrays.quantiles[chosen])
