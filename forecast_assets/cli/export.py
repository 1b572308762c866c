"""``export``: an asset's table as CSV."""

from collections.abc import Sequence
from pathlib import Path

import click
import polars as pl

from forecast_assets.cli.common import listed, open_store, user_command
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.spreadsheet import guarded
from forecast_assets.store.artefact_files import LATEST, TABLE
from forecast_assets.store.panel_in_use import of_panel
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


def export_table(store: Store, asset: str, out: Path, *, partitions: Sequence[str], raw: bool = False) -> int:
    """Write the main table of ``asset`` to ``out`` and return its number of rows; nothing is written on an error.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, unless ``raw``.
    """
    versions = [store.current(asset, partition) for partition in chosen_slots(store, asset, partitions)]
    if any(TABLE not in version.manifest.files for version in versions):
        raise BadInput(f"{asset}: holds no table; its files are {', '.join(versions[0].manifest.files)}")
    table = pl.concat([_table(version) for version in versions])
    require_folder(out)
    (table if raw else guarded(table)).write_csv(out)
    return table.height


def chosen_slots(store: Store, asset: str, partitions: Sequence[str]) -> list[str | None]:
    """Return ``partitions`` of ``asset``, or all of the panel where none is named. Raises MissingArtefact for others."""
    at_hand = store.partitions(asset)
    if not at_hand and not store.has(asset):
        raise MissingArtefact(f"{asset}: not materialised; there are {', '.join(store.assets()) or 'no assets yet'}")
    if missing := sorted(set(partitions) - set(at_hand)):
        there = f"there are {', '.join(at_hand)}" if at_hand else "it has none"
        raise MissingArtefact(f"{asset}: no partition {missing[0]!r}; {there}")
    return list(partitions) or of_panel(store, store.slots(asset))


def _table(version: Version) -> pl.DataFrame:
    if LATEST not in version.manifest.files:
        return pl.read_parquet(version.path(TABLE))
    return pl.read_parquet([version.path(TABLE), version.path(LATEST)]).sort("ticker", "date")


def require_folder(out: Path) -> None:
    """Raise BadInput where a file can't be written to because its folder is not there, or it is one, or a pipe."""
    if not out.parent.is_dir():
        raise BadInput(f"{out}: its folder does not exist; create it, or export to another place")
    if out.is_dir():
        raise BadInput(f"{out}: this is a folder; name a file in it")
    if out.is_fifo():  # nobody may ever read from it
        raise BadInput(f"{out}: this is a pipe; name a file")


@click.command("export")
@click.argument("asset")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--years", metavar="YEARS", help="Partitions, comma-separated; default: all of the panel.")
@click.option("--raw", is_flag=True, help="Without the apostrophe before text that a spreadsheet would evaluate.")
@user_command
def command(asset: str, out: Path, years: str | None, raw: bool) -> None:
    """Write an asset's table to OUT as CSV.

    Its partitions stand one below the other. Text that begins like a formula gets an apostrophe before it, so that the
    file is safe to open in a spreadsheet.
    """
    store, _ = open_store()
    rows = export_table(store, asset, out, partitions=listed(years), raw=raw)
    click.echo(f"{out}: {rows} rows")
