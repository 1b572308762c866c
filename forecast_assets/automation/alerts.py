"""Decide which alerts a night calls for: one when an episode begins, one when it is over."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from forecast_assets.core.monitoring.persistence import stays_on
from forecast_assets.core.specs import AlertSpec, DriftSpec
from forecast_assets.resources.channels.channel import Level, Message

TEXTS: dict[str, tuple[Level, str, str]] = {
    "features": ("warning", "Feature drift", "Feature drift is over"),
    "coverage_rule": ("information", "Coverage outside the plan's limits", "Coverage inside the plan's limits again"),
    "coverage_alarm": ("warning", "Coverage alarm", "Coverage alarm is over"),
    "nightly_run": ("error", "The nightly run failed", "The nightly run succeeded again"),
    "panel_run": ("error", "The night's panel was not read", "The night's panel was read again"),
    "deadline": ("overdue", "The night is late", "The night is done"),
}
"""Level of an episode, and the titles of its two messages: when it begins, when it is over."""
MONITORS = ("features", "coverage_rule", "coverage_alarm")
LOOKBACK = dt.timedelta(days=21)  # longer than any exchange stays shut


@dataclass(frozen=True)
class Observation:
    """The state of one thing that is watched; ``stamp`` names the episode if one begins now."""

    key: str
    on: bool
    stamp: str
    sentence: str
    link: str


def messages_for(observations: Sequence[Observation], *, open_episodes: Mapping[str, str]) -> list[Message]:
    """Return a message for every episode that begins, and one for every open one that is over."""
    found = []
    for seen in observations:
        level, opened, recovered = TEXTS[seen.key]
        began = open_episodes.get(seen.key)
        if seen.on and began is None:
            kind, stamp, title, sentence = "opened", seen.stamp, opened, seen.sentence
        elif not seen.on and began is not None:
            kind, stamp, title, sentence = "recovered", began, recovered, f"{seen.sentence} It began with {began}."
            level = "success"
        else:
            continue
        found.append(Message(f"{seen.key}.{stamp}.{kind}", seen.key, stamp, kind, level, title, sentence, seen.link))
    return found


def drift_observations(
    verdicts: Sequence[Mapping[str, Any]], *, open_episodes: Mapping[str, str], drift: DriftSpec, alerts: AlertSpec
) -> list[Observation]:
    """Return the state of each monitor by the last of some nights' verdicts (oldest first, one per night).

    A monitor that could not be run is left out: its episode neither begins nor ends.
    """
    last = verdicts[-1]
    day, found = str(last["as_of"]), []
    for key in MONITORS:
        if last["monitors"][key]["state"] == "unknown":
            continue
        firing = [v["monitors"][key]["state"] not in ("ok", "unknown") for v in verdicts]
        confirm, release = (drift.feature_confirm_nights, drift.feature_release_nights) if key == "features" else (1, 1)
        on = stays_on(firing, on=key in open_episodes, confirm=confirm, release=release)
        link = asset_link("drift_checks", day, alerts)
        found.append(Observation(key, on, day, f"{day}: {last['monitors'][key]['sentence']}", link))
    return found


def deadline_observation(
    *, due: dt.date | None, done: Mapping[str, dt.date | None], alerts: AlertSpec
) -> Observation | None:
    """Return whether the night of the last session that is ``due`` is missing; None before the first night of all.

    ``done``: the latest day of each asset that a night makes.
    """
    if due is None or not any(done.values()):
        return None
    late = {asset: day for asset, day in done.items() if day is None or day < due}
    if late:
        asset = next(iter(late))
        last = ", ".join(f"{name} was last made for {day or 'no day'}" for name, day in late.items())
        sentence = (
            f"{alerts.deadline_hours:g} hours after the close of {due} its night is not done: {last}. "
            f"Check the nightly runs, then materialise {asset} for {due}."
        )
    else:
        asset, sentence = next(iter(done)), f"The night of {due} is done."
    return Observation("deadline", bool(late), due.isoformat(), sentence, asset_link(asset, None, alerts))


def run_observation(key: str, run_id: str, *, failed: bool, alerts: AlertSpec) -> Observation:
    """Return whether the last run of its kind that ended has failed."""
    sentence = f"Run {run_id[:8]} {'failed; its page shows the step and the error' if failed else 'succeeded'}."
    return Observation(key, failed, run_id, sentence, f"{alerts.ui_url.rstrip('/')}/runs/{run_id}")


def due_session(closes: pl.DataFrame, *, now: dt.datetime, deadline_hours: float) -> dt.date | None:
    """Return the last session whose last exchange closed at least ``deadline_hours`` before ``now``.

    ``closes``: date and close (UTC, without zone), a row per exchange and session.
    """
    limit = now.astimezone(dt.UTC).replace(tzinfo=None) - dt.timedelta(hours=deadline_hours)
    by_session = closes.group_by("date").agg(pl.col("close").max())
    due = by_session.filter(pl.col("close") <= limit)["date"].max()
    return due if isinstance(due, dt.date) else None


def recent_closes(exchanges: Sequence[str], *, now: dt.datetime) -> pl.DataFrame:
    """Return the closes of the last weeks' sessions, up to today, of each exchange."""
    from forecast_assets.core.panel.sessions import closes

    today = now.astimezone(dt.UTC).date()
    parts = [closes(exchange, today - LOOKBACK, today) for exchange in exchanges]
    return pl.concat(parts) if parts else pl.DataFrame(schema={"date": pl.Date, "close": pl.Datetime("us")})


def asset_link(asset: str, day: str | None, alerts: AlertSpec) -> str:
    """Return the page of an asset, or of one of its days, in the Dagster UI."""
    return f"{alerts.ui_url.rstrip('/')}/assets/{asset}" + (f"?partition={day}" if day else "")
