"""What a store can do without."""

from collections.abc import Iterator

from forecast_assets.assets.succession import SERVING
from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.resources.trial_ledger import collect_trials
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
    bundles = store.versions(SERVING)
    needed = {(label, seen) for bundle in bundles for label, seen in bundle.manifest.parents.items()}
    for asset in store.assets():
        if asset == SERVING:
            continue
        for partition in store.slots(asset):
            try:
                current = store.current(asset, partition).id
            except CorruptArtefact:
                continue  # the last sound one may be any of them: for verify and whoever repairs it
            for version in store.versions(asset, partition)[:-keep]:
                if version.id != current and (version.label, version.data_version) not in needed:
                    yield version
