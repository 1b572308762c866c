"""The chain of what was committed once: each night's manifest has the digests of the nights before it.

So a night that was deleted, or altered and signed again, shows in those after it, the newest in its positions and checks.
"""

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.asset_keys import DRIFT_CHECKS, NIGHTLY_FORECAST, TARGET_POSITIONS
from forecast_assets.store.names import label
from forecast_assets.store.store import Store

NAMING = (NIGHTLY_FORECAST, TARGET_POSITIONS, DRIFT_CHECKS)  # whose manifests name nights


def broken_links(store: Store) -> list[str]:
    """Return a sentence for each night that is not what a later one, or its own positions or checks, were made from.

    A night to which late tickers were added has its first version still, which may be what its positions were made from.
    """
    found: dict[str, str] = {}
    for asset in NAMING:
        for day in store.partitions(asset):
            try:
                parents = store.current(asset, day).manifest.parents
            except CorruptArtefact:
                continue  # for `Store.verify`
            for named, seen in sorted(parents.items()):
                of, _, night = named.partition("/")
                if of != NIGHTLY_FORECAST or named in found or named == label(asset, day):
                    continue
                if what := _what_is_wrong(store, night, seen, earlier=night < day):
                    found[named] = f"{named} {what}: {label(asset, day)} was made from it"
    return list(found.values())


def _what_is_wrong(store: Store, night: str, seen: str, *, earlier: bool) -> str:
    """Return what is wrong with a night that was named with the digest ``seen``; empty where nothing is."""
    try:
        current = store.current(NIGHTLY_FORECAST, night).data_version
    except MissingArtefact:
        return "is gone"
    except CorruptArtefact:
        return ""  # for `Store.verify`
    if current == seen:
        return ""
    if not earlier and any(version.data_version == seen for version in store.versions(NIGHTLY_FORECAST, night)):
        return ""
    return "is another one than it was"
