"""The nightly schedule: after the last exchange's close the panel is read again, then each night that is due is run.

Which nights are due is known only once the panel is read: a file may be late, or nights may be missing after an outage.
So the schedule starts the ``panel`` job, and a sensor starts the first night due once that, or a night, has succeeded.
A second tick finds no night due, and a night that is already committed stays as it is. A night that fails stays due, and
holds up no later one: the next tick tries it again. A night that waits for prices, and tickers that come after theirs, are
for the sensor ``late_prices``, which has the panel read again.
"""

import datetime as dt

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from forecast_assets.automation.jobs import JOBS, NIGHT_RUN
from forecast_assets.automation.nights import due_nights, listed
from forecast_assets.automation.waiting import nights_to_make, waiting_nights, waiting_sentence
from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.store_io import StoreResource

Jobs = dict[str, UnresolvedAssetJobDefinition]


def nightly_schedule_of(names: PanelNames, jobs: Jobs) -> dg.ScheduleDefinition:
    """Return the schedule of a panel."""

    @dg.schedule(
        name=names.name("nightly_schedule"),
        job=jobs["panel"],
        cron_schedule=environment.nightly_cron(),
        execution_timezone=environment.nightly_timezone(),
        description="Reads the panel after the last exchange's close; the nights that are due follow.",
    )
    def nightly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """One run per tick, however often the tick is evaluated."""
        tick = context.scheduled_execution_time.isoformat()
        return dg.RunRequest(run_key=f"night/{tick}", tags={NIGHT_RUN: tick})

    return nightly_schedule


def night_sensors(names: PanelNames, jobs: Jobs) -> list[dg.SensorDefinition]:
    """Return the sensors that start a panel's nights: after one that succeeded, and after one that failed for good."""
    panel, nightly = jobs["panel"], jobs["nightly"]

    def next_night(
        context: dg.RunStatusSensorContext, store: StoreResource, settings: SettingsResource
    ) -> dg.RunRequest | dg.SkipReason:
        """Starts the first night that is due and waits for no prices, once the panel was read or another succeeded."""
        run = context.dagster_run
        if NIGHT_RUN not in run.tags:
            return dg.SkipReason(f"{run.job_name} was not started by the night")
        return _request_next(context, store, settings, nightly.name)

    def next_night_after_a_failure(
        context: dg.RunStatusSensorContext, store: StoreResource, settings: SettingsResource
    ) -> dg.RunRequest | dg.SkipReason:
        """Starts the next night due where one has failed for good; the failed one is tried again by the next tick."""
        run = context.dagster_run
        if NIGHT_RUN not in run.tags:
            return dg.SkipReason(f"{run.job_name} was not started by the night")
        if run.tags.get(WILL_RETRY_TAG) == "true":
            return dg.SkipReason("the run is started again first")
        return _request_next(context, store, settings, nightly.name)

    return [
        dg.run_status_sensor(
            name=names.name(function.__name__),
            description=function.__doc__,
            run_status=status,
            monitored_jobs=monitored,
            request_jobs=[nightly],
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=10,
        )(names.renamed(function))
        for function, status, monitored in (
            (next_night, dg.DagsterRunStatus.SUCCESS, [panel, nightly]),
            (next_night_after_a_failure, dg.DagsterRunStatus.FAILURE, [nightly]),
        )
    ]


def _request_next(
    context: dg.RunStatusSensorContext, store: StoreResource, settings: SettingsResource, nightly: str
) -> dg.RunRequest | dg.SkipReason:
    """Request the first night to make that the same tick has not tried yet."""
    run, spec, now = context.dagster_run, settings.settings().arrival, dt.datetime.now(dt.UTC)
    of_tick = dg.RunsFilter(job_name=nightly, tags={NIGHT_RUN: run.tags[NIGHT_RUN]})
    tried = {each.tags.get(PARTITION_NAME_TAG) for each in context.instance.get_runs(filters=of_tick)}
    left = [day for day in nights_to_make(store.store(), store.root(), spec=spec, now=now) if day not in tried]
    if left:
        return dg.RunRequest(
            job_name=nightly,
            partition_key=left[0],
            run_key=f"night/{left[0]}/after/{run.run_id}",
            tags={NIGHT_RUN: run.tags[NIGHT_RUN]},
        )
    waiting = waiting_nights(store.store(), store.root(), spec=spec, now=now)
    due = [day for day in due_nights(store.store(), store.root()) if day not in waiting]
    said = [f"tried and still due: {listed(due)}"] if due else []
    said += [waiting_sentence(waiting)] if waiting else []
    return dg.SkipReason("; ".join(said) or "no night is due")


nightly_schedule = nightly_schedule_of(FIRST, JOBS)
next_night, next_night_after_a_failure = night_sensors(FIRST, JOBS)
