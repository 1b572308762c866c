"""Which nights are due, and taking a champion back."""

from forecast_assets.champion.promotion import NIGHT
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.store import Store


def due_nights(store: Store) -> list[str]:
    """Days of the panel's recent sessions that come after the last committed night, oldest first; the last session alone
    where there is no night yet. Raises MissingArtefact without a panel.
    """
    sessions = store.current("raw_panel").json(PARTITIONS)["days"]
    committed = store.partitions(NIGHT)
    return [day for day in sessions if day > committed[-1]] if committed else sessions[-1:]
