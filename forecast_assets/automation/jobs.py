"""The jobs of the graph, one per kind of partition: a job can hold only one kind."""

from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from forecast_assets.core.models.catalogue import NETWORKS
from forecast_assets.resources.panel_names import FIRST, PanelNames

PANEL_ASSETS = (
    *("raw_panel", "rejected_rows", "flags", "calendar_panel"),
    *("announcements", "macro_series", "covariates", "feature_panel", "windowed_tensors"),
)
YEAR_ASSETS = ("baselines", *NETWORKS, "f0_chronos", "ensemble", "backtest", "rivals")
REPORT_ASSETS = ("backtest_report", "ablation_report")
NIGHT_ASSETS = ("challenger", "serving_model", "nightly_forecast", "target_positions", "drift_checks")

BETWEEN: Mapping[str, frozenset[str]] = {"serving_model_by_night": frozenset({"serving_model", "nightly_forecast"})}
"""View -> the assets that it alone keeps in order, where a run makes both."""

NIGHT_RUN = "forecast_assets/night"
"""Tag of the runs that belong to a night: a panel that somebody reads by hand starts none."""

SELECTED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "panel": (PANEL_ASSETS, "From the raw panel to tensors."),
    "rates": (("fx_rates",), "Exchange rates into the base currency, before anything is trained."),
    "sweep_job": (("sweep",), "Settings, chosen on the years before the first test year."),
    "walk_forward": (YEAR_ASSETS, "One test year: train, forecast, combine, trade, score rivals."),
    "report": (REPORT_ASSETS, "The verdict over all years at hand."),
    "nightly": (
        (*NIGHT_ASSETS, *BETWEEN),
        "One night: challenger, champion, forecasts, target positions, drift checks.",
    ),
}
"""Job -> its assets and its description, in the order in which results build on each other."""


def jobs(names: PanelNames) -> dict[str, UnresolvedAssetJobDefinition]:
    """Return the jobs of a panel by their plain names."""
    return {
        job: dg.define_asset_job(
            names.name(job), selection=dg.AssetSelection.assets(*map(names.key, assets)), description=description
        )
        for job, (assets, description) in SELECTED.items()
    }


JOBS = jobs(FIRST)
PANEL, NIGHTLY = JOBS["panel"], JOBS["nightly"]
