"""The ensemble of a fold's fits, calibrated."""

from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.fold.candidates import trained
from forecast_assets.assets.fold.forecast_checks import COMPLETE, SOUND, complete_forecasts, sound_quantiles
from forecast_assets.assets.fold.forecast_files import calibrated_files, fold_table
from forecast_assets.assets.framework.inputs import Year
from forecast_assets.assets.framework.output import Content, StageOutput
from forecast_assets.assets.framework.parameters import Networks
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.models.catalogue import CANDIDATES
from forecast_assets.core.specs import CalibrationSpec, EnsembleSpec, FoldSpec, WindowSpec
from forecast_assets.store.artefact_files import (
    BEST_MEMBER,
    CALIBRATION_EFFECT,
    FITS,
    MEMBER_CONTRIBUTIONS,
    MEMBERS,
    TABLE,
    TENSORS,
    TRAINING,
)
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors


@stage(group="models", kinds={"numpy"}, partitions=years, checks=(SOUND, COMPLETE), tuned=True, models=CANDIDATES)
def ensemble(
    candidates: Annotated[dict[str, Version], Networks(CANDIDATES)],
    windowed_tensors: Version,
    ensemble_spec: EnsembleSpec,
    calibration: CalibrationSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    year: Year,
) -> StageOutput:
    """Median of means of the fits that add to each other on validation, calibrated online; B0 is never a member."""
    from forecast_assets.core.evaluation.calibration_effect import calibration_effect
    from forecast_assets.core.evaluation.forecast_table import quantile_array
    from forecast_assets.core.evaluation.members import contributions
    from forecast_assets.core.report.diagnostic_figures import calibration_curves, contribution_bars
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.training.ensemble import median_of_means
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.tensors import PanelTensors

    folds_at_hand = trained(candidates.values())
    fits = pl.concat(pl.read_parquet(version.path(FITS)) for version in folds_at_hand)
    records = [version.json(TRAINING) for version in folds_at_hand]
    scores = {fit["fit"]: fit["validation_pinball"] for record in records for fit in record["fits"]}
    members = chosen_members(fits, spec=ensemble_spec)
    forecasts = np.stack([quantile_array(fits.filter(pl.col("model") == member)).quantiles for member in members])
    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    fold = make_fold(panel, year=year, spec=folds, lookback=windows.lookback)
    raw = in_fold_order(median_of_means(forecasts, groups=ensemble_spec.groups), panel=panel, fold=fold)
    best = in_fold_order(forecasts[0], panel=panel, fold=fold)
    published = before = fold_table(panel, fold, raw, model="ensemble")
    files: dict[str, Content] = {TABLE: before}
    added = contributions(forecasts, members, table=before, groups=ensemble_spec.groups)
    facts, plots = {}, {"members": contribution_bars(added)}
    if calibration.enabled:
        online = calibrate_fold(raw, panel=panel, fold=fold, spec=calibration)
        files = calibrated_files(panel, fold, raw, online, model="ensemble")
        best = calibrate_fold(best, panel=panel, fold=fold, spec=calibration).quantiles
        published = fold_table(panel, fold, online.quantiles, model="ensemble")
        effect = calibration_effect(before, published)
        files[CALIBRATION_EFFECT] = effect
        facts = {
            f"{score}_{row['horizon']}d_{row['variant']}": round(row[score], 6)
            for row in effect.filter(pl.col("split") == "test").iter_rows(named=True)
            for score in ("coverage_95", "coverage_90", "pinball")
        }
        plots["calibration"] = calibration_curves(before, published)
    return StageOutput(
        files={
            **files,
            BEST_MEMBER: fold_table(panel, fold, best, model="best_member"),
            MEMBER_CONTRIBUTIONS: added,
            MEMBERS: {
                "members": [
                    {"fit": m, "validation_pinball": scores[m], "group": k % ensemble_spec.groups}
                    for k, m in enumerate(members)
                ],
                "candidates": len(scores),
                "unconditional_mean": records[0]["unconditional_mean"],
            },
        },
        facts={"members": len(members), "candidates": len(scores), **facts},
        plots=plots,
        checks=sound_quantiles(published) | complete_forecasts(published, origins=len(fold.origins)),
    )


def chosen_members(fits: pl.DataFrame, *, spec: EnsembleSpec) -> list[str]:
    """Return the fits of a fold's forecast tables that are combined, in the order chosen, see ``choose_members``."""
    from forecast_assets.core.evaluation.forecast_table import quantile_array
    from forecast_assets.core.training.ensemble import choose_members

    validation = fits.filter(pl.col("split") == "validation")
    tables = {name: quantile_array(validation.filter(pl.col("model") == name)) for name in validation["model"].unique()}
    outcomes = next(iter(tables.values())).y  # of the same origins, whoever forecasts
    forecasts = {name: table.quantiles for name, table in tables.items()}
    return choose_members(forecasts, outcomes, members=spec.members, groups=spec.groups, tolerance=spec.tolerance)


def in_fold_order(quantiles: NDArray[np.float64], *, panel: "PanelTensors", fold: "Fold") -> NDArray[np.float64]:
    """Forecasts in a table's order (date, then ticker), (M, 3, 7), put into that of ``fold.origins``."""
    rows = fold.origins.numpy()
    order = np.lexsort((panel.ticker[rows].numpy(), panel.date[rows].numpy()))  # codes ascend with the tickers
    placed = np.empty_like(quantiles)
    placed[order] = quantiles
    return placed
