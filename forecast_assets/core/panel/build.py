"""The feature panel put together, and digests that tell which of its years changed."""

import hashlib

import numpy as np
import polars as pl

from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.contracts import CALENDAR_PANEL, FEATURE_PANEL, validate
from forecast_assets.core.panel.features import SCALE, add_features
from forecast_assets.core.panel.features import feature_names as _feature_names
from forecast_assets.core.panel.known import add_known
from forecast_assets.core.panel.targets import add_targets
from forecast_assets.core.specs import FeatureSpec

KEYS = ("date", "ticker", "exchange", "sector", "region", "segment", "is_missing")


def feature_panel(calendar_panel: pl.DataFrame, *, features: FeatureSpec) -> pl.DataFrame:
    """Features, known-future columns, ``ewma_vol``, targets and ``label_end`` per row of the calendar panel.

    Sorted by ticker and date; prices and volume are left behind. Raises BadInput where the input breaks its contract.
    """
    validate(calendar_panel, CALENDAR_PANEL, "calendar_panel")
    panel = add_targets(add_known(add_features(calendar_panel, spec=features)))
    panel = panel.drop("open", "high", "low", "close", "volume")
    columns = [*KEYS, *_feature_names(panel), SCALE, *TARGETS, "label_end"]
    return validate(panel.select(columns).sort("ticker", "date"), FEATURE_PANEL, "feature_panel")


def year_digests(frame: pl.DataFrame) -> dict[str, str]:
    """Calendar year -> sha256 of that year's rows, ordered by date and ticker: equal exactly when the rows are.

    Built from column names, types, null masks and values, so it depends on no other year, on no row order and on no
    library's own hash. ``frame`` has a ``date`` and a ``ticker`` column; types are dates, text, booleans and numbers.
    """
    years = frame.with_columns(pl.col("date").dt.year().alias("_year")).sort("_year", "date", "ticker")
    parts = years.partition_by("_year", as_dict=True, include_key=False, maintain_order=True)
    return {str(year): _digest(part) for (year,), part in parts.items()}


def _digest(rows: pl.DataFrame) -> str:
    total = hashlib.sha256()
    for series in rows.iter_columns():
        total.update(f"{series.name}:{_kind(series.dtype)}:{len(series)}\n".encode())
        total.update(np.packbits(series.is_null().to_numpy()).tobytes())
        if series.dtype == pl.String:
            text = series.fill_null("")
            total.update(text.str.len_bytes().cast(pl.UInt32).to_numpy().tobytes())
            total.update("".join(text.to_list()).encode())
        else:
            values = series.to_physical()
            zero = False if values.dtype == pl.Boolean else 0
            total.update(np.ascontiguousarray(values.fill_null(zero).to_numpy()).tobytes())
    return total.hexdigest()


def _kind(dtype: pl.DataType) -> str:
    """Our own name of a type: a library's may change with its version."""
    kinds: dict[type[pl.DataType], str] = {
        pl.Date: "date",
        pl.String: "text",
        pl.Boolean: "bool",
        pl.Int32: "i4",
        pl.Int64: "i8",
        pl.UInt32: "u4",
        pl.Float32: "f4",
        pl.Float64: "f8",
    }
    return kinds[dtype.base_type()]
