"""Which nights are due, and taking a champion back."""

from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.store import Store


def due_nights(store: Store) -> list[str]:
    """Days of the panel's recent sessions that come after the last committed night, oldest first; the last session alone
    where there is no night yet. Raises MissingArtefact without a panel.
    """
    sessions = store.current(RAW_PANEL).json(PARTITIONS)["days"]
    committed = store.partitions(NIGHTLY_FORECAST)
    return [day for day in sessions if day > committed[-1]] if committed else sessions[-1:]
