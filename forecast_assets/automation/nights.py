"""Which nights are due."""

from forecast_assets.champion.promotion import NIGHT
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.store import Store


def due_nights(store: Store) -> list[str]:
    """Return the panel's recent sessions after the last committed night, oldest first; without any night, the last session.

    Raises MissingArtefact without a panel.
    """
    sessions = store.current("raw_panel").json(PARTITIONS)["days"]
    committed = store.partitions(NIGHT)
    return [day for day in sessions if day > committed[-1]] if committed else sessions[-1:]
