"""The input files of the panel, observed: by what they hold the UI knows that there is something new to read."""

import warnings
from collections.abc import Iterator

import dagster as dg

from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource

PANEL_FILES = "panel_files"


def observe(
    context: dg.AssetExecutionContext, store: StoreResource, settings: SettingsResource, source: PanelSource
) -> Iterator[dg.ObserveResult]:
    """Record the digest of the files, which is what the input key of the raw panel has of them."""
    current = settings.settings()
    files = source.input_files(
        current.demo, current.panel, data_root=store.root(), quiet_seconds=current.arrival.quiet_seconds
    )
    yield dg.ObserveResult(
        asset_key=store.names.key(PANEL_FILES),
        data_version=dg.DataVersion(files.digest()),
        metadata={"files": len(files.files)},
    )


def panel_files(names: PanelNames) -> dg.AssetsDefinition:
    """Return the input files of a panel, which Dagster observes."""
    spec = dg.AssetSpec(
        names.key(PANEL_FILES),
        description="The files of the raw panel that have arrived: those below FORECAST_PANEL, or the demo panel. "
        "Observing them reads no row; `raw_panel` is out of date where they have changed since it was made.",
        group_name=names.name("panel"),
        kinds={"file"},
        owners=[environment.owner()],
        tags={"domain": "data", "tier": "production"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the decorator's own: a user can do nothing about it
        decorate = dg.multi_observable_source_asset(name=names.name(f"observe_{PANEL_FILES}"), specs=[spec])
        return decorate(names.renamed(observe))
