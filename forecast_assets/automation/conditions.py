"""Declarative automation: what Dagster may request by itself, once the sensor below is switched on in the UI.

A test year that is new to the panel is trained once. Reports are made again when a year's results have changed; that a year
was run again and gave the same changes nothing. Nothing that was missing when the sensor was switched on is requested, and
nothing that has failed is requested again. The night stays a schedule with its sensors (``schedules``): which nights are due is
known only once the panel has been read.
"""

from collections.abc import Iterable

import dagster as dg

from forecast_assets.automation.jobs import REPORT_ASSETS, YEAR_ASSETS

OPTIONAL = ("sweep", "fx_rates_by_year")
"""What a year can be trained without: settings that were searched for, and rates that are read anew for it."""

RESULTS = ("backtest", "rivals")  # what a report waits for, of all that it reads

INTERVAL_SECONDS = 120

NEW_YEAR = dg.AutomationCondition.on_missing().ignore(dg.AssetSelection.assets(*OPTIONAL))

RESULTS_CHANGED = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    .allow(dg.AssetSelection.assets(*RESULTS))
    .with_label("results_changed")
    .since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
).with_label("results_changed_and_nothing_runs")

CONDITIONS = {**dict.fromkeys(YEAR_ASSETS, NEW_YEAR), **dict.fromkeys(REPORT_ASSETS, RESULTS_CHANGED)}

new_years_and_reports = dg.AutomationConditionSensorDefinition(
    "new_years_and_reports",
    target=dg.AssetSelection.assets(*CONDITIONS),
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=INTERVAL_SECONDS,
    description="Off until you switch it on: a test year that is new to the panel is then trained at once, which takes hours "
    "of this machine, and reports are made again when a year's results have changed. What is missing when you "
    "switch it on stays yours to launch.",
)


def with_conditions(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Declare on each asset when it is requested; the sensor evaluates it."""

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        condition = CONDITIONS.get(spec.key.path[-1])
        return spec.replace_attributes(automation_condition=condition) if condition else spec

    return [asset.map_asset_specs(conditioned) for asset in assets]
