"""The whole graph in order, in one process: panel, settings, each year, the report, the night's checks."""

import datetime as dt
import inspect
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.replays import require_own_root
from forecast_assets.automation.jobs import BETWEEN
from forecast_assets.automation.nights import due_nights
from forecast_assets.automation.own_runs import execute
from forecast_assets.automation.progress import RunProgress, is_interrupted, show_progress
from forecast_assets.automation.sealing import keep_sealed
from forecast_assets.automation.waiting import nights_to_make, waiting_nights, waiting_sentence
from forecast_assets.core import errors
from forecast_assets.core.errors import BadSetting, Stopped
from forecast_assets.core.nearest import nearest_names
from forecast_assets.resources import environment
from forecast_assets.resources.machine_errors import described as machine_error_of
from forecast_assets.resources.machine_errors import machine_errors_as_user_errors
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.signals import RECORD
from forecast_assets.store.artefact_files import PARTITIONS, READING, TICKERS
from forecast_assets.store.asset_keys import RAW_PANEL
from forecast_assets.store.locks import hold, is_held
from forecast_assets.store.panel_in_use import untrained_sentence, untrained_years
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

ORDER = ("panel", "rates", "sweep_job", "walk_forward", "report", "nightly")
"""The jobs, in the order their results build on each other."""

PROCESS = "forecast_assets/process"  # tag of a run that this program executes itself: which process it is in

PROCESSES = "processes"  # folder of a Dagster home: one folder per process, held by it

ERRORS = errors.__name__
USER_ERRORS = frozenset(name for name, kind in vars(errors).items() if inspect.isclass(kind))


@dataclass(frozen=True)
class Failed:
    """One asset that failed."""

    part: str
    asset: str
    message: str
    trace: str
    user_mistake: bool


