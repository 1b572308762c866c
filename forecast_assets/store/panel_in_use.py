"""What the store's own versions say about the panel that its years and nights were made from."""

import logging
from collections.abc import Sequence

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import CALENDAR_PANEL, ENSEMBLE, RAW_PANEL
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


def panel_sessions(store: Store) -> list[str]:
    """Return the sessions of the current raw panel, ascending ISO dates; of one that an earlier release made, the last.

    Raises MissingArtefact without a panel.
    """
    partitions = store.current(RAW_PANEL).json(PARTITIONS)
    sessions: list[str] = partitions.get("sessions", partitions["days"])
    return sessions


def days_in_panel(store: Store, asset: str) -> list[str]:
    """Return the days of an asset up to the panel's last session; all of them without a panel.

    A later one was made from a row that has been corrected since, or the panel is a replay's.
    """
    days = store.partitions(asset)
    if not days or not store.has(RAW_PANEL):
        return days
    last = panel_sessions(store)[-1]
    return [day for day in days if day <= last]


def of_panel(store: Store, slots: Sequence[str | None]) -> list[str | None]:
    """Return ``slots`` without the years that are no test years of the current panel; nights and a whole asset stay."""
    if not any(slot is not None and slot.isdecimal() for slot in slots) or not store.has(RAW_PANEL):
        return list(slots)
    years = store.current(RAW_PANEL).json(PARTITIONS)["years"]
    return [slot for slot in slots if slot is None or not slot.isdecimal() or slot in years] or list(slots)


def untrained_years(store: Store) -> list[str]:
    """Return the panel's test years after the newest that has an ensemble; none where no year has one yet."""
    trained = store.partitions(ENSEMBLE)
    if not trained or not store.has(RAW_PANEL):
        return []
    return [year for year in store.current(RAW_PANEL).json(PARTITIONS)["years"] if year > trained[-1]]


def untrained_sentence(years: Sequence[str]) -> str:
    """Return what to do about ``untrained_years``, in the UI and at the command line."""
    return (
        f"the panel has {', '.join(years)} and no model is trained for it: an earlier year's goes on serving. In the UI, "
        f"materialise partition {years[-1]} of the job walk_forward and then report, or type: forecast-assets run --years "
        f"{','.join(years)}"
    )
