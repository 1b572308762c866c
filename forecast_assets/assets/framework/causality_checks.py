"""The leakage checks as asset checks, run on the user's own panel whenever a table is made."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check

if TYPE_CHECKING:
    from forecast_assets.core.panel.leakage_checks import LeakageCheck
    from forecast_assets.core.windows.folds import Fold
    from forecast_assets.core.windows.tensors import PanelTensors

CAUSAL = (
    CheckSpec("truncation", "rows up to a day come out the same, value for value, when all later ones are dropped"),
    CheckSpec("poison", "rows up to a day come out the same, value for value, when all later ones are garbage"),
)

PURGED = CheckSpec("purged", "every label ends before the next split's first forecast origin, at every border")

KNOWN_LATER = CheckSpec(
    "known_after_its_day", "no value was known before the day that it is of began, wherever on Earth that is"
)


def known_later(table: pl.DataFrame) -> dict[str, Check]:
    """Return the check ``KNOWN_LATER`` of observed values with ``date`` and ``known_from``, UTC."""
    from forecast_assets.core.panel.covariates.read import FAR_EAST

    early = table.filter(pl.col("known_from") < pl.col("date").cast(pl.Datetime("us")) - FAR_EAST).height
    return {KNOWN_LATER.name: Check(not early, f"{early} of {table.height} observed values were")}


def causal_checks(results: Mapping[str, "LeakageCheck"]) -> dict[str, Check]:
    """Return one asset check per leakage check; a failed one names the columns that depend on the future."""
    checks = {}
    for name, result in results.items():
        where = f"{result.rows} rows of {result.tickers} tickers up to {result.cut}"
        found = ", ".join(f"{column} ({count} rows)" for column, count in result.changed.items())
        changed = f"of {where}, changed: {found or 'there are none to compare'}"
        counts = {"tickers": result.tickers, "rows": result.rows, "columns_changed": len(result.changed)}
        sentence = f"{where} are the same" if result.holds else changed
        checks[name] = Check(result.holds, sentence, {"cut": str(result.cut), **counts})
    return checks


def purge_check(panel: "PanelTensors", fold: "Fold") -> dict[str, Check]:
    """Return the check ``PURGED`` of one fold, with the days between labels and forecast origins at each border."""
    from forecast_assets.core.windows.folds import borders

    found = borders(fold, date=panel.date, label_end=panel.label_end)
    gaps = {split: begins - ends for split, (ends, begins) in found.items()}
    sentence = "; ".join(
        f"{split} labels end {gap} days before the next split's first forecast origin" for split, gap in gaps.items()
    )
    days = {f"days_after_{split}": gap for split, gap in gaps.items()}
    return {PURGED.name: Check(min(gaps.values()) > 0, sentence, days)}
