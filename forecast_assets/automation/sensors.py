"""The sensor that watches the nights: alerts.py decides what is reported, the outbox what was delivered."""

import datetime as dt
import json
from collections.abc import Mapping
from functools import lru_cache

import dagster as dg
import polars as pl
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from forecast_assets.automation.alerts import (
    calendar_observation,
    deadline_observation,
    drift_observations,
    messages_for,
    prices_observation,
    run_observation,
    year_observation,
)
from forecast_assets.automation.jobs import JOBS, NIGHT_RUN
from forecast_assets.automation.nights import Nights
from forecast_assets.automation.outbox import Outbox
from forecast_assets.automation.sealing import SEALS, keep_sealed, seal_message, seals_observation
from forecast_assets.automation.waiting import lacking_prices, waiting_nights
from forecast_assets.champion.late_tickers import recent_quotes
from forecast_assets.core.panel.completeness import ExchangePrices
from forecast_assets.core.panel.due_sessions import due_session, recent_closes
from forecast_assets.core.panel.sessions import ending_calendars
from forecast_assets.core.settings import Settings
from forecast_assets.resources import environment
from forecast_assets.resources.channels.channel import Channel
from forecast_assets.resources.panel_names import FIRST, PanelNames
from forecast_assets.resources.settings import SettingsResource
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets.store.artefact_files import DRIFT_VERDICT, TABLE
from forecast_assets.store.asset_keys import CALENDAR_PANEL, DRIFT_CHECKS, NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.panel_in_use import days_in_panel, panel_sessions, untrained_years
from forecast_assets.store.store import Store

RUNS_SEARCHED = 50  # ended runs of a job among which the night's last one is searched for

