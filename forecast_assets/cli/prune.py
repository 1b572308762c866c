"""``prune``: remove old versions from the store."""

from collections.abc import Iterator

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.resources.trial_log import collect_trials
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, SERVING_MODEL
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


def prune(store: Store, data_root: str, *, keep: int, dry_run: bool = False) -> list[Version]:
    """Remove what ``prunable`` yields, oldest first, and return it. Its trials are in the trial log before that."""
    found = list(prunable(store, keep=keep))
    if found and not dry_run:
        collect_trials(store, data_root)
        for version in found:
            store.remove(version)
    return found


def prunable(store: Store, *, keep: int) -> Iterator[Version]:
    """Yield the versions that are neither current nor among the ``keep`` latest of their asset and partition.

    All that have ever served stay, for a rollback, and the challengers whose weights they hold; and each night as it was
    committed first, which is sealed.
    """
    bundles = store.versions(SERVING_MODEL)
    needed = {(label, seen) for bundle in bundles for label, seen in bundle.manifest.parents.items()}
    for asset in store.assets():
        if asset == SERVING_MODEL:
            continue
        if asset == NIGHTLY_FORECAST:
            continue  # each of its versions is sealed
        for partition in store.slots(asset):
            try:
                current = store.current(asset, partition).id
            except CorruptArtefact:
                continue  # any of them may be the last undamaged one: that is for verify and a repair
            for version in store.versions(asset, partition)[:-keep]:
                if version.id != current and (version.label, version.data_version) not in needed:
                    yield version


@click.command("prune")
@click.option("--keep", type=click.IntRange(min=1), default=3, show_default=True, help="Latest versions that stay.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@user_command
def command(keep: int, dry_run: bool) -> None:
    """Remove old versions.

    Of each asset and partition the current and the latest ones stay, all that have ever served, and the nights. Trials
    stay counted: each is in the trial log before its version is removed.
    """
    store, root = open_store()
    with store.run_lock(on_wait=lambda text: click.echo(text, err=True)):
        gone = prune(store, root, keep=keep, dry_run=dry_run)
    size = sum(entry.bytes for version in gone for entry in version.manifest.files.values()) / 2**20
    for asset in sorted({version.asset for version in gone}):
        click.echo(f"{asset}: {sum(version.asset == asset for version in gone)} versions")
    what = "would be removed" if dry_run else "removed"
    shared = "; files that other versions share stay" if gone else ""
    click.echo(f"{root}/store: {len(gone)} versions {what}, {size:.1f} MiB{shared}")
