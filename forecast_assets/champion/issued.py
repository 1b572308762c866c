"""Forecasts as they were issued, under the tickers' latest names, and whether they stayed as they were."""

from collections.abc import Mapping
from itertools import pairwise

import polars as pl

from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.panel.lineage import rename
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.store import Store
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


def altered_forecasts(store: Store) -> list[str]:
    """Return a sentence for each night with a version that lacks forecasts of an earlier one, or has others instead.

    A night is committed once; what comes later adds tickers. Damaged files are left to ``Store.verify``.
    """
    renames, found = declared_renames(store), []
    for day in store.partitions(NIGHTLY_FORECAST):
        versions = store.versions(NIGHTLY_FORECAST, day)
        tables = [issued_table(each, renames) for each in versions if len(versions) > 1 and each.is_whole()]
        for earlier, later in pairwise(tables):
            if lost := earlier.join(later, on=[*KEYS, *QUANTILE_COLUMNS], how="anti").height:
                found.append(f"{NIGHTLY_FORECAST}/{day}: {lost} of its forecasts were altered after they were issued")
    return found