_sealed_at: dict[str, str] = {}
"""Data root -> the store's mark of changes when its nights were sealed last, by this process."""

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def alerts_of(names: PanelNames, jobs: Mapping[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """Return the sensor that watches a panel's nights."""
    watched = {"nightly_run": jobs["nightly"].name, "panel_run": jobs["panel"].name}

    def alerts(
        context: dg.SensorEvaluationContext,
        store: StoreResource,
        settings: SettingsResource,
        source: PanelSource,
        alert_channels: dg.ResourceParam[list[Channel]],
    ) -> dg.SkipReason:
        """Queue what is new, then send what waits."""
        now, current = dt.datetime.now(dt.UTC), settings.settings()
        outbox = Outbox(store.root(), alert_channels, panel=names.prefix)
        runs = last_runs(context.instance, watched)
        with outbox.alone():
            try:
                queue_drift(outbox, store.store(), current, now=now)
                queue_operations(outbox, store, source, runs, current, now=now)
                queue_seals(outbox, store, current, panel=names.prefix, now=now)
            finally:  # a damaged artefact fails this tick, visibly; what is already queued goes out all the same
                outcome = outbox.deliver(now=now)
                context.log.info(outcome)
        return dg.SkipReason(outcome)

    return dg.sensor(
        name=names.name("alerts"),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One message per alert channel when drift, a failed or a missed night begins, another when it is over.",
    )(names.renamed(alerts))


def queue_drift(outbox: Outbox, store: Store, settings: Settings, *, now: dt.datetime) -> None:
    """Deal with each night after the last one dealt with; the first time, with the latest night only."""
    days = days_in_panel(store, DRIFT_CHECKS)
    seen = outbox.last_seen(among=days)
    new = days[-1:] if seen is None else [day for day in days if day > seen]
    reach = max(settings.drift.feature_confirm_nights, settings.drift.feature_release_nights)
    for day in new:
        nights = [night for night in days if night <= day][-reach:]
        verdicts = [json.loads(store.current(DRIFT_CHECKS, n).path(DRIFT_VERDICT).read_text()) for n in nights]
        episodes = outbox.open_episodes()
        observed = drift_observations(verdicts, open_episodes=episodes, drift=settings.drift, alerts=settings.alerts)
        outbox.enqueue(messages_for(observed, open_episodes=episodes), now=now, seen=day)


def queue_operations(
    outbox: Outbox,
    resource: StoreResource,
    source: PanelSource,
    runs: Mapping[str, dg.DagsterRun],
    settings: Settings,
    *,
    now: dt.datetime,
) -> None:
    """Queue how the night's last runs ended, the nights that are missing after their deadline and a year to be trained.

    The demo panel and a replay have no deadline, and wait for no prices.
    """
    store = resource.store()
    observed = [
        run_observation(key, run.run_id, failed=run.status == dg.DagsterRunStatus.FAILURE, alerts=settings.alerts)
        for key, run in runs.items()
    ]
    observed.append(year_observation(untrained_years(store), alerts=settings.alerts))
    if not source.is_demo() and environment.as_of() is None and store.has(CALENDAR_PANEL):
        exchanges = _exchanges_in(str(store.current(CALENDAR_PANEL).path(TABLE)))
        closes = recent_closes(exchanges, now=now)
        due = due_session(closes, now=now, deadline_hours=settings.alerts.deadline_hours)
        sessions = {*panel_sessions(store), *closes["date"].cast(pl.String)} if store.has(RAW_PANEL) else set()
        nights = Nights.of(store, resource.root())
        lacking, waiting = prices_lacking(store, due, settings), {}
        if nights.begun and store.has(RAW_PANEL):
            waiting = waiting_nights(store, resource.root(), spec=settings.arrival, now=now)
        seen = (
            deadline_observation(due=due, nights=nights, sessions=sessions, alerts=settings.alerts, waiting=waiting),
            prices_observation(due=due, nights=nights, lacking=lacking, alerts=settings.alerts),
            calendar_observation(
                ending_calendars(exchanges, by=now.date() + dt.timedelta(days=settings.panel.calendar_days)),
                alerts=settings.alerts,
            ),
        )
        observed += [each for each in seen if each is not None]
    outbox.enqueue(messages_for(observed, open_episodes=outbox.open_episodes()), now=now)


def queue_seals(outbox: Outbox, resource: StoreResource, settings: Settings, *, panel: str, now: dt.datetime) -> None:
    """Seal the nights that were made since, and queue the newest seal and whether one could not be kept.

    The head of a night fixes those before it, so a later one makes theirs superfluous. A replay is not sealed. While the
    store has not changed, nothing is read but its mark of changes.
    """
    store, root, episodes = resource.store(), resource.root(), outbox.open_episodes()
    mark = store.change_mark()
    unchanged = mark is not None and _sealed_at.get(root) == mark
    if (
        environment.as_of() is not None
        or (unchanged and SEALS not in episodes)
        or not store.partitions(NIGHTLY_FORECAST)
    ):
        return
    sealing = keep_sealed(store, root, now=now, panel=panel)
    messages = messages_for([seals_observation(sealing, alerts=settings.alerts)], open_episodes=episodes)
    if sealing.newest is not None and outbox.has_channel():
        messages.append(seal_message(sealing.newest, alerts=settings.alerts))
    outbox.enqueue(messages, now=now)
    if mark is not None:
        _sealed_at[root] = mark


def prices_lacking(store: Store, due: dt.date | None, settings: Settings) -> list[ExchangePrices]:
    """Return the exchanges that lack prices of the last session that is ``due``."""
    quotes = recent_quotes(store)
    return [] if due is None or quotes is None else lacking_prices(quotes, due.isoformat(), spec=settings.arrival)


def last_runs(instance: dg.DagsterInstance, watched: Mapping[str, str]) -> dict[str, dg.DagsterRun]:
    """Return the last nightly run that ended, and the last panel run that a night began with; ``watched``: key -> job.

    A panel run that somebody started by hand is theirs to watch.
    """
    found = {}
    for key, job in watched.items():
        runs = instance.get_runs(filters=dg.RunsFilter(job_name=job, statuses=list(ENDED)), limit=RUNS_SEARCHED)
        own = [run for run in runs if key != "panel_run" or NIGHT_RUN in run.tags]
        if own:
            found[key] = own[0]
    return found


@lru_cache(maxsize=4)
def _exchanges_in(path: str) -> tuple[str, ...]:
    """Return the exchanges of a version's table, which never changes."""
    return tuple(pl.scan_parquet(path).select(pl.col("exchange").unique().sort()).collect().to_series().to_list())


alerts = alerts_of(FIRST, JOBS)
