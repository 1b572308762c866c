"""Forecasts of this project as fev takes them: a list of predictions per window, in the order of its series."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import Floats

MEDIAN = QUANTILES.index(0.5)


def window_quantiles(
    forecasts: pl.DataFrame, origins: pl.DataFrame, *, window: int, horizon: int, exchanges: Mapping[str, str]
) -> Floats:
    """Return the forecast quantiles (N, L) of a window's tickers, NaN where there is no forecast.

    ``forecasts``: date, ticker, horizon and ``QUANTILE_COLUMNS`` of one model, as a forecast table has them; ``origins``: as
    in ``origins.csv``; ``exchanges``: exchange by ticker, in the order of the window. Raises BadInput where a forecast
    stands twice.
    """
    tickers = pl.DataFrame({"ticker": list(exchanges), "exchange": list(exchanges.values())})
    keys = tickers.join(origins.filter(pl.col("window") == window), on="exchange", how="left", maintain_order="left")
    own = forecasts.filter(pl.col("horizon") == horizon).select("date", "ticker", *QUANTILE_COLUMNS)
    twice = own.filter(own.select("date", "ticker").is_duplicated())
    if twice.height:
        raise BadInput(
            f"forecasts: {twice['ticker'][0]} has several on {twice['date'][0]} over {horizon} sessions; "
            "give those of one model"
        )
    joined = keys.join(own, on=["date", "ticker"], how="left", maintain_order="left")
    return joined.select(pl.col(QUANTILE_COLUMNS).cast(pl.Float64)).fill_null(float("nan")).to_numpy()


def past_quantiles(past: Sequence[ArrayLike], *, last: int = 250) -> Floats:
    """Return the quantiles (N, L) of each series' ``last`` past returns without its nulls: a forecast without a model."""
    found = []
    for series in past:
        values = np.asarray(series, dtype=np.float64)
        found.append(np.quantile(values[~np.isnan(values)][-last:], QUANTILES))
    return np.array(found).reshape(-1, len(QUANTILES))


def as_predictions(quantiles: ArrayLike) -> list[dict[str, Any]]:
    """Return quantiles (N, L) of ``QUANTILES`` as fev's predictions of one step, with the median as the point forecast.

    >>> as_predictions([[1, 2, 3, 4, 5, 6, 7]])[0]["predictions"]
    [4.0]
    """
    rows = np.asarray(quantiles, dtype=np.float64).tolist()
    return [
        {"predictions": [row[MEDIAN]], **{str(level): [value] for level, value in zip(QUANTILES, row, strict=True)}}
        for row in rows
    ]
