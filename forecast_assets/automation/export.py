"""Tables for people: CSV out of the store."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from forecast_assets.assets.product import TABLE
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.spreadsheet import guarded
from forecast_assets.store.store import Store


def export_table(store: Store, asset: str, out: Path, *, partitions: Sequence[str], raw: bool = False) -> int:
    """Write the main table of ``asset`` to ``out`` and return its number of rows; nothing is written on an error.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, unless it is wanted ``raw``.
    """
    at_hand = store.partitions(asset)
    if not at_hand and not store.has(asset):
        raise MissingArtefact(f"{asset}: not materialised; there are {', '.join(store.assets()) or 'no assets yet'}")
    if missing := sorted(set(partitions) - set(at_hand)):
        there = f"there are {', '.join(at_hand)}" if at_hand else "it has none"
        raise MissingArtefact(f"{asset}: no partition {missing[0]!r}; {there}")
    chosen = list(partitions) or store.slots(asset)
    versions = [store.current(asset, partition) for partition in chosen]
    if any(TABLE not in version.manifest.files for version in versions):
        raise BadInput(f"{asset}: holds no table; its files are {', '.join(versions[0].manifest.files)}")
    table = pl.concat([pl.read_parquet(version.path(TABLE)) for version in versions])
    if not out.parent.is_dir():
        raise BadInput(f"{out}: its folder does not exist; create it, or export to another place")
    (table if raw else guarded(table)).write_csv(out)
    return table.height
