"""The champion as one artefact."""

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.decisions import CALIBRATION, RAW
from forecast_assets.assets.product import TABLE, Check, Product
from forecast_assets.assets.stage import CheckSpec, stage
from forecast_assets.assets.succession import MEMBERS, VERDICT, weights_file
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.specs import FeatureSpec, ServingSpec

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.assets.succession import Succession
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.serving.bundle import Bundle, Trained

PROBES = 64
"""Validation decisions, evenly spaced, that a new binary has to forecast as the walk-forward did."""

TOLERANCE = 1e-5
"""Of a log return: how far it may be off."""

PARITY = "reproduces_the_walk_forward"


@stage(
    group="night",
    kinds={"torch"},
    checks=(CheckSpec(PARITY, "the binary forecasts what the ensemble's own code did, within 1e-5"),),
    follows=("ensemble", "windowed_tensors", "challenger"),
)
def serving_model(succession: Any, serving: ServingSpec, features: FeatureSpec) -> Product:
    """Champion bundle: one traced binary of members, combination and calibration, with all that prediction needs."""
    from forecast_assets.serving.bundle import PROGRAM, Bundle

    trained = of_fold(succession, features=features) if succession.challenger is None else of_challenger(succession)
    files = trained.files() | ({PROGRAM: trained.program()} if serving.program else {})
    bundle = Bundle.of(trained, files)
    return Product(
        files=files,
        facts={
            "model_version": bundle.card.model_version,
            "fold": bundle.card.fold,
            "members": ", ".join(member.fit for member in bundle.card.members),
            "challenger": succession.challenger.label if succession.challenger else "none: the fold's own fits",
            "cutoff": str(bundle.card.cutoff),
        },
        checks={PARITY: parity(bundle, succession, program=files.get(PROGRAM))},
    )


def of_fold(succession: "Succession", *, features: FeatureSpec) -> "Trained":
    """The ensemble of a fold, its statistics fitted again to the fold's own training rows."""
    from safetensors.torch import load_file

    from forecast_assets.core.specs import FoldSpec, WindowSpec
    from forecast_assets.core.training.calibrate import CalibrationState, regime_borders, relative_volatility
    from forecast_assets.core.windows.days import to_date
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.serving.bundle import Card, Member, Trained, feature_hash, sessions_needed, vocabularies

    base, config = succession.base, succession.base.manifest.config
    panel = PanelTensors.load(succession.tensors.path(TENSORS))
    lookback = WindowSpec.model_validate(config["windows"]).lookback
    fold = make_fold(
        panel, year=int(base.partition or 0), spec=FoldSpec.model_validate(config["folds"]), lookback=lookback
    )
    stats = fit_stats(panel, fold)
    members, weights, fits = [], [], succession.fits
    for member in base.json(MEMBERS)["members"]:
        model, _, seed = member["fit"].partition("/")
        version = fits[model]
        members.append(Member(fit=member["fit"], model=model, settings=version.manifest.config[model]))
        weights.append(load_file(version.path(weights_file(seed))))
    relative = relative_volatility(panel.scale.double().numpy(), panel.ticker.numpy())
    low, high = regime_borders(relative, train=fold.train.numpy())
    calibrated = CALIBRATION in base.manifest.files
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
        regime_borders=(float(low), float(high)),
        unconditional_mean=stats.unconditional_mean,
        cutoff=to_date(last),
        calibrated=calibrated,
    )
    state = CalibrationState.from_json(base.json(CALIBRATION)) if calibrated else CalibrationState.initial()
    return Trained(card, weights, stats, state)


def of_challenger(succession: "Succession") -> "Trained":
    """The champion with a challenger's weights; statistics, vocabularies and calibration stay what they were."""
    from safetensors.torch import load

    from forecast_assets.serving.bundle import MEMBERS as WEIGHTS
    from forecast_assets.serving.bundle import Bundle, Trained, by_member

    if succession.challenger is None or succession.champion is None:
        raise ValueError("serving_model: a challenger takes the place of a champion, and there is none")
    before = Bundle.open(succession.champion).trained
    verdict = succession.challenger.json(VERDICT)
    weights = by_member(load(succession.challenger.path(WEIGHTS).read_bytes()), count=len(before.card.members))
    cutoff = dt.date.fromisoformat(verdict["cutoff"])
    return Trained(before.card.model_copy(update={"cutoff": cutoff}), weights, before.stats, before.state)


def parity(bundle: "Bundle", succession: "Succession", *, program: bytes | None) -> Check:
    """Whether binary and program give what the members' own code gives, and for a fold's own fits what was published."""
    import io

    import torch

    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(succession.tensors.path(TENSORS))
    table = pl.read_parquet(succession.base.path(RAW if bundle.card.calibrated else TABLE))
    published = probes(table, panel)
    given = bundle.forecast(panel, published.rows)
    with torch.inference_mode():
        inputs = bundle.inputs(panel, published.rows, regime=given.regime, state=bundle.state)
        eager = bundle.trained.module()(*inputs.given())[0].numpy()
        others = [given.quantiles]
        if program is not None:
            others.append(torch.export.load(io.BytesIO(program)).module()(*inputs.given())[0].numpy())
    off = max(float(np.abs(other - eager).max()) for other in others)
    if succession.challenger is None:
        off = max(off, float(np.abs(given.raw - published.quantiles).max()))
    return Check(
        off <= TOLERANCE,
        f"{len(published.rows)} decisions, at most {off:.1e} off; more than {TOLERANCE:.0e} means that the panel's rows "
        "have changed since the fold was trained: run the walk-forward again",
        {"max_abs_diff": off},
    )


class Probes(NamedTuple):
    """Published raw forecasts and where their decisions are in the panel."""

    rows: "Tensor"  # (B,)
    quantiles: NDArray[np.float64]  # (B, 3, 7)


def probes(table: pl.DataFrame, panel: "PanelTensors") -> Probes:
    """Some validation decisions of a forecast table."""
    from forecast_assets.core.evaluation.forecast_table import quantile_array

    arrays = quantile_array(table.filter(pl.col("split") == "validation"))
    chosen = slice(None, None, max(1, len(arrays.date) // PROBES))
    rows = panel.rows_of(arrays.ticker[chosen].tolist(), arrays.date[chosen])
    return Probes(rows, arrays.quantiles[chosen])
