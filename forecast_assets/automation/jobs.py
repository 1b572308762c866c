"""The jobs of the graph, one per kind of partition: a job can hold only one kind."""

import dagster as dg

from forecast_assets.core.models.catalogue import NETWORKS

PANEL_ASSETS = (
    *("raw_panel", "rejected_rows", "flags", "calendar_panel"),
    *("announcements", "macro_series", "covariates", "feature_panel", "windowed_tensors"),
)
YEAR_ASSETS = ("baselines", *NETWORKS, "f0_chronos", "ensemble", "backtest", "rivals")
REPORT_ASSETS = ("backtest_report", "ablation_report")
NIGHT_ASSETS = ("challenger", "serving_model", "nightly_forecast", "target_positions", "drift_checks")

NIGHT_RUN = "forecast_assets/night"
"""Tag of the runs that belong to a night: a panel that somebody reads by hand starts none."""

PANEL = dg.define_asset_job("panel", selection=PANEL_ASSETS, description="From the raw panel to tensors.")
RATES = dg.define_asset_job(
    "rates", selection=["fx_rates"], description="Exchange rates into the base currency, before anything is trained."
)
SWEEP = dg.define_asset_job(
    "sweep_job", selection=["sweep"], description="Settings, chosen on the years before the first test year."
)
WALK_FORWARD = dg.define_asset_job(
    "walk_forward",
    selection=YEAR_ASSETS,
    description="One test year: train, forecast, combine, trade, score rivals.",
)
REPORT = dg.define_asset_job("report", selection=REPORT_ASSETS, description="The verdict over all years at hand.")
NIGHTLY = dg.define_asset_job(
    "nightly",
    selection=NIGHT_ASSETS,
    description="One night: challenger, champion, forecasts, target positions, drift checks.",
)

JOBS = [PANEL, RATES, SWEEP, WALK_FORWARD, REPORT, NIGHTLY]
