"""The sensor for prices that come after the night's tick: it has the panel read again, and the nights follow as always."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from forecast_assets.automation.jobs import JOBS, NIGHT_RUN
from forecast_assets.automation.waiting import awaited_prices
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource

LAST_TICK = dt.timedelta(hours=36)  # how long a tick of the schedule is followed
RUNNING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
RUNNING += [dg.DagsterRunStatus.STARTED]


def late_prices_of(names: PanelNames, jobs: Mapping[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """Return the sensor of a panel."""
    panel, nightly = jobs["panel"], jobs["nightly"]

    def late_prices(
        context: dg.SensorEvaluationContext, store: StoreResource, settings: SettingsResource, source: PanelSource
    ) -> dg.RunRequest | dg.SkipReason:
        """Follow the last tick of the schedule: by hand, nobody waits."""
        if source.is_demo() or environment.as_of() is not None:
            return dg.SkipReason("the demo panel and a replay wait for no prices")
        tick = last_tick(context.instance, panel.name)
        if tick is None:
            return dg.SkipReason("the schedule has begun no night of late")
        for job in (panel, nightly):
            if context.instance.get_runs(filters=dg.RunsFilter(job_name=job.name, statuses=RUNNING), limit=1):
                return dg.SkipReason(f"a run of {job.name} is under way")
        seen = json.loads(context.cursor or '{"state": "", "awaited": []}')
        spec, now = settings.settings().arrival, dt.datetime.now(dt.UTC)
        awaited = awaited_prices(store.store(), store.root(), spec=spec, now=now)
        if not awaited and not seen["awaited"]:
            return dg.SkipReason("no prices are waited for")
        state = hashlib.sha256(f"{tick}\n{source.state()}\n{[*awaited]}".encode()).hexdigest()[:16]
        if state == seen["state"]:
            return dg.SkipReason("no new file; " + "; ".join(f"{day}: {what}" for day, what in awaited.items()))
        context.update_cursor(json.dumps({"state": state, "awaited": [*awaited]}))
        return dg.RunRequest(run_key=f"late/{state}", tags={NIGHT_RUN: f"{tick}/{state}"})

    return dg.sensor(
        name=names.name("late_prices"),
        jobs=[panel],
        minimum_interval_seconds=120,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the panel read again where prices are awaited and a file is new or changed, or the wait is over.",
    )(names.renamed(late_prices))


def last_tick(instance: dg.DagsterInstance, panel: str) -> str | None:
    """Return the tick of the schedule that began the last night, where that is not long ago."""
    since = dt.datetime.now(dt.UTC) - LAST_TICK
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=panel, created_after=since), limit=50)
    return next((run.tags[NIGHT_RUN].partition("/")[0] for run in runs if NIGHT_RUN in run.tags), None)


late_prices = late_prices_of(FIRST, JOBS)
