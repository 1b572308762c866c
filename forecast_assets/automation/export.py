"""Tables for people: CSV out of the store."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from forecast_assets.assets.product import TABLE
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.store.store import Store


def export_table(store: Store, asset: str, out: Path, *, partitions: Sequence[str]) -> int:
    """Write the main table of ``asset`` to ``out`` and return its number of rows; nothing is written on an error."""
    at_hand = store.partitions(asset)
    if not at_hand and not store.has(asset):
        raise MissingArtefact(f"{asset}: not materialised; there are {', '.join(store.assets()) or 'no assets yet'}")
    if missing := sorted(set(partitions) - set(at_hand)):
        raise MissingArtefact(f"{asset}: no partition {missing[0]}; there are {', '.join(at_hand)}")
    chosen = list(partitions) or store.slots(asset)
    versions = [store.current(asset, partition) for partition in chosen]
    if any(TABLE not in version.manifest.files for version in versions):
        raise BadInput(f"{asset}: holds no table; its files are {', '.join(versions[0].manifest.files)}")
    table = pl.concat([pl.read_parquet(version.path(TABLE)) for version in versions])
    table.write_csv(out)
    return table.height
