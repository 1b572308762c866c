"""The forecast table and the calibration files that every model publishes."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.assets.framework.output import Content
from forecast_assets.store.artefact_files import CALIBRATION_STATE, RAW_FORECASTS, TABLE

if TYPE_CHECKING:
    from forecast_assets.core.training.calibrate import Calibrated
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors


def fold_table(panel: "PanelTensors", fold: "Fold", quantiles: NDArray[np.float64], *, model: str) -> pl.DataFrame:
    """Return the forecast table of the fold's forecast origins; ``quantiles`` (validation + test, 3, 7) in their order."""
    from forecast_assets.core.evaluation.forecast_table import forecast_table

    rows = fold.origins
    return forecast_table(
        date=pl.Series(panel.date[rows].numpy()).cast(pl.Date),
        ticker=pl.Series(panel.tickers).gather(panel.ticker[rows].numpy()),
        quantiles=quantiles,
        y=panel.targets[rows].double().numpy(),
        split=["validation"] * len(fold.validation) + ["test"] * len(fold.test),
        model=model,
    )


def calibrated_files(
    panel: "PanelTensors", fold: "Fold", raw: NDArray[np.float64], calibrated: "Calibrated", *, model: str
) -> dict[str, Content]:
    """Return the files of a calibrated model: its table, the raw forecasts, and the state of the calibration."""
    return {
        TABLE: fold_table(panel, fold, calibrated.quantiles, model=model),
        RAW_FORECASTS: fold_table(panel, fold, raw, model=model),
        CALIBRATION_STATE: calibrated.state.to_json(),
    }
