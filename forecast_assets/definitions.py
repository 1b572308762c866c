"""The Dagster definitions of the panel that the environment names; further panels are components (``component``)."""

<<<<<<< HEAD
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
from forecast_assets.assets.framework.stage import STAGES
from forecast_assets.assets.framework.staleness import loads_for_the_ui, with_code_versions
from forecast_assets.assets.framework.year_views import VIEWS
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
from forecast_assets.automation.jobs import JOBS
from forecast_assets.automation.late_prices import late_prices
from forecast_assets.automation.progress import console
from forecast_assets.automation.schedules import next_night, next_night_after_a_failure, nightly_schedule
from forecast_assets.automation.sensors import SENSORS
from forecast_assets.resources.channels.table import open_channels
from forecast_assets.resources.compute import ComputeResource, step_executor
=======
from forecast_assets.panel_definitions import assets_of, not_made, panel_definitions, resources_of
from forecast_assets.resources.panel_names import FIRST
>>>>>>> main
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource

ASSETS = assets_of(FIRST)

NOT_MADE = not_made(FIRST)

RESOURCES = resources_of(FIRST, settings=SettingsResource(), source=PanelSource())

<<<<<<< HEAD
defs = dg.Definitions(
    assets=[
        *(with_code_versions(ASSETS, STAGES, SettingsResource().settings()) if loads_for_the_ui() else ASSETS),
        *NOT_MADE,
    ],
    jobs=JOBS,
    schedules=[nightly_schedule],
    sensors=[next_night, next_night_after_a_failure, late_prices, *SENSORS],
    resources={
        "store": store,
        "io_manager": StoreIOManager(store=store),
        "settings": SettingsResource(),
        "source": PanelSource(),
        "compute": ComputeResource(),
        "tracking": TrackingResource(),
        "alert_channels": open_channels(),
    },
    executor=step_executor(),
    loggers={"console": console},
)
=======
store = RESOURCES["store"]

defs = panel_definitions(FIRST, ASSETS, RESOURCES)
>>>>>>> main
