"""Macro features from VIX and interest rates, each from the time on at which it was published.

A daily close of VIX or a Treasury yield is known only some time after the close in New York. A forecast may use a value
from its ``known_from`` on, compared with the close of the forecast origin as points in time: a European or American
close of day t has the values of day t - 1, an Asian one those of the American session that ended hours before.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.origins import origin_times, released_after_close

SERIES = {"VIX": "percent a year", "US10Y": "percent", "US2Y": "percent"}
HOME = "XNYS"
LAG = dt.timedelta(hours=2)
"""From the close to the value's release: VIX settles fifteen minutes after it, yields are published within two hours."""
STALE = dt.timedelta(days=10)  # a value older than this at a forecast origin counts as missing: the feed has stopped
SPAN = 5


@dataclass(frozen=True)
class MacroFeature:
    """A column that is the same for all tickers of a date and exchange."""

    name: str
    formula: str
    unit: str
    expression: pl.Expr
    source: str = "CBOE, US Treasury"


_VIX, _LONG, _SHORT = (pl.col(name) for name in SERIES)
_VIX_CHANGE, _LONG_CHANGE = (_VIX / _VIX.shift(SPAN)).log(), _LONG - _LONG.shift(SPAN)
MACRO: tuple[MacroFeature, ...] = (
    MacroFeature("vix", "VIX / 100", "volatility a year", _VIX / 100),
    MacroFeature(f"vix_change_{SPAN}", f"log(VIX / VIX {SPAN} days before)", "log change", _VIX_CHANGE),
    MacroFeature(f"us10y_change_{SPAN}", f"US10Y - US10Y {SPAN} days before", "percentage points", _LONG_CHANGE),
    MacroFeature("term_slope", "US10Y - US2Y", "percentage points", _LONG - _SHORT),
)
MACRO_NAMES: tuple[str, ...] = tuple(feature.name for feature in MACRO)

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "date": pl.Date,
    "known_from": pl.Datetime("us"),
    **dict.fromkeys(SERIES, pl.Float64),
}


def no_macro() -> pl.DataFrame:
    """Return the empty macro table."""
    return pl.DataFrame(schema=SCHEMA)


def read_macro(path: Path, *, until: dt.date | None = None) -> pl.DataFrame:
    """Read a CSV ``Date, VIX, US10Y, US2Y`` up to ``until``: date, known_from (UTC) and the series, by date.

    A missing value is filled with that of the day before. Raises BadInput naming the first line that can't be used.
    """
    try:
        raw = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, FileNotFoundError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a readable CSV of macro series ({str(error).splitlines()[0]})") from error
    if missing := [name for name in ("Date", *SERIES) if name not in raw.columns]:
        raise BadInput(f"{path}: missing columns {missing}; a macro file has Date, {', '.join(SERIES)}")
    table = raw.with_row_index("line", offset=2).select(
        "line",
        date=pl.col("Date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        **{name: pl.col(name).str.strip_chars().cast(pl.Float64, strict=False) for name in SERIES},
        **{f"odd {name}": pl.col(name).str.strip_chars().str.len_chars() > 0 for name in SERIES},
    )
    checks = [(pl.col("date").is_null(), "the date is not one like 2024-01-31")]
    for name in SERIES:
        checks.append((pl.col(name).is_null() & pl.col(f"odd {name}").fill_null(False), f"{name} is not a number"))
        checks.append((~pl.col(name).is_finite(), f"{name} is not finite"))
    checks.append((pl.col("VIX") <= 0, "VIX is not above zero"))
    checks.append((pl.col("date").is_duplicated(), "the date is there twice"))
    for wrong, what in checks:
        if (found := table.filter(wrong.fill_null(False))).height:
            raise BadInput(f"{path}: line {found['line'][0]}: {what}; correct the file")
    table = table.sort("date").with_columns(pl.col(list(SERIES)).forward_fill())
    table = table if until is None else table.filter(pl.col("date") <= until)
    if table.is_empty():
        return no_macro()
    known_from = released_after_close(table["date"], exchange=HOME, lag=LAG, what="macro series")
    return table.with_columns(known_from=known_from).select(list(SCHEMA)).cast(SCHEMA)  # type: ignore[arg-type]


def add_macro(panel: pl.DataFrame, macro: pl.DataFrame) -> pl.DataFrame:
    """Return ``panel`` (date, exchange, ...) plus ``MACRO_NAMES`` as known at the exchange's close; null if stale.

    An empty ``macro`` adds nothing.
    """
    if macro.is_empty():
        return panel
    values = macro.sort("date").select("known_from", *(f.expression.alias(f.name) for f in MACRO)).sort("known_from")
    known = origin_times(panel).sort("close").join_asof(values, left_on="close", right_on="known_from", tolerance=STALE)
    keys = ["exchange", "date"]
    return panel.join(known.select(*keys, *MACRO_NAMES), on=keys, how="left", maintain_order="left")
