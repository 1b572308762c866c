"""Forecasts as they were issued, under the tickers' latest names."""

from collections.abc import Mapping

import polars as pl

from forecast_assets.core.panel.lineage import rename
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version

KEYS = ("date", "ticker", "horizon")


def issued_table(version: Version, renames: Mapping[str, str], *, file: str = TABLE) -> pl.DataFrame:
    """Return the forecasts that a night or a fold published in ``file``, by date and ticker.

    Those of a renamed ticker stand under its new name, unless that was forecast beside it. A night that did not keep its
    uncalibrated forecasts gives its published ones.
    """
    table = pl.read_parquet(version.path(file if file in version.manifest.files else TABLE))
    old = pl.col("ticker").is_in(list(renames))
    if not table.select(old.any()).item():
        return table
    kept = table.filter(~old)
    moved = rename(table.filter(old), renames).join(kept, on=[*KEYS, "model", "split"], how="anti")
    return pl.concat([kept, moved]).sort(KEYS, maintain_order=True)
