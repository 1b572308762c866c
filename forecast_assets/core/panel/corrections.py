"""Apply declared repairs of known data errors, after the raw panel and before the calendar."""

from collections.abc import Sequence

import polars as pl

from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.specs import Correction

SAME_RETURN = 1e-3  # largest difference between the panel's log return and the declared one for the correction to apply
SILENT_SHARE = 0.5  # smallest share of rows without volume for a range to be trimmed
REPORT = {
    "ticker": pl.String,
    "kind": pl.String,
    "date": pl.Date,
    "end": pl.Date,
    "rows": pl.UInt32,
    "log_return": pl.Float64,
    "reason": pl.String,
}


def apply_corrections(raw: pl.DataFrame, *, corrections: Sequence[Correction]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the raw panel with the declared errors repaired, and one row per correction that applied.

    ``neutralise_return`` multiplies all earlier prices of the ticker by exp(its return on that date), as measured in the
    panel: the return becomes zero, later prices stay as quoted, and earlier returns keep their values (to rounding, so
    leakage checks by truncation start from the calendar panel). ``trim`` drops the ticker's rows in [date, end]. A
    correction whose error is not in the panel (no such ticker or date, another return, a range that trades) does nothing.
    """
    report = []
    for correction in corrections:
        change = _neutralise if correction.kind == "neutralise_return" else _trim
        raw, rows, log_return = change(raw, correction)
        if rows:
            row = (correction.ticker, correction.kind, correction.date, correction.end, rows, log_return)
            report.append((*row, correction.reason))
    return raw, pl.DataFrame(report, schema=REPORT, orient="row")


def _neutralise(raw: pl.DataFrame, correction: Correction) -> tuple[pl.DataFrame, int, float | None]:
    """Return (panel, number of earlier rows rescaled, the return found)."""
    own = raw.filter(pl.col("ticker") == correction.ticker).sort("date")
    returns = own.select("date", log_return=pl.col("close").log().diff()).filter(pl.col("date") == correction.date)
    found = returns["log_return"][0] if returns.height else None
    if found is None or correction.log_return is None or abs(found - correction.log_return) > SAME_RETURN:
        return raw, 0, None
    closes = own.filter(pl.col("date") <= correction.date)["close"]
    factor = closes[-1] / closes[-2]
    earlier = (pl.col("ticker") == correction.ticker) & (pl.col("date") < correction.date)
    rescaled = [pl.when(earlier).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name) for name in PRICES]
    return raw.with_columns(rescaled), len(closes) - 1, found


def _trim(raw: pl.DataFrame, correction: Correction) -> tuple[pl.DataFrame, int, float | None]:
    """Return (panel, number of rows dropped, None)."""
    end = correction.end if correction.end is not None else correction.date
    inside = (pl.col("ticker") == correction.ticker) & pl.col("date").is_between(correction.date, end)
    volumes = raw.filter(inside)["volume"]
    silent = (volumes.is_null() | (volumes == 0)).sum()
    if volumes.is_empty() or silent < SILENT_SHARE * len(volumes):
        return raw, 0, None
    return raw.filter(~inside), len(volumes), None
