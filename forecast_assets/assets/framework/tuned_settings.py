"""The settings that the current sweep found, for the stages after it."""

from forecast_assets.store.artefact_files import TUNED_SETTINGS
from forecast_assets.store.store import Store

SWEEP = "sweep"


def tuned_overrides(store: Store) -> list[str]:
    """Hydra overrides of the current sweep's settings; none where there is no sweep.

    They come before a user's own overrides, which win.
    """
    if not store.has(SWEEP):
        return []
    return [f"{setting}={value}" for setting, value in store.current(SWEEP).json(TUNED_SETTINGS)["settings"].items()]
