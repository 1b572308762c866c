"""The night's retraining: every member of the champion goes on from its own weights, and both are scored."""

import datetime as dt
from dataclasses import asdict

import numpy as np

from forecast_assets.assets.framework.column_lineage import challenger_columns
from forecast_assets.assets.framework.inputs import Champion, Day, Log, TrainingHardware
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
    checks=(CheckSpec(NOT_WORSE, "pinball and coverage on shared matured decisions are not worse", blocking=False),),
    pool="gpu",
    once=True,
)
def challenger(
    windowed_tensors: Version,
    nightly: NightlySpec,
    features: FeatureSpec,
    champion: Champion,
    hardware: TrainingHardware,
    day: Day,
    log: Log,
) -> StageOutput:
    """Warm-started retraining of the champion's members on the recent window, and who is better on later decisions.

    Both are scored as they come, before calibration, like the members of an ensemble: it follows whoever serves.
    """
    from forecast_assets.champion.bundle import Bundle, flat_weights
    from forecast_assets.champion.retraining import names_missing_from_panel, retrain
    from forecast_assets.core.evaluation.champion_challenger import challenger_scores, challenger_table
    from forecast_assets.core.windows.days import to_date
    from forecast_assets.core.windows.folds import recent_fold
    from forecast_assets.core.windows.tensors import PanelTensors

    if champion is None:
        return stays(["there is no champion yet to go on from"], champion=None)
    bundle = Bundle.open(champion)
    card = bundle.card
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    if lost := names_missing_from_panel(card.vocabularies, panel):
        names = f"{len(lost)} names that the champion knows are gone from the panel ({', '.join(lost[:3])})"
        return stays([f"{names}; run the walk-forward again"], champion=card.model_version)
    until = dt.date.fromisoformat(day)
    try:
        bundle.check_features(panel, features)
        fold = recent_fold(panel, until=until, spec=nightly, lookback=card.lookback, after=card.cutoff)
    except BadInput as error:
        # Early in a fold's year no decision after the champion's labels has matured: a night without a contest.
        return stays([str(error)], champion=card.model_version)
    retrained = retrain(bundle, panel, fold, nightly=nightly, hardware=hardware, log=log)
    before, after = retrained.combined(groups=card.groups)
    if bad := int((~np.isfinite(after)).sum()):
        return stays(
            [f"{bad} of {after.size} of the challenger's forecasts are not finite"],
            champion=card.model_version,
            worse=True,
        )
    shadow = challenger_scores(
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
        **asdict(shadow),
        "horizons": [{**asdict(score), "ratio": score.ratio._asdict()} for score in shadow.horizons],
    }
    files: dict[str, Content] = {
        CHALLENGER_VERDICT: verdict,
        MEMBER_WEIGHTS: flat_weights(retrained.weights),
        TABLE: challenger_table(shadow),
    }
    return StageOutput(
        files=files,
        columns=challenger_columns(),
        facts={
            "promoted": str(shadow.promoted),
            "why": "; ".join(shadow.why),
            "pinball_ratio": shadow.ratio,
            "train_decisions": len(fold.train),
            "validation_decisions": len(fold.validation),
            "shadow_decisions": len(fold.test),
            "comparison_sessions": shadow.sessions,
        },
        checks={NOT_WORSE: Check(not shadow.worse, "; ".join(shadow.why), warns=True)},
        seeds=tuple(member["seed"] for member in retrained.members),
    )


def stays(why: list[str], *, champion: str | None, worse: bool = False) -> StageOutput:
    """A night without a challenger that can be scored: the champion, if there is one, goes on."""
    sentence = "; ".join(why)
    return StageOutput(
        files={CHALLENGER_VERDICT: {"promoted": False, "why": why, "champion": champion}},
        facts={"promoted": "False", "why": sentence},
        checks={NOT_WORSE: Check(not worse, f"no contest: {sentence}", warns=True)},
    )
