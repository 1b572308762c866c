"""What the store's own versions say about the panel that its years and nights were made from."""

import logging

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.asset_keys import CALENDAR_PANEL, RAW_PANEL
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

log = logging.getLogger(__name__)


def panel_in_use(store: Store) -> Version | None:
    """Return the raw panel that years or nights were made from, None where there are none yet.

    Where the current version is damaged, the newest whole one.
    """
    if not any(store.partitions(asset) for asset in store.assets()):
        return None
    try:
        current = store.current(RAW_PANEL)
        current.check()
        return current
    except MissingArtefact:
        return None
    except CorruptArtefact as error:
        log.warning("%s The newest whole version is taken for the panel so far.", error)
    return next((version for version in reversed(store.versions(RAW_PANEL)) if version.is_whole()), None)


def declared_renames(store: Store) -> dict[str, str]:
    """Return the renames (old ticker -> new one) that the current raw panel was made with; empty without a panel."""
    if not store.has(RAW_PANEL):
        return {}
    renames: dict[str, str] = store.current(RAW_PANEL).manifest.config["panel"].get("renames", {})
    return renames


def earlier_panels(store: Store) -> list[Version]:
    """Return the whole versions of the calendar panel, newest first: where a ticker that has left the panel is found."""
    return [version for version in reversed(store.versions(CALENDAR_PANEL)) if version.is_whole()]
