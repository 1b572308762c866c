"""The coverage contract of a year: its sums by cell, and the asset checks on them."""

from typing import TYPE_CHECKING

import polars as pl

from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check
from forecast_assets.core.specs import CoverageSpec
from forecast_assets.store.artefact_files import RAW_FORECASTS, TABLE

if TYPE_CHECKING:
    from forecast_assets.assets.fold.losses import YearForecasts

BY_EXCHANGE = CheckSpec(
    "coverage_by_exchange",
    "The 95 % band of the next session's return covers its share on every exchange.",
    blocking=False,
)
BY_VOLATILITY = CheckSpec(
    "coverage_by_volatility",
    "The 95 % band covers its share in every decile of its width, at every horizon.",
    blocking=False,
)
CELL_MODELS = ("ensemble", "harx")


def year_cells(forecasts: "YearForecasts") -> pl.DataFrame:
    """Return ``coverage_cells.cell_sums`` of the ensemble and of HAR-X, held against the uncalibrated EWMA."""
    from forecast_assets.core.backtest.robustness import liquidity
    from forecast_assets.core.evaluation.coverage_cells import cell_sums, origin_groups
    from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX, YARDSTICK

    panel = pl.scan_parquet(forecasts.calendar_panel.path(TABLE))
    raw = RAW_FORECASTS if RAW_FORECASTS in forecasts.baselines.manifest.files else TABLE
    tables = {
        "ensemble": forecasts.ensemble.path(TABLE),
        "harx": forecasts.baselines.path(TABLE),
        YARDSTICK.removesuffix(RAW_SUFFIX): forecasts.baselines.path(raw),
    }
    *own, reference = (
        pl.scan_parquet(path).filter((pl.col("model") == name) & (pl.col("split") == "test")).collect()
        for name, path in tables.items()
    )
    first, last = reference["date"].min(), reference["date"].max()
    quoted = panel.filter(~pl.col("is_missing") & pl.col("is_member") & pl.col("date").is_between(first, last))
    traded = liquidity(panel).filter(pl.col("date").is_between(first, last)).collect()
    groups = origin_groups(quoted.select("date", "ticker", "exchange", "sector").collect(), traded=traded)
    return pl.concat(cell_sums(table, reference=reference, groups=groups) for table in own)


def coverage_checks(sums: pl.DataFrame, *, spec: CoverageSpec) -> dict[str, Check]:
    """Return the checks of a year's ensemble: a cell fails where its whole interval lies outside the contract's limits."""
    from forecast_assets.core.evaluation.coverage_cells import coverage_cells, outside_limits, with_deciles
    from forecast_assets.core.report.coverage import cell_in_words

    own = sums.filter(pl.col("model") == CELL_MODELS[0])
    cells = coverage_cells(with_deciles(own), spec=spec).filter(pl.col("limit_low").is_not_null())
    checks = {}
    for check, group in ((BY_EXCHANGE, "exchange"), (BY_VOLATILITY, "volatility")):
        under = cells.filter(pl.col("group") == group)
        surely, outside = (outside_limits(under, surely=surely) for surely in (True, False))
        worst = surely if surely.height else outside
        text = f"Of {under.height} cells {outside.height} outside their limits, {surely.height} with the whole interval"
        text += f"; the worst: {cell_in_words(worst.row(0, named=True))}." if worst.height else "."
        checks[check.name] = Check(
            surely.is_empty(), text, metadata={"cells": under.height, "outside": surely.height}, warns=True
        )
    return checks
