"""The nightly challenger: the champion's members retrained from their own weights, and both scored."""

import datetime as dt
from dataclasses import asdict

import numpy as np

from forecast_assets.assets.framework.column_lineage import challenger_columns
from forecast_assets.assets.framework.inputs import Champion, Day, Log, Renames, TrainingHardware
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, Content, StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import FeatureSpec, NightlySpec
from forecast_assets.store.artefact_files import CHALLENGER_VERDICT, MEMBER_WEIGHTS, TABLE, TENSORS
from forecast_assets.store.versions import Version

NOT_WORSE = "not_worse"


@stage(
    group="night",
    kinds={"torch"},
    partitions=days,
    checks=(CheckSpec(NOT_WORSE, "pinball and coverage on the same matured origins are not worse", blocking=False),),
    pool="gpu",
    once=True,
)
def challenger(
    windowed_tensors: Version,
    nightly: NightlySpec,
    features: FeatureSpec,
    champion: Champion,
    renames: Renames,
    hardware: TrainingHardware,
    day: Day,
    log: Log,
) -> StageOutput:
    """Warm-started retraining of the champion's members on the recent window, and the comparison on later forecast origins.

    Both are scored before calibration, like the members of an ensemble: the calibration follows whichever serves.
    """
    from forecast_assets.champion.bundle import Bundle, flat_weights
    from forecast_assets.champion.retraining import names_missing_from_panel, retrain
    from forecast_assets.core.evaluation.champion_challenger import challenger_scores, challenger_table
    from forecast_assets.core.windows.days import to_date
    from forecast_assets.core.windows.folds import recent_fold
    from forecast_assets.core.windows.tensors import PanelTensors

    if champion is None:
        return no_contest(["there is no champion yet to start from"], champion=None)
    bundle = Bundle.open(champion)
    bundle.rename(renames)
    card = bundle.card
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    if lost := names_missing_from_panel(bundle.vocabularies, panel):
        return no_contest([_names_gone(lost)], champion=card.model_version)
    until = dt.date.fromisoformat(day)
    try:
        bundle.check_features(panel, features)
        fold = recent_fold(panel, until=until, spec=nightly, lookback=card.lookback, after=card.cutoff)
    except BadInput as error:
        # Early in a fold's year no forecast after the champion's labels has matured.
        return no_contest([str(error)], champion=card.model_version)
    retrained = retrain(bundle, panel, fold, nightly=nightly, hardware=hardware, log=log)
    before, after = retrained.combined(groups=card.groups)
    if bad := int((~np.isfinite(after)).sum()):
        return no_contest(
            [f"{bad} of {after.size} of the challenger's forecasts are not finite"],
            champion=card.model_version,
            worse=True,
        )
    scores = challenger_scores(
        before,
        after,
        y=panel.targets[fold.test].double().numpy(),
        date=panel.date[fold.test].numpy().astype(np.int64),
        spec=nightly,
    )
    last = max(int(panel.label_end[rows].max()) for rows in (fold.train, fold.validation))
    verdict = {
        "day": day,
        "champion": card.model_version,
        "cutoff": str(max(card.cutoff, to_date(last))),
        "members": retrained.members,
        **asdict(scores),
        "horizons": [{**asdict(score), "ratio": score.ratio._asdict()} for score in scores.horizons],
    }
    files: dict[str, Content] = {
        CHALLENGER_VERDICT: verdict,
        MEMBER_WEIGHTS: flat_weights(retrained.weights),
        TABLE: challenger_table(scores),
    }
    return StageOutput(
        files=files,
        columns=challenger_columns(),
        facts={
            "promoted": str(scores.promoted),
            "why": "; ".join(scores.why),
            "pinball_ratio": scores.ratio,
            "train_origins": len(fold.train),
            "validation_origins": len(fold.validation),
            "comparison_origins": len(fold.test),
            "comparison_sessions": scores.sessions,
        },
        checks={NOT_WORSE: Check(not scores.worse, "; ".join(scores.why), warns=True)},
        seeds=tuple(member["seed"] for member in retrained.members),
    )


def _names_gone(names: list[str]) -> str:
    gone = f"{len(names)} tickers that the champion was trained on are gone from the panel ({', '.join(names[:3])})"
    return f"{gone}; run the walk-forward again"


def no_contest(why: list[str], *, champion: str | None, worse: bool = False) -> StageOutput:
    """Return a night without a challenger that can be scored: the champion, if there is one, keeps serving."""
    sentence = "; ".join(why)
    return StageOutput(
        files={CHALLENGER_VERDICT: {"promoted": False, "why": why, "champion": champion}},
        facts={"promoted": "False", "why": sentence},
        checks={NOT_WORSE: Check(not worse, f"no contest: {sentence}", warns=True)},
    )
