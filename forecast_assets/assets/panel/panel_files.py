"""The input files of the panel, observed: by what they hold the UI knows that there is something new to read."""

import warnings
from collections.abc import Iterator

import dagster as dg

from forecast_assets.resources import environment

PANEL_FILES = "panel_files"


def observe(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
    """Record the digest of the files, which is what the input key of the raw panel has of them."""
    settings = context.resources.settings.settings()
    root = context.resources.store.root()
    files = context.resources.source.input_files(
        settings.demo, settings.panel, data_root=root, quiet_seconds=settings.arrival.quiet_seconds
    )
    yield dg.ObserveResult(
        asset_key=PANEL_FILES, data_version=dg.DataVersion(files.digest()), metadata={"files": len(files.files)}
    )


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # the decorator's own: a user can do nothing about it
    panel_files = dg.multi_observable_source_asset(
        name=f"observe_{PANEL_FILES}",
        specs=[
            dg.AssetSpec(
                PANEL_FILES,
                description="The files of the raw panel that have arrived: those below FORECAST_PANEL, or the demo panel. "
                "Observing them reads no row; `raw_panel` is out of date where they have changed since it was made.",
                group_name="panel",
                kinds={"file"},
                owners=[environment.owner()],
                tags={"domain": "data", "tier": "production"},
            )
        ],
        required_resource_keys={"store", "settings", "source"},
    )(observe)
