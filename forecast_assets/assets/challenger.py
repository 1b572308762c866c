"""The night's retraining: every member of the champion goes on from its own weights, and both are scored."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecast_assets.assets.lineage import shadow_columns
from forecast_assets.assets.partitions import days
from forecast_assets.assets.product import TABLE, Check, Content, Product
from forecast_assets.assets.stage import CheckSpec, stage
from forecast_assets.assets.succession import VERDICT
from forecast_assets.assets.windowed_tensors import TENSORS
from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import FeatureSpec, NightlySpec
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.training.fit import Hardware
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.serving.bundle import Bundle, Member

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
    champion: Version | None,
    hardware: Any,
    day: str,
    log: Any,
) -> Product:
    """Warm-started retraining of the champion's members on the recent window, and who is better on later decisions.

    Both are scored as they come, before calibration, like the members of an ensemble: it follows whoever serves.
    """
    from forecast_assets.core.evaluation.shadow import shadow_scores, shadow_table
    from forecast_assets.core.windows.days import to_date
    from forecast_assets.core.windows.folds import recent_fold
    from forecast_assets.core.windows.tensors import PanelTensors
    from forecast_assets.serving.bundle import MEMBERS, Bundle, flat_weights

    if champion is None:
        return stays(["there is no champion yet to go on from"], champion=None)
    bundle = Bundle.open(champion)
    card = bundle.card
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    if lost := lost_names(card.vocabularies, panel):
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
    before, after = retrained.shadow(groups=card.groups)
    if bad := int((~np.isfinite(after)).sum()):
        return stays(
            [f"{bad} of {after.size} of the challenger's forecasts are not finite"],
            champion=card.model_version,
            worse=True,
        )
    shadow = shadow_scores(
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
        VERDICT: verdict,
        MEMBERS: flat_weights(retrained.weights),
        TABLE: shadow_table(shadow),
    }
    return Product(
        files=files,
        columns=shadow_columns(),
        facts={
            "promoted": str(shadow.promoted),
            "why": "; ".join(shadow.why),
            "pinball_ratio": shadow.ratio,
            "train_decisions": len(fold.train),
            "validation_decisions": len(fold.validation),
            "shadow_decisions": len(fold.test),
            "shadow_sessions": shadow.sessions,
        },
        checks={NOT_WORSE: Check(not shadow.worse, "; ".join(shadow.why), warns=True)},
        seeds=tuple(member["seed"] for member in retrained.members),
    )


@dataclass(frozen=True)
class Retrained:
    """The members after the night's training, best first as in the champion."""

    weights: list[dict[str, "Tensor"]]
    members: list[dict[str, Any]]  # fit, seed, best_epoch, validation_pinball, curve
    champion: list[NDArray[np.float64]]  # of each member, (M, 3, 7) on the shadow decisions
    challenger: list[NDArray[np.float64]]

    def shadow(self, *, groups: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The forecasts of champion and challenger, combined as the champion combines them, 2 x (M, 3, 7)."""
        from forecast_assets.core.training.ensemble import median_of_means

        before, after = (median_of_means(np.stack(of), groups=groups) for of in (self.champion, self.challenger))
        return before, after


def retrain(
    bundle: "Bundle", panel: "PanelTensors", fold: "Fold", *, nightly: NightlySpec, hardware: "Hardware", log: Any
) -> Retrained:
    """Train every member of the champion on from its own weights; forecast the shadow decisions before and after."""
    import torch

    from forecast_assets.core.training.fit import START, fit
    from forecast_assets.core.windows.graph import as_read_by

    card, stats = bundle.card, bundle.stats_for(panel)
    if card.graph is not None:
        panel = as_read_by(card.graph, panel, ends=torch.cat([fold.train, fold.decisions]), lookback=card.lookback)
    knobs = nightly.model_dump(include={"epochs", "visits_per_epoch", "learning_rate"})
    done = Retrained([], [], [], [])
    for member, start in zip(card.members, bundle.trained.weights, strict=True):
        spec, seed = member.spec.model_copy(update=knobs), int(member.fit.partition("/")[2])
        forecasts = partial(
            _shadow_forecasts,
            member,
            panel=panel,
            ends=fold.test,
            stats=stats,
            lookback=card.lookback,
            hardware=hardware,
        )
        trained = fit(
            member.model,
            spec,
            panel=panel,
            fold=fold,
            stats=stats,
            lookback=card.lookback,
            seed=seed,
            hardware=hardware,
            start=start,
        )
        before = forecasts(start)
        kept = trained.best_epoch == START
        done.weights.append(trained.weights)
        done.champion.append(before)
        done.challenger.append(before if kept else forecasts(trained.weights))
        done.members.append(
            {
                "fit": member.fit,
                "seed": seed,
                "best_epoch": trained.best_epoch,
                "validation_pinball": trained.validation_pinball,
                "curve": [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in trained.curve],
            }
        )
        log.info(
            f"challenger, {member.fit}: "
            + ("stays as it was" if kept else f"validation pinball {trained.validation_pinball:.5f}")
            + f" ({trained.curve[-1]['seconds']:.1f} s)"
        )
    return done


def _shadow_forecasts(
    member: "Member",
    weights: Mapping[str, "Tensor"],
    *,
    panel: "PanelTensors",
    ends: "Tensor",
    stats: "FoldStats",
    lookback: int,
    hardware: "Hardware",
) -> NDArray[np.float64]:
    """Quantiles of one member with ``weights`` at rows ``ends`` (M,), (M, 3, 7)."""
    from forecast_assets.core.training.fit import predict

    made = predict(
        member.model,
        member.spec,
        weights,
        panel=panel,
        ends=ends,
        stats=stats,
        lookback=lookback,
        device=hardware.accelerator,
    )
    return made.double().numpy()


def lost_names(vocabularies: Mapping[str, Mapping[str, int]], panel: "PanelTensors") -> list[str]:
    """Names with an embedding that no row of the panel has: the members' shapes could not be told from it."""
    return [
        name for kind, known in vocabularies.items() for name in sorted(known.keys() - {*getattr(panel, f"{kind}s")})
    ]


def stays(why: list[str], *, champion: str | None, worse: bool = False) -> Product:
    """A night without a challenger that can be scored: the champion, if there is one, goes on."""
    sentence = "; ".join(why)
    return Product(
        files={VERDICT: {"promoted": False, "why": why, "champion": champion}},
        facts={"promoted": "False", "why": sentence},
        checks={NOT_WORSE: Check(not worse, f"no contest: {sentence}", warns=True)},
    )
