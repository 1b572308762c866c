"""The forecast baselines, HAR-X among them: what a network must beat."""

import polars as pl

from forecast_assets.assets.fold.forecast_files import fold_table
from forecast_assets.assets.framework.causality_checks import PURGED, purge_check
from forecast_assets.assets.framework.inputs import Log, Year
from forecast_assets.assets.framework.output import Content, StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import CalibrationSpec, FoldSpec, WindowSpec
from forecast_assets.store.artefact_files import RAW_FORECASTS, TABLE, TENSORS, TRAINING
from forecast_assets.store.versions import Version


@stage(group="models", kinds={"numpy"}, partitions=years, checks=(PURGED,), tuned=True)
def baselines(
    windowed_tensors: Version,
    calibration: CalibrationSpec,
    folds: FoldSpec,
    windows: WindowSpec,
    year: Year,
    log: Log,
) -> StageOutput:
    """Random walk, EWMA, 20-day volatility, HAR, GARCH(1,1)-t, 20-day momentum and HAR-X (``harx``), the volatility
    regression that the networks start from, also without announcements and dates (``harx_plain``), at the networks' own
    forecast origins and calibrated as they are.
    """
    import time

    from forecast_assets.core.models.arrays import PanelArrays
    from forecast_assets.core.models.baselines import BASELINES
    from forecast_assets.core.training.calibrate import calibrate_fold
    from forecast_assets.core.windows.folds import make_fold
    from forecast_assets.core.windows.stats import fit_stats
    from forecast_assets.core.windows.tensors import PanelTensors

    panel = PanelTensors.load(windowed_tensors.path(TENSORS))
    fold = make_fold(panel, year=year, spec=folds, lookback=windows.lookback)
    arrays = PanelArrays.from_tensors(panel)
    forecasts, seconds = {}, {}
    for name, fit_predict in BASELINES.items():
        started = time.perf_counter()
        forecasts[name] = fit_predict(arrays, train=fold.train.numpy(), origins=fold.origins.numpy())
        seconds[f"seconds_{name}"] = round(time.perf_counter() - started, 3)
    started = time.perf_counter()
    stats = fit_stats(panel, fold)
    for name, fitted in (("harx", stats), ("harx_plain", fit_stats(panel, fold, plain=True))):
        forecasts[name] = fitted.harx(panel, fold.origins).double().numpy()
    seconds["seconds_harx"] = round(time.perf_counter() - started, 3)
    raw = pl.concat(fold_table(panel, fold, quantiles, model=name) for name, quantiles in forecasts.items())
    files: dict[str, Content] = {TABLE: raw}
    if calibration.enabled:
        started = time.perf_counter()
        online = {
            name: calibrate_fold(quantiles, panel=panel, fold=fold, spec=calibration).quantiles
            for name, quantiles in forecasts.items()
        }
        calibrated = pl.concat(fold_table(panel, fold, quantiles, model=name) for name, quantiles in online.items())
        files = {TABLE: calibrated, RAW_FORECASTS: raw}
        seconds["seconds_calibration"] = round(time.perf_counter() - started, 3)
    log.info(f"baselines {year}: {', '.join(f'{name} {s} s' for name, s in seconds.items())}")
    return StageOutput(
        files={**files, TRAINING: {"unconditional_mean": list(stats.unconditional_mean)}},
        facts={"models": len(forecasts), "origins": len(fold.origins), **seconds},
        checks=purge_check(panel, fold),
    )
