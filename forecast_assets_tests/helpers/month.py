"""A month of nights and clicks as Dagster's event log has it, and what the automation's conditions request meanwhile.

Runs are recorded and not executed: of a run, a condition sees its events. The clock is the month's own.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg
import time_machine
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.data_version import DATA_VERSION_IS_USER_PROVIDED_TAG, DATA_VERSION_TAG
from dagster._core.events import DagsterEventType, StepMaterializationData
from dagster._core.storage.tags import PARTITION_NAME_TAG

from forecast_assets.assets.framework.partitions import days, years
from forecast_assets.assets.framework.views import BY_YEAR
from forecast_assets.automation.conditions import CONDITIONED
from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS, REPORT_ASSETS, YEAR_ASSETS
from forecast_assets.definitions import defs

BEGIN, END = dt.date(2019, 12, 16), dt.date(2020, 1, 17)
SHUT = (dt.date(2019, 12, 25), dt.date(2020, 1, 1))
NEW_YEAR = dt.date(2020, 1, 2)  # its first session
SAME, CHANGED, FAILED = dt.date(2019, 12, 19), dt.date(2019, 12, 23), dt.date(2020, 1, 14)
"""Days on which somebody runs 2019 again: with the same results, with others, and in vain."""
HOURS = (8, 16)  # of ticks, beside the two of a night
STEPS = 5  # assets of a run that are made from one tick to the next
VIEWED = ("calendar_panel", "windowed_tensors")  # the rates are not read at night, so their view lacks the new year
SKIPPED = "f0_chronos"  # has no weights, and is never materialised
NEVER = "sweep"  # nobody has searched for settings

Request = tuple[dt.date, str, str | None]  # day, asset, partition


@dataclass
class Month:
    """The nights of the month, ticks in between, and what each tick requests, which is run at once."""

    instance: dg.DagsterInstance
    days: Sequence[dt.date] = tuple(BEGIN + dt.timedelta(days=day) for day in range((END - BEGIN).days))
    requests: list[Request] = field(default_factory=list)
    ticks: int = 0

    def __post_init__(self) -> None:
        ask, self.known = self.instance.get_dynamic_partitions, dict[str, Sequence[str]]()

        def remembered(partitions_def_name: str) -> Sequence[str]:
            if partitions_def_name not in self.known:
                self.known[partitions_def_name] = ask(partitions_def_name)
            return self.known[partitions_def_name]

        # Dagster asks for them a thousand times a tick, which took most of the month.
        setattr(self.instance, "get_dynamic_partitions", remembered)  # noqa: B010 - a method, to mypy
        self.results = "first"  # data version of what a year gives
        self.cursor: AssetDaemonCursor | None = None
        self.running: list[tuple[dg.DagsterRun, list[str]]] = []  # with what each has still to make, one per tick

    def pass_by(self) -> list[Request]:
        """Live through the month; return what was requested."""
        with time_machine.travel(dt.datetime.combine(self.days[0], dt.time(0), dt.UTC), tick=False) as self.clock:
            self.register(years.name or "", "2018", "2019")
            for asset in (*PANEL_ASSETS, "fx_rates"):
                self.report(asset, "at first")
            for year in ("2018", "2019"):
                self.views(year, "at first", of=(*VIEWED, "fx_rates"))
                for asset in YEAR_ASSETS:
                    self.made(asset, self.results, year)
            for asset in REPORT_ASSETS:
                self.report(asset, "at first")
            for day in self.days:
                self.live(day)
        return self.requests

    def live(self, day: dt.date) -> None:
        """Tick through a day; in the evening of a session comes the night."""
        for hour in HOURS:
            self.clock.move_to(dt.datetime.combine(day, dt.time(hour), dt.UTC))
            if hour == HOURS[0] and day in (SAME, CHANGED, FAILED):
                self.results = "other" if day == CHANGED else self.results
                self.begin(YEAR_ASSETS if day != FAILED else ["b0_mlp"], "2019", fails=day == FAILED)
            self.tick(day)
        if day.weekday() < 5 and day not in SHUT:
            self.clock.move_to(dt.datetime.combine(day, dt.time(22), dt.UTC))
            self.night(day)

    def night(self, day: dt.date) -> None:
        """Read the panel, then make the night; a tick falls between the new year and the tables that hold it."""
        run, _ = self.begin(PANEL_ASSETS, None, listed=False)
        self.made("raw_panel", str(day), None, run)
        self.register(days.name or "", str(day))
        self.register(years.name or "", str(day.year))
        self.tick(day)
        for asset in PANEL_ASSETS[1:]:
            self.made(asset, str(day), None, run)
        for year in self.instance.get_dynamic_partitions(years.name or ""):
            self.views(year, str(day) if year == str(day.year) else "whole")
        self.end(run)
        self.tick(day)
        run, _ = self.begin(NIGHT_ASSETS, str(day), listed=False)
        for asset in NIGHT_ASSETS:
            self.made(asset, str(day), None if asset == "serving_model" else str(day), run)
        self.end(run)

    def tick(self, day: dt.date) -> None:
        """Let what runs go on, then evaluate the conditions and launch what they request."""
        self.ticks += 1
        for run, left in list(self.running):
            for asset in left[:STEPS]:
                self.made(asset, self.results, run.tags.get(PARTITION_NAME_TAG), run)
            del left[:STEPS]
            if not left:
                self.end(run)
                self.running.remove((run, left))
        found = dg.evaluate_automation_conditions(
            defs,
            self.instance,
            asset_selection=dg.AssetSelection.assets(*CONDITIONED),
            cursor=self.cursor,
            evaluation_time=dt.datetime.now(dt.UTC),
        )
        self.cursor = found.cursor
        wanted: dict[str | None, list[str]] = {}
        for asset in (*YEAR_ASSETS, *REPORT_ASSETS):
            for partition in found.get_requested_partitions(dg.AssetKey(asset)):
                wanted.setdefault(partition, []).append(asset)
                self.requests.append((day, asset, partition))
        for partition, assets in wanted.items():
            self.begin(assets, partition)

    def begin(
        self, assets: Iterable[str], partition: str | None, *, fails: bool = False, listed: bool = True
    ) -> tuple[dg.DagsterRun, list[str]]:
        """Record a run of some assets that has just started; the ticks make one of them after the other, unless it fails."""
        names = list(assets)
        keys = frozenset(map(dg.AssetKey, names))
        whole = defs.resolve_implicit_global_asset_job_def()
        run = self.instance.create_run_for_job(
            whole.get_subset(asset_selection=keys),
            tags={PARTITION_NAME_TAG: partition} if partition else {},
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=keys,
        )
        begun = run, [] if fails else names
        if fails:
            self.instance.report_run_failed(run)
        elif listed:
            self.running.append(begun)
        return begun

    def register(self, name: str, *keys: str) -> None:
        self.instance.add_dynamic_partitions(name, list(keys))
        self.known.pop(name, None)

    def end(self, run: dg.DagsterRun) -> None:
        event = dg.DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name)
        self.instance.report_dagster_event(event, run.run_id)

    def made(self, asset: str, version: str, partition: str | None, run: dg.DagsterRun | None = None) -> None:
        """Record a materialisation; of what is skipped there is none."""
        if asset == SKIPPED:
            return
        event = materialisation(asset, version, partition)
        if run is None:
            self.instance.report_runless_asset_event(event)
            return
        self.instance.report_dagster_event(
            dg.DagsterEvent(
                DagsterEventType.ASSET_MATERIALIZATION.value,
                run.job_name,
                step_key=asset,
                event_specific_data=StepMaterializationData(event),
            ),
            run.run_id,
        )

    def report(self, asset: str, version: str, partition: str | None = None) -> None:
        self.instance.report_runless_asset_event(materialisation(asset, version, partition))

    def views(self, year: str, version: str, *, of: Iterable[str] = VIEWED) -> None:
        for asset in of:
            self.report(f"{asset}{BY_YEAR.suffix}", version, year)


def materialisation(asset: str, version: str, partition: str | None) -> dg.AssetMaterialization:
    tags = {DATA_VERSION_TAG: version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    return dg.AssetMaterialization(asset, partition=partition, tags=tags)


def wrong(requests: Sequence[Request]) -> dict[str, list[str]]:
    """Return the requests of a month that should not have come, or came twice, and those that did not come.

    The new year is requested once, on its first evening, and the reports after it and after the results that have changed.
    """
    expected = Counter[tuple[str, str | None]]({(asset, "2020"): 1 for asset in YEAR_ASSETS})
    expected.update({(asset, None): 2 for asset in REPORT_ASSETS})
    made = Counter((asset, partition) for _, asset, partition in requests)
    early = [
        f"{asset} on {day}"
        for day, asset, partition in requests
        if (partition is not None and day != NEW_YEAR) or day < CHANGED
    ]
    return {
        "extra": [f"{asset} {partition or ''}" for asset, partition in (made - expected).elements()] + early,
        "missing": [f"{asset} {partition or ''}" for asset, partition in (expected - made).elements()],
    }
