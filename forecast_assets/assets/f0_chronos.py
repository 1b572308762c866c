"""Zero-shot forecasts of a Chronos foundation model, on days that it cannot have seen."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast_assets.assets.fold.candidates import SKIPPED
from forecast_assets.assets.fold.forecast_files import fold_table
from forecast_assets.assets.framework.inputs import Log, RawChronos, TrainingHardware, Year
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.errors import BadModel, BadSetting
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.specs import ChronosSpec, FoldSpec, WindowSpec
from forecast_assets.store.artefact_files import TABLE, TENSORS, ZERO_SHOT
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors

KEY = "f0_chronos"

CLEAN = CheckSpec(
    "origins_come_after_training", "No forecast origin is a day that the weights may have been trained on."
)
MADE = CheckSpec("named_weights_forecast", "The weights that are named could be used.", blocking=False)


@stage(group="models", kinds={"torch"}, partitions=years, checks=(CLEAN, MADE), pool="gpu")
def f0_chronos(
    weights: RawChronos,
    windowed_tensors: Version,
    chronos: ChronosSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    year: Year,
    hardware: TrainingHardware,
    log: Log,
) -> StageOutput:
    """F0: zero-shot quantiles of a Chronos foundation model from each ticker's own closes, uncalibrated; `rivals`
    calibrates, scores and trades them. Only origins after its training cutoff are forecast, so the ensemble, whose members
    are chosen on validation, never has it. Skipped, with the reason, without weights, package or cutoff, and in the years
    before the cutoff.
    """
    from forecast_assets.core.models.zero_shot import load_chronos, training_cutoff, zero_shot
    from forecast_assets.core.windows.days import to_date
    from forecast_assets.core.windows.folds import later_origins, make_fold
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    fold = make_fold(panel, year=year, spec=folds, lookback=windows.lookback)
    if weights.folder is None:
        return _skipped(weights.problem, panel=panel, fold=fold, log=log, failed=bool(weights.name))
    try:
        cutoff = training_cutoff(weights.name, chronos.trained_until)
        clean = later_origins(fold, panel, than=cutoff.day)
        if not len(clean.test):
            why = f"{weights.name} may have been trained on days up to {cutoff.day}: no forecast origin up to then is scored"
            return _skipped(why, panel=panel, fold=fold, log=log)
        model = load_chronos(weights.folder, name=weights.name, accelerator=hardware.accelerator)
        started = time.perf_counter()
        quantiles = zero_shot(model, panel, clean.origins, spec=chronos)
    except (BadModel, BadSetting) as error:  # the other models' forecasts do not wait for it
        return _skipped(str(error), panel=panel, fold=fold, log=log, failed=True)
    seconds = time.perf_counter() - started
    first = to_date(int(panel.date[clean.origins].min()))
    record: dict[str, Any] = {
        "weights": weights.name,
        "trained_until": str(cutoff.day),
        "declared": cutoff.declared,
        "context_sessions": min(chronos.context_sessions, model.context),
        "levels": list(model.levels),
    }
    return StageOutput(
        files={TABLE: fold_table(panel, clean, quantiles, model=KEY), ZERO_SHOT: record},
        facts={
            **{name: record[name] for name in ("weights", "trained_until")},
            "validation_origins": len(clean.validation),
            "test_origins": len(clean.test),
            "test_origins_left_out": len(fold.test) - len(clean.test),
            "milliseconds_per_origin": round(1000 * seconds / len(clean.origins), 3),
        },
        checks={
            CLEAN.name: Check(first > cutoff.day, f"the first is {first}, training ended by {cutoff.day}"),
            MADE.name: Check(True, f"{weights.name} forecast {len(clean.origins)} origins", warns=True),
        },
    )


def _skipped(why: str, *, panel: "PanelTensors", fold: "Fold", log: "Log", failed: bool = False) -> StageOutput:
    """Return a year without forecasts, with the reason; ``failed``: the user had named weights."""
    (log.warning if failed else log.info)(f"skipped: {why}")
    empty = replace(fold, validation=fold.validation[:0], test=fold.test[:0])
    nothing = np.empty((0, len(HORIZONS), len(QUANTILES)))
    return StageOutput(
        files={TABLE: fold_table(panel, empty, nothing, model=KEY), ZERO_SHOT: {SKIPPED: why}},
        facts={SKIPPED: why},
        checks={CLEAN.name: Check(True, "there is no forecast"), MADE.name: Check(not failed, why, warns=True)},
    )