@dataclass
class Outcome:
    """What a run of the graph did."""

    years: list[str] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What to run, with which settings."""

    select: tuple[str, ...] = ()  # asset keys; empty: all
    years: tuple[str, ...] = ()  # empty: all the panel has
    settings: Mapping[str, Any] = field(default_factory=dict)  # launchpad config of the settings resource


def run_pipeline(defs: dg.Definitions, *, instance: dg.DagsterInstance, store: Store, root: str, plan: Plan) -> Outcome:
    """Run ``plan`` job by job on the store below the data root ``root``.

    A failed year or night does not keep the others from running; another run on this store does.
    Raises BadSetting for an asset or a year that does not exist, BadInput as ``require_own_root``, Stopped where a signal
    (Ctrl-C, SIGTERM) ended an asset.
    """
    chosen = _assets_by_job(defs, plan.select)
    require_own_root(store, root)
    if odd := [year for year in plan.years if not (len(year) == len("2024") and year.isdecimal())]:
        raise BadSetting(f"--years: {odd[0]!r} is no year; write them like 2024,2025")
    outcome, progress = Outcome(), RunProgress(steps=0)
    with (
        show_progress(progress),
        machine_errors_as_user_errors(str(store)),
        store.run_lock(on_wait=progress.note),
        alive(instance) as here,
    ):
        end_dead_runs(instance)
        for place, name in enumerate(ORDER):
            if not chosen[name]:
                continue
            partitions = _partitions(name, store, root, plan)
            later = {job: len(_expected(job, store, root, plan)) for job in ORDER[place + 1 :] if chosen[job]}
            ahead = {name: len(partitions), **later}
            progress.expect(sum(count * len(chosen[job]) for job, count in ahead.items()))
            for partition in partitions:
                progress.part = partition or name
                failures = _run_job(defs, name, partition, chosen[name], instance=instance, plan=plan, here=here)
                outcome.failures += failures
            if RAW_PANEL in chosen[name] and RAW_PANEL not in {failure.asset for failure in outcome.failures}:
                for line in reading_lines(store.current(RAW_PANEL), plan):
                    progress.note(line)
            if name == "walk_forward" and not partitions:
                why = store.current(RAW_PANEL).manifest.facts["checks"]["has_a_test_year"]["description"]
                outcome.failures.append(Failed("", name, why, "", user_mistake=True))
            if name == "walk_forward":
                failed = {failure.part for failure in outcome.failures}
                outcome.years = [year for year in map(str, partitions) if year not in failed]
            if name == "nightly":
                for line in night_lines(store, root, plan):
                    progress.note(line)
            if outcome.failures and not outcome.years:
                break  # nothing downstream has anything to read
    return outcome


@contextmanager
def alive(instance: dg.DagsterInstance) -> Iterator[str]:
    """Mark this process as alive; yield the name that its runs are tagged with."""
    folder = Path(instance.root_directory) / PROCESSES / secrets.token_hex(8)
    folder.mkdir(parents=True)
    release = hold(folder, owner=instance)
    try:
        yield folder.name
    finally:
        release()
        folder.rmdir()


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """End the runs whose process was killed, and give back the pool slots that they hold: nothing else would, without a
    daemon, and the next run would wait for them.
    """
    begun = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=begun)):
        name = run.tags.get(PROCESS)
        if name is None:
            continue  # a daemon's or the UI's, which end their own
        folder = Path(instance.root_directory) / PROCESSES / name
        if folder.exists() and is_held(folder):
            continue
        instance.report_run_failed(run, "its process was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        if folder.exists():
            folder.rmdir()


def _assets_by_job(defs: dg.Definitions, select: Sequence[str]) -> dict[str, list[str]]:
    members = {
        name: sorted(key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.executable_asset_keys)
        for name in ORDER
    }
    known = sorted({asset for assets in members.values() for asset in assets})
    if unknown := sorted(set(select) - set(known)):
        near = nearest_names(unknown[0], known)
        advice = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
        raise BadSetting(f"--select: there is no asset {unknown[0]!r}; {advice}")
    chosen = {*select, *(view for view, ends in BETWEEN.items() if ends <= set(select))}
    return {name: [a for a in assets if not select or a in chosen] for name, assets in members.items()}


def _partitions(job: str, store: Store, root: str, plan: Plan) -> list[str | None]:
    if job not in ("walk_forward", "nightly"):
        return [None]
    at_hand = store.current(RAW_PANEL).json(PARTITIONS)
    if job == "nightly":
        spec, now = SettingsResource(**plan.settings).settings().arrival, dt.datetime.now(dt.UTC)
        nights = nights_to_make(store, root, spec=spec, now=now)
        return [*nights] or ([] if due_nights(store, root) else [at_hand["days"][-1]])
    if at_hand["years"] and (unknown := sorted(set(plan.years) - set(at_hand["years"]))):
        raise BadSetting(f"--years: the panel has no test year {unknown[0]}; it has {', '.join(at_hand['years'])}")
    return [year for year in at_hand["years"] if not plan.years or year in plan.years]


def _expected(job: str, store: Store, root: str, plan: Plan) -> list[str | None]:
    """Return the partitions of a job to come, as far as the panel at hand tells: a new one may have more."""
    if job == "walk_forward" and store.has(RAW_PANEL):
        return [
            year for year in store.current(RAW_PANEL).json(PARTITIONS)["years"] if not plan.years or year in plan.years
        ]
    return _partitions(job, store, root, plan) if store.has(RAW_PANEL) else [None]


def _run_job(
    defs: dg.Definitions,
    name: str,
    partition: str | None,
    assets: Sequence[str],
    *,
    instance: dg.DagsterInstance,
    plan: Plan,
    here: str,
) -> list[Failed]:
    result = execute(
        defs.resolve_job_def(name),
        instance=instance,
        partition=partition,
        assets=assets,
        run_config={"loggers": {"console": {"config": {}}}, "resources": {"settings": {"config": dict(plan.settings)}}},
        tags={PROCESS: here},
    )
    failures = []
    for event in result.all_events:
        # In a step, or between two of them.
        if (event.is_step_failure and is_interrupted(event.step_failure_data.error)) or (
            event.is_job_failure and is_interrupted(event.job_failure_data.error)
        ):
            raise _stopped(f"{event.step_key or name} {partition or ''}")
        if event.is_step_failure:
            described = event.step_failure_data.user_failure_data
            failed = _failed(event.step_failure_data.error, partition, str(event.step_key), described)
            if why := _failed_checks(result.all_events, failed.asset):
                failed = replace(failed, message=why, user_mistake=True)
            failures.append(failed)
    if RECORD.stopped():  # between the last step and the end, where Dagster forgets it
        raise _stopped(f"{name} {partition or ''}")
    if not result.success and not failures:  # before any step, as where a resource can't be had
        last = [event for event in result.all_events if event.is_job_failure][-1]
        failures.append(_failed(last.job_failure_data.error, partition, name, None))
    return failures


def _stopped(where: str) -> Stopped:
    return Stopped(f"stopped by a signal in {where.strip()}; what was published stays, run it again to continue")


def reading_lines(raw_panel: Version, plan: Plan) -> list[str]:
    """Return what was read, and what is too short to be forecast, in lines; none for a panel of older code."""
    from forecast_assets.core.panel.features import longest_window
    from forecast_assets.core.panel.summary import summary_lines, too_short

    if READING not in raw_panel.manifest.files:
        return []
    settings = SettingsResource(**plan.settings).settings()
    fewest = settings.windows.lookback + longest_window(settings.features)
    tickers = pl.read_parquet(raw_panel.path(TICKERS))
    return [*summary_lines(raw_panel.json(READING)), *too_short(tickers, fewest_rows=fewest)]


def night_lines(store: Store, root: str, plan: Plan) -> list[str]:
    """Seal the nights, a replay's excepted, and return what there is to say after them: prices that are waited for, a
    year without a model, the seals.
    """
    spec, now = SettingsResource(**plan.settings).settings().arrival, dt.datetime.now(dt.UTC)
    waiting, untrained = waiting_nights(store, root, spec=spec, now=now), untrained_years(store)
    lines = [f"{waiting_sentence(waiting)}; at once: --set arrival.grace_hours=0"] if waiting else []
    sealed = keep_sealed(store, root, now=now).lines() if environment.as_of() is None else []
    return [*lines, *([untrained_sentence(untrained)] if untrained else []), *sealed]


def _failed_checks(events: Sequence[dg.DagsterEvent], asset: str) -> str:
    """Return what the failed checks of an asset say that keep all downstream of it from running; empty where none does."""
    made = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    checks = [event.asset_check_evaluation_data for event in events if event.event_type == made]
    return "; ".join(
        f"{check.check_name}: {check.description}"
        for check in checks
        if not check.passed and check.blocking and check.asset_key.to_user_string() == asset
    )


def _failed(error: Any, partition: str | None, asset: str, described: Any) -> Failed:
    if described is not None and described.description:
        return Failed(partition or "", asset, described.description, error.to_string(), user_mistake=True)
    cause = error
    while True:
        if (found := machine_error_of(cause.cls_name or "", cause.message)) is not None:
            return Failed(partition or "", asset, str(found), error.to_string(), user_mistake=True)
        if cause.cause is None:
            break
        cause = cause.cause
    message = cause.message.strip().removeprefix(f"{ERRORS}.{cause.cls_name}: ").split("\n")[0]
    return Failed(partition or "", asset, message, error.to_string(), user_mistake=cause.cls_name in USER_ERRORS)
