"""What the store holds, as a table for people."""

import datetime as dt
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from forecast_assets.cli.common import user_command

if TYPE_CHECKING:
    from forecast_assets.resources.store_io import StoreResource


def print_status(resource: "StoreResource") -> None:
    """One line per asset and partition: age, size, how long it took, data version."""
    store = resource.store()
    table = Table("asset", "partition", "age", "MiB", "seconds", "data version", title=f"{resource.root()}/store")
    for asset in store.assets():
        for partition in store.slots(asset):
            version = store.current(asset, partition)
            size = sum(entry.bytes for entry in version.manifest.files.values()) / 2**20
            age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(version.manifest.created)
            seconds = version.manifest.facts.get("seconds")
            table.add_row(
                asset,
                partition or "",
                str(age).split(".")[0],
                f"{size:.1f}",
                "" if seconds is None else f"{seconds:.1f}",
                version.data_version[:12],
            )
    nothing = f"{resource.root()}: nothing is materialised yet; run `make all`"
    Console().print(table if table.row_count else nothing, soft_wrap=not table.row_count)


@click.command("status")
@user_command
def command() -> None:
    """What is materialised, from when, how large, how long it took."""
    from forecast_assets.resources.store_io import StoreResource

    print_status(StoreResource())
