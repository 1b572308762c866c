"""Declarative automation: what Dagster may request by itself, once the sensor below is switched on in the UI.

A test year that is new to the panel is trained once. Reports are made again when a year's results have changed; that a year
was run again and gave the same changes nothing. What was missing when the sensor was switched on is not requested, and what
has failed is not requested again. The night stays a schedule with its sensors (``schedules``): which nights are due is known
only once the panel has been read.
"""

from collections.abc import Iterable, Mapping

import dagster as dg

from forecast_assets.automation.jobs import REPORT_ASSETS, YEAR_ASSETS
from forecast_assets.resources.panel_names import PanelNames

OPTIONAL = ("sweep", "fx_rates_by_year")
"""What a year can be trained without: settings that were searched for, and rates that are read anew for it."""

RESULTS = ("backtest", "rivals")  # what a report waits for, of all that it reads

INTERVAL_SECONDS = 120

CONDITIONED = (*YEAR_ASSETS, *REPORT_ASSETS)


def conditions(names: PanelNames) -> Mapping[dg.AssetKey, dg.AutomationCondition[dg.AssetKey]]:
    """Return when each asset of a panel is requested."""
    new_year = dg.AutomationCondition.on_missing().ignore(_selected(OPTIONAL, names))
    results_changed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).allow(
        _selected(RESULTS, names)
    )
    follows = (
        results_changed.with_label("results_changed").since_last_handled()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("results_changed_and_nothing_runs")
    by_asset = {**dict.fromkeys(YEAR_ASSETS, new_year), **dict.fromkeys(REPORT_ASSETS, follows)}
    return {names.key(asset): condition for asset, condition in by_asset.items()}


def with_conditions(assets: Iterable[dg.AssetsDefinition], names: PanelNames) -> list[dg.AssetsDefinition]:
    """Declare on each asset of a panel when it is requested; the sensor evaluates it."""
    of_panel = conditions(names)

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(automation_condition=of_panel[spec.key]) if spec.key in of_panel else spec

    return [asset.map_asset_specs(conditioned) for asset in assets]


def new_years_and_reports(names: PanelNames) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates a panel's conditions."""
    return dg.AutomationConditionSensorDefinition(
        names.name("new_years_and_reports"),
        target=_selected(CONDITIONED, names),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=INTERVAL_SECONDS,
        description="Off until you switch it on: a test year that is new to the panel is then trained at once, which takes "
        "hours of this machine, and reports are made again when a year's results have changed. What is missing when you "
        "switch it on stays yours to launch.",
    )


def _selected(assets: Iterable[str], names: PanelNames) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*map(names.key, assets))
