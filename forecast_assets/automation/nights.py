"""Which nights are due."""

from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.store import Store


def due_nights(store: Store) -> list[str]:
    """Return the panel's recent sessions after the last committed night, oldest first; without any night, the last session.

    Raises MissingArtefact without a panel.
    """
    sessions = store.current(RAW_PANEL).json(PARTITIONS)["days"]
    committed = store.partitions(NIGHTLY_FORECAST)
    return [day for day in sessions if day > committed[-1]] if committed else sessions[-1:]
