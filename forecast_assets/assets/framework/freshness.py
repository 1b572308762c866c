"""When the UI calls an asset late: what every night makes has a deadline some hours after the night begins.

Dagster compares a deadline with an asset's last materialisation, of whatever partition. So the assets of a night have none:
``latest_night`` has it, which is reported once the newest night is complete, and by no replay of an older one.

The daemon that ``dagster dev`` and every deployment run evaluates it; ``dagster.yaml`` need not name it.
"""

import datetime as dt
from functools import lru_cache

import dagster as dg

from forecast_assets.resources import environment
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.store.artefact_files import PARTITIONS
from forecast_assets.store.asset_keys import RAW_PANEL
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

EVERY_NIGHT = ("panel", "night", "monitoring")  # groups whose assets every night makes or confirms

PARTS = ("challenger", "nightly_forecast", "target_positions", "drift_checks")  # what a complete night consists of

LATEST_NIGHT = "latest_night"

GRACE_HOURS = 12  # from the night's beginning to its deadline

MADE_WITHIN = dt.timedelta(hours=23)
"""How long before a deadline the asset may have been made; Dagster wants less than the deadlines' distance."""


@lru_cache(maxsize=1)
def every_night() -> dg.FreshnessPolicy | None:
    """Fresh is what was made between the last deadline and the day before it; it stays so until the next one.

    The deadlines follow ``FORECAST_NIGHTLY_CRON`` in its own zone; None where that is not a time of day.
    """
    deadline = deadline_cron(environment.nightly_cron(), hours=GRACE_HOURS)
    if deadline is None:
        return None
    return dg.FreshnessPolicy.cron(
        deadline_cron=deadline, lower_bound_delta=MADE_WITHIN, timezone=environment.nightly_timezone()
    )


def latest_night(names: PanelNames) -> dg.AssetSpec:
    """Return the asset that is late where a panel's newest night is."""
    return dg.AssetSpec(
        names.key(LATEST_NIGHT),
        description="The newest session of the panel whose night is complete: forecasts, positions, drift checks and the "
        "challenger. It carries the night's deadline: replaying an older night does not make it fresh.",
        deps=list(map(names.key, PARTS)),
        group_name=names.name("night"),
        kinds={"deadline"},
        tags={"domain": "operations", "tier": "production"},
        owners=[environment.owner()],
        freshness_policy=every_night(),
    )


def report_latest_night(version: Version, instance: dg.DagsterInstance, store: Store, names: PanelNames) -> None:
    """Record that a panel's newest night is complete, once, where ``version`` is what completed it."""
    day = version.partition
    if day != store.current(RAW_PANEL).json(PARTITIONS)["days"][-1] or not all(store.has(part, day) for part in PARTS):
        return
    key = names.key(LATEST_NIGHT)
    last = instance.get_latest_materialization_event(key)
    if last is None or last.asset_materialization is None or last.asset_materialization.metadata["day"].value != day:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"day": day}))


def deadline_cron(cron: str, *, hours: int) -> str | None:
    """``cron`` so many hours (at most 24) later, where it is one time of day on every or on some days of the week.

    >>> deadline_cron("0 22 * * 1-5", hours=12)
    '0 10 * * 2,3,4,5,6'
    """
    minute, hour, day, month, weekdays = [*cron.split(), *[""] * 5][:5]
    if not (minute.isdigit() and hour.isdigit() and day == month == "*"):
        return None
    next_day, late = divmod(int(hour) + hours, 24)
    if weekdays == "*" or not next_day:
        return f"{minute} {late} * * {weekdays}"
    ranges = [part.split("-") for part in weekdays.split(",")]
    if not all(bound.isdigit() for bounds in ranges for bound in bounds):
        return None
    days = {day % 7 for bounds in ranges for day in range(int(bounds[0]), int(bounds[-1]) + 1)}
    return f"{minute} {late} * * {','.join(str(day) for day in sorted((day + next_day) % 7 for day in days))}"
