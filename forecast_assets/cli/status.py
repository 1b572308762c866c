"""``status``: what the store holds, as a table."""

import datetime as dt

import click
from rich.console import Console
from rich.table import Table

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.store.store import Store


def print_status(store: Store, root: str) -> None:
    """Print a line per asset and partition: age, size, duration, data version."""
    table = Table("asset", "partition", "age", "MiB", "seconds", "data version", title=f"{root}/store")
    for asset in store.assets():
        for partition in store.slots(asset):
            version = store.current(asset, partition)
            size = sum(entry.bytes for entry in version.manifest.files.values()) / 2**20
            age = str(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(version.manifest.created)).split(".")[0]
            seconds = version.manifest.facts.get("seconds")
            took = "" if seconds is None else f"{seconds:.1f}"
            table.add_row(asset, partition or "", age, f"{size:.1f}", took, version.data_version[:12])
    nothing = f"{root}: nothing is materialised yet; run `make all`"
    Console().print(table if table.row_count else nothing, soft_wrap=not table.row_count)


@click.command("status")
@user_command
def command() -> None:
    """Show what is materialised: age, size and duration."""
    print_status(*open_store())
