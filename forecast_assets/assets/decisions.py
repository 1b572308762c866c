"""A fold's forecasts as the table that every model publishes."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors


def fold_table(panel: "PanelTensors", fold: "Fold", quantiles: NDArray[np.float64], *, model: str) -> pl.DataFrame:
    """Forecast table of the fold's decisions; ``quantiles`` (validation + test, 3, 7) in their order."""
    from forecast_assets.core.evaluation.forecast_table import forecast_table

    rows = fold.decisions
    return forecast_table(
        date=pl.Series(panel.date[rows].numpy()).cast(pl.Date),
        ticker=pl.Series(panel.tickers).gather(panel.ticker[rows].numpy()),
        quantiles=quantiles,
        y=panel.targets[rows].double().numpy(),
        split=["validation"] * len(fold.validation) + ["test"] * len(fold.test),
        model=model,
    )
