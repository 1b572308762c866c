"""How the settings that a sweep found reach the stages after it."""

from forecast_assets.store.artefact_files import TUNED_SETTINGS
from forecast_assets.store.store import Store

SWEEP = "sweep"


def tuned_overrides(store: Store) -> list[str]:
    """Hydra overrides of the current sweep's settings; none where there is no sweep.

    They come before a user's own overrides, so that what is asked for by hand stands.
    """
    if not store.has(SWEEP):
        return []
    return [f"{knob}={value}" for knob, value in store.current(SWEEP).json(TUNED_SETTINGS)["settings"].items()]
