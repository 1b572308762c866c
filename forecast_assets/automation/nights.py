"""Which nights are due, and taking a champion back."""

from forecast_assets.assets.succession import NIGHT, SERVING, WITHDRAWN, withdrawal
from forecast_assets.core.errors import BadInput
from forecast_assets.store.journal import Journal
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


def due_nights(store: Store) -> list[str]:
    """Days of the panel's recent sessions that come after the last committed night, oldest first; the last session alone
    where there is no night yet. Raises MissingArtefact without a panel.
    """
    sessions = store.current("raw_panel").json("partitions.json")["days"]
    committed = store.partitions(NIGHT)
    return [day for day in sessions if day > committed[-1]] if committed else sessions[-1:]


def roll_back(store: Store, data_root: str) -> tuple[Version, Version]:
    """Make the champion before the current one serve again, and keep the current one from coming back.

    Returns the one that was taken back and the one that serves. Raises BadInput where there is none before it.
    """
    current = store.current(SERVING)
    before = [v for v in store.versions(SERVING) if v.manifest.created < current.manifest.created and v.is_whole()]
    if not before:
        raise BadInput(f"rollback: {current.id} is the first champion, there is none before it")
    taken_back = withdrawal(current.manifest.parents)
    Journal(data_root, WITHDRAWN).append([{"id": taken_back, "version": current.id}])
    store.promote(before[-1])
    return current, before[-1]
