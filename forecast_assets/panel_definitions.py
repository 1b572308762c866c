"""The definitions of one panel: assets, jobs, schedule, sensors and resources, under the panel's own names."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from forecast_assets.assets.ablation_report import ablation_report
from forecast_assets.assets.announcements import announcements
from forecast_assets.assets.backtest import backtest
from forecast_assets.assets.backtest_report import backtest_report
from forecast_assets.assets.baselines import baselines
from forecast_assets.assets.calendar_panel import calendar_panel
from forecast_assets.assets.challenger import challenger
from forecast_assets.assets.covariates import covariates
from forecast_assets.assets.drift_checks import drift_checks
from forecast_assets.assets.ensemble import ensemble
from forecast_assets.assets.f0_chronos import f0_chronos
from forecast_assets.assets.feature_panel import feature_panel
from forecast_assets.assets.framework.freshness import latest_night
from forecast_assets.assets.framework.next_champion import next_champion
from forecast_assets.assets.framework.records import records
from forecast_assets.assets.framework.stage import OF_PANEL, STAGES
from forecast_assets.assets.framework.staleness import loads_for_the_ui, with_code_versions
from forecast_assets.assets.framework.views import views_of
from forecast_assets.assets.fx_rates import fx_rates
from forecast_assets.assets.macro_series import macro_series
from forecast_assets.assets.networks import NETWORK_ASSETS
from forecast_assets.assets.nightly_forecast import nightly_forecast
from forecast_assets.assets.panel.panel_files import panel_files
from forecast_assets.assets.raw_panel import flags, raw_panel, rejected_rows
from forecast_assets.assets.rivals import rivals
from forecast_assets.assets.serving_model import serving_model
from forecast_assets.assets.sweep import sweep
from forecast_assets.assets.target_positions import target_positions
from forecast_assets.assets.windowed_tensors import windowed_tensors
from forecast_assets.automation.conditions import new_years_and_reports, with_conditions
from forecast_assets.automation.jobs import jobs
from forecast_assets.automation.late_prices import late_prices_of
from forecast_assets.automation.progress import console
from forecast_assets.automation.schedules import night_sensors, nightly_schedule_of
from forecast_assets.automation.sensors import alerts_of
from forecast_assets.resources.channels.table import open_channels
from forecast_assets.resources.compute import ComputeResource, step_executor
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreIOManager, StoreResource
from forecast_assets.resources.tracking import TrackingResource

STAGE_ASSETS = [
    *(raw_panel, rejected_rows, flags, calendar_panel, announcements),
    *(macro_series, covariates, feature_panel, windowed_tensors),
    *(fx_rates, sweep, baselines, *NETWORK_ASSETS, f0_chronos, ensemble, backtest, rivals),
    *(backtest_report, ablation_report),
    *(challenger, serving_model, nightly_forecast, target_positions, drift_checks),
]

CHANNELS = (
    "Where alerts go: Slack, e-mail, a webhook; each is set up by environment variables, read when a message is sent."
)


def assets_of(names: PanelNames) -> list[dg.AssetsDefinition]:
    """Return what is materialised of a panel."""
    stages = [OF_PANEL[asset.key.path[-1]](names) if names != FIRST else asset for asset in STAGE_ASSETS]
    return with_conditions([*stages, *views_of(names)], names)


def not_made(names: PanelNames) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return what is observed of a panel, reported by what completes it, or read beside the graph."""
    return [panel_files(names), next_champion(names), latest_night(names), *records(names)]


def resources_of(
    names: PanelNames, *, data_dir: str = "", settings: SettingsResource, source: PanelSource
) -> dict[str, Any]:
    """Return a panel's resources by their plain names; with no ``data_dir``, the one that the environment names."""
    store = StoreResource(data_dir=data_dir, key_prefix=names.prefix)
    return {
        "store": store,
        "io_manager": StoreIOManager(store=store),
        "settings": settings,
        "source": source,
        "compute": ComputeResource(),
        "tracking": TrackingResource(folder="" if "://" in data_dir else data_dir),
        "alert_channels": dg.ResourceDefinition.hardcoded_resource(open_channels(), CHANNELS),
    }


def panel_definitions(
    names: PanelNames, assets: list[dg.AssetsDefinition], resources: Mapping[str, Any]
) -> dg.Definitions:
    """Return all definitions of a panel; ``resources`` by their plain names."""
    of_panel, settings = jobs(names), resources["settings"].settings
    return dg.Definitions(
        assets=[
            *(with_code_versions(assets, STAGES, settings()) if loads_for_the_ui() else assets),
            *not_made(names),
        ],
        jobs=list(of_panel.values()),
        schedules=[nightly_schedule_of(names, of_panel)],
        sensors=[
            *night_sensors(names, of_panel),
            late_prices_of(names, of_panel),
            alerts_of(names, of_panel),
            new_years_and_reports(names),
        ],
        resources={names.name(name): resource for name, resource in resources.items()},
        executor=step_executor(),
        loggers={"console": console},
    )
