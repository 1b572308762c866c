"""The Dagster definitions of the panel that the environment names; further panels are components (``component``)."""

from forecast_assets.resources.process_setup import no_garbage_collection

with no_garbage_collection():  # it takes a fifth of the time that these load in
    from forecast_assets.panel_definitions import assets_of, not_made, panel_definitions, resources_of
    from forecast_assets.resources.panel_names import FIRST
    from forecast_assets.resources.settings import SettingsResource
    from forecast_assets.resources.source import PanelSource

    ASSETS = assets_of(FIRST)

    NOT_MADE = not_made(FIRST)

    RESOURCES = resources_of(FIRST, settings=SettingsResource(), source=PanelSource())

    store = RESOURCES["store"]

    defs = panel_definitions(FIRST, ASSETS, RESOURCES)
