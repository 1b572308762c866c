"""What a store can do without."""

from collections.abc import Iterator

import click

from forecast_assets.cli.common import user_command
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.resources.trial_log import collect_trials
from forecast_assets.store.asset_keys import SERVING_MODEL
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


def prune(store: Store, data_root: str, *, keep: int, dry_run: bool = False) -> list[Version]:
    """Remove what ``prunable`` names, oldest first; returns it. Its trials are in the ledger before anything goes."""
    found = list(prunable(store, keep=keep))
    if found and not dry_run:
        collect_trials(store, data_root)
        for version in found:
            store.remove(version)
    return found


def prunable(store: Store, *, keep: int) -> Iterator[Version]:
    """Versions that nobody reads: not current, not among the ``keep`` latest of their asset and partition.

    Whatever has ever served stays, for a rollback, and the challengers that it was made from, whose weights it is.
    """
    bundles = store.versions(SERVING_MODEL)
    needed = {(label, seen) for bundle in bundles for label, seen in bundle.manifest.parents.items()}
    for asset in store.assets():
        if asset == SERVING_MODEL:
            continue
        for partition in store.slots(asset):
            try:
                current = store.current(asset, partition).id
            except CorruptArtefact:
                continue  # the last sound one may be any of them: for verify and whoever repairs it
            for version in store.versions(asset, partition)[:-keep]:
                if version.id != current and (version.label, version.data_version) not in needed:
                    yield version


@click.command("prune")
@click.option("--keep", type=click.IntRange(min=1), default=3, show_default=True, help="Latest versions that stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@user_command
def command(keep: int, dry_run: bool) -> None:
    """Remove old versions: of each asset and partition the current and the latest stay, and all that have ever served.

    What was tried stays counted: every trial is in the ledger before its version goes.
    """
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    with resource.store().run_lock(on_wait=lambda text: click.echo(text, err=True)):
        gone = prune(resource.store(), resource.root(), keep=keep, dry_run=dry_run)
    size = sum(entry.bytes for version in gone for entry in version.manifest.files.values()) / 2**20
    for asset in sorted({version.asset for version in gone}):
        click.echo(f"{asset}: {sum(version.asset == asset for version in gone)} versions")
    what, shared = "would go" if dry_run else "removed", "; files that other versions share stay" if gone else ""
    click.echo(f"{resource.root()}/store: {len(gone)} versions {what}, {size:.1f} MiB{shared}")
