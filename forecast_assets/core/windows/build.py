"""The feature panel as tensors."""

import numpy as np
import polars as pl
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

UNKNOWN_SECTOR = "Unknown"


def build_tensors(feature_panel: pl.DataFrame, *, feature_names: tuple[str, ...]) -> PanelTensors:
    """Turn a feature panel into ``PanelTensors``; windows never cross a ticker or a segment.

    A row is complete when all features and the volatility scale are finite. Raises BadInput when no row is.
    """
    frame = feature_panel.sort("ticker", "date")
    numbers = [*feature_names, "ewma_vol"]
    complete = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in numbers)
    frame = frame.with_columns(complete.alias("complete")).with_columns(
        # Rows since the last incomplete one: a cumulative count within each unbroken stretch of a segment.
        breaks=(~pl.col("complete")).cum_sum().over("ticker", "segment"),
        segment_start=pl.int_range(pl.len()).over("ticker", "segment") == 0,
    )
    frame = frame.with_columns(
        run_length=pl.col("complete").cast(pl.Int32).cum_sum().over("ticker", "segment", "breaks")
    )
    if not frame["complete"].any():
        raise BadInput(
            "feature_panel: no row has all features; the panel's histories are shorter than the features' warm-up, "
            "give more history per ticker"
        )
    sector = frame["sector"].fill_null(UNKNOWN_SECTOR)
    tickers, sectors, exchanges = (sorted(s.unique().to_list()) for s in (frame["ticker"], sector, frame["exchange"]))
    return PanelTensors(
        features=_float32(frame.select(feature_names)),
        targets=_float32(frame.select(TARGETS)),
        scale=_float32(frame.select("ewma_vol")).squeeze(1),
        date=_days(frame["date"]),
        label_end=_days(frame["label_end"]),
        ticker=_codes(frame["ticker"], tickers),
        sector=_codes(sector, sectors),
        exchange=_codes(frame["exchange"], exchanges),
        observed=torch.from_numpy((~frame["is_missing"]).to_numpy().copy()),
        segment_start=torch.from_numpy(frame["segment_start"].to_numpy().copy()),
        run_length=torch.from_numpy(frame["run_length"].cast(pl.Int32).to_numpy().copy()),
        feature_names=feature_names,
        tickers=tuple(tickers),
        sectors=tuple(sectors),
        exchanges=tuple(exchanges),
    )


def _float32(frame: pl.DataFrame) -> torch.Tensor:
    array = frame.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c")
    return torch.from_numpy(np.ascontiguousarray(array))


def _days(dates: pl.Series) -> torch.Tensor:
    return torch.from_numpy(dates.cast(pl.Int32).fill_null(NO_DATE).to_numpy().copy())


def _codes(values: pl.Series, names: list[str]) -> torch.Tensor:
    codes = values.replace_strict(names, range(len(names)), return_dtype=pl.Int32)
    return torch.from_numpy(codes.to_numpy().copy())
