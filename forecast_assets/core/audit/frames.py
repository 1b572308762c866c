"""The frames that a user's function is handed and those that it returns, of polars or pandas, as one kind of table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.comparison import KEY

if TYPE_CHECKING:
    import pandas as pd

FrameKind = Literal["polars", "polars lazy", "pandas"]
Columns = Literal["raw", "calendar"]

RAW_NAMES = {
    "date": "Date",
    "ticker": "Ticker",
    "sector": "Sector",
    "open": "Opening Price",
    "high": "High",
    "low": "Low",
    "close": "Closing Price",
    "volume": "Volume",
}
"""Columns of a raw panel as it is handed on; of a calendar panel they are our own."""
VALUE = "value"
"""Name of what a table with a column per ticker holds."""


@dataclass(frozen=True)
class Handing:
    """How rows are handed to a function."""

    columns: Columns
    frame_kind: FrameKind

    def __str__(self) -> str:
        return f"a {self.frame_kind} frame with the columns of a {self.columns} panel"

    def frame(self, rows: pl.DataFrame) -> Any:
        """Return ``rows`` as a new frame: by date and ticker with ``RAW_NAMES``, or by ticker and date with our names."""
        table = rows.drop("known_at", strict=False)
        if self.columns == "raw":
            table = table.sort("date", "ticker").select(pl.col(old).alias(new) for old, new in RAW_NAMES.items())
            table = table.drop(name for name in ("High", "Low") if table[name].is_null().all())
        if self.frame_kind == "polars lazy":
            return table.lazy()
        return _to_pandas(table) if self.frame_kind == "pandas" else table


def _to_pandas(table: pl.DataFrame) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame({name: table[name].to_list() for name, dtype in table.schema.items() if dtype == pl.String})
    for name, dtype in table.schema.items():
        if dtype != pl.String:
            values = table[name].to_numpy(writable=True)
            frame[name] = values.astype("datetime64[ns]") if dtype == pl.Date else values
    return frame[table.columns]


def returned_table(found: Any, *, handed: Any) -> pl.DataFrame:
    """Return what a function gave for ``handed`` as a polars table, by ticker and date: those two, then its other columns.

    Accepted are a frame with a ticker and a date among its columns or in its index, one with the index of the pandas frame
    that was handed, and one with dates as its index and a column per ticker. NaN becomes null; a row that holds no value
    is left out. Raises BadInput, a sentence without its subject, for anything else.
    """
    if isinstance(found, pl.LazyFrame):
        found = found.collect()
    table = found if isinstance(found, pl.DataFrame) else _from_pandas(found, handed)
    names = _key_names(table.columns)
    if set(names) != set(KEY):
        raise BadInput(f"returns columns {_few(table.columns)}; a ticker and a date column have to be among them")
    table = table.rename({name: key for key, name in names.items() if name != key})
    features = [name for name in table.columns if name not in KEY]
    if not features:
        raise BadInput("returns a ticker and a date and no column beside them")
    table = table.select(
        pl.col("ticker").cast(pl.String), _as_dates(table["date"]), *(_plain(table[name]) for name in features)
    )
    if count := table.select(pl.any_horizontal(pl.col(KEY).is_null()).sum()).item():
        raise BadInput(f"returns {count} rows without a ticker or a date")
    table = table.filter(~pl.all_horizontal(pl.col(features).is_null())).sort(KEY)
    again = table.filter(table.select(KEY).is_duplicated())
    if again.height:
        ticker, day = again.row(0)[:2]
        raise BadInput(f"returns several rows for {ticker} on {day}; one per ticker and date is needed")
    return table


def _key_names(columns: list[str]) -> dict[str, str]:
    """Return key -> the column that is it, whatever its case."""
    return {key: name for key in KEY for name in columns if str(name).lower() == key}


def _from_pandas(found: Any, handed: Any) -> pl.DataFrame:
    import pandas as pd

    if isinstance(found, pd.Series):
        found = found.to_frame(found.name if found.name is not None else VALUE)
    if not isinstance(found, pd.DataFrame):
        raise BadInput(f"returns {_article(type(found).__name__)}; a polars or pandas frame is needed")
    frame = found
    named = [name for name in found.index.names if name is not None and str(name).lower() in KEY]
    taken = [str(name).lower() for name in found.columns]
    frame = found.reset_index([name for name in named if str(name).lower() not in taken])
    if set(_key_names([str(name) for name in frame.columns])) != set(KEY):
        if isinstance(handed, pd.DataFrame) and found.index.equals(handed.index):
            ours = {key: name for key, name in _key_names(list(handed.columns)).items() if key not in taken}
            frame = found.assign(**{key: handed[name] for key, name in ours.items()})
        elif isinstance(found.index, pd.DatetimeIndex) and _are_tickers(found, handed):
            dated = found.rename_axis(index="date").reset_index()
            frame = dated.melt(id_vars="date", var_name="ticker", value_name=VALUE)
    columns = {str(name): _series(frame.iloc[:, place]) for place, name in enumerate(frame.columns)}
    return pl.DataFrame(columns)


def _are_tickers(found: "pd.DataFrame", handed: Any) -> bool:
    column = next((name for name in handed.columns if str(name).lower() == "ticker"), None)
    return column is not None and found.columns.nlevels == 1 and set(found.columns) <= set(handed[column])


def _series(values: "pd.Series[Any]") -> pl.Series:
    import pandas as pd

    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    if isinstance(values.dtype, pd.CategoricalDtype | pd.IntervalDtype):
        values = values.astype("object")
    if values.dtype.kind in "biufM":
        return pl.Series(values.to_numpy())
    if pd.api.types.is_numeric_dtype(values.dtype):  # pandas' own, with missing ones
        return pl.Series(values.to_numpy(dtype="float64", na_value=float("nan")))
    kept = [None if not isinstance(each, list | dict) and pd.isna(each) else each for each in values]
    try:
        return pl.Series(kept, strict=True)
    except (TypeError, pl.exceptions.PolarsError):  # of several types
        return pl.Series([None if each is None else str(each) for each in kept], dtype=pl.String)


def _as_dates(values: pl.Series) -> pl.Series:
    """Return dates as such. Raises BadInput for what is none: numbers, text that is not ISO."""
    if isinstance(values.dtype, pl.Datetime) or values.dtype == pl.Date:
        return values.cast(pl.Date).alias("date")
    if values.dtype == pl.String:
        days = values.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if days.null_count() == values.null_count():
            return days.alias("date")
    kind = "text that is not like 2024-05-31" if values.dtype == pl.String else str(values.dtype)
    raise BadInput(f"returns dates that are {kind}; dates or datetimes are needed")


def _plain(values: pl.Series) -> pl.Series:
    """Return numbers as they are without NaN, and anything that is no number or truth value as text."""
    if values.dtype.is_float():
        return values.cast(pl.Float64).fill_nan(None)
    if values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null, pl.String):
        return values.cast(pl.Float64) if values.dtype.is_decimal() else values
    if values.dtype.is_nested() or values.dtype == pl.Object:
        return pl.Series(values.name, [None if each is None else str(each) for each in values], dtype=pl.String)
    return values.cast(pl.String)


def filled_columns(table: pl.DataFrame) -> Mapping[str, bool]:
    """Return for each column beside ticker and date whether it holds any value."""
    return {name: table[name].null_count() < table.height for name in table.columns if name not in KEY}


def _few(names: list[str]) -> str:
    return str([str(name) for name in names[:8]])[:-1] + (", ...]" if len(names) > 8 else "]")


def _article(word: str) -> str:
    return "nothing" if word == "NoneType" else f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
