"""The nightly schedule: after the last exchange's close the panel is read again, then each night that is due is run.

Which nights are due is known only once the panel is read: a file may be late, or nights may be missing after an outage.
So the schedule starts the ``panel`` job, and a sensor starts the first night due once that, or a night, has succeeded.
A second tick finds no night due, and a night that is already committed stays as it is.
"""

import dagster as dg

from forecast_assets.automation.jobs import NIGHT_RUN, NIGHTLY, PANEL
from forecast_assets.automation.nights import due_nights
from forecast_assets.resources import environment
from forecast_assets.resources.store_io import StoreResource


@dg.schedule(
    job=PANEL,
    cron_schedule=environment.nightly_cron(),
    execution_timezone=environment.nightly_timezone(),
    description="Reads the panel after the last exchange's close; the nights that are due follow.",
)
def nightly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run per tick, however often the tick is evaluated."""
    tick = context.scheduled_execution_time.isoformat()
    return dg.RunRequest(run_key=f"night/{tick}", tags={NIGHT_RUN: tick})


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[PANEL, NIGHTLY],
    request_jobs=[NIGHTLY],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def next_night(context: dg.RunStatusSensorContext, store: StoreResource) -> dg.RunRequest | dg.SkipReason:
    """Starts the first night that is due, after the panel has been read or the night before has succeeded."""
    run = context.dagster_run
    if NIGHT_RUN not in run.tags:
        return dg.SkipReason(f"{run.job_name} was not started by the night")
    due = due_nights(store.store())
    if not due:
        return dg.SkipReason("no night is due")
    return dg.RunRequest(
        job_name=NIGHTLY.name,
        partition_key=due[0],
        run_key=f"night/{due[0]}/after/{run.run_id}",
        tags={NIGHT_RUN: run.tags[NIGHT_RUN]},
    )
