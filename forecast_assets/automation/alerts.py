"""Decide which alerts a night calls for: one when an episode begins, one when it is over."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast_assets.automation.nights import Nights, listed
from forecast_assets.core.monitoring.persistence import stays_on
from forecast_assets.core.panel.completeness import ExchangePrices, in_words
from forecast_assets.core.panel.sessions import ending_sentence
from forecast_assets.core.specs import AlertSpec, DriftSpec
from forecast_assets.resources.channels.channel import Level, Message
from forecast_assets.store.asset_keys import ENSEMBLE, NIGHTLY_FORECAST, RAW_PANEL
from forecast_assets.store.panel_in_use import untrained_sentence

TEXTS: dict[str, tuple[Level, str, str]] = {
    "features": ("warning", "Feature drift", "Feature drift is over"),
    "coverage_rule": ("information", "Coverage outside the plan's limits", "Coverage inside the plan's limits again"),
    "coverage_alarm": ("warning", "Coverage alarm", "Coverage alarm is over"),
    "nightly_run": ("error", "The nightly run failed", "The nightly run succeeded again"),
    "panel_run": ("error", "The night's panel was not read", "The night's panel was read again"),
    "deadline": ("overdue", "The night is late", "The night is done"),
    "prices": ("warning", "The night lacks prices", "The night has its prices"),
    "calendars": ("warning", "A trading calendar ends", "The trading calendars go on"),
    "seals": ("warning", "Seals are not kept", "Seals are kept again"),
    "new_year": ("warning", "A new year is not trained yet", "The new year is trained"),
}
"""Level of an episode, and the titles of its two messages: when it begins, when it is over."""
DEADLINE = "deadline"
MONITORS = ("features", "coverage_rule", "coverage_alarm")


@dataclass(frozen=True)
class Observation:
    """The state of one thing that is watched; ``stamp`` names the episode if one begins now."""

    key: str
    on: bool
    stamp: str
    sentence: str
    link: str


def messages_for(observations: Sequence[Observation], *, open_episodes: Mapping[str, str]) -> list[Message]:
    """Return a message for every episode that begins, and one for every open one that is over.

    A night that is missing beside others that were reported already is reported too, within the same episode.
    """
    found = []
    for seen in observations:
        level, opened, recovered = TEXTS[seen.key]
        began = open_episodes.get(seen.key)
        if seen.on and began is None:
            kind, stamp, title, sentence = "opened", seen.stamp, opened, seen.sentence
        elif seen.on and began is not None and seen.key == DEADLINE and seen.stamp > began:
            kind, stamp, title, sentence = "continued", seen.stamp, opened, f"{seen.sentence} It began with {began}."
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
    *,
    due: dt.date | None,
    nights: Nights,
    sessions: Iterable[str],
    alerts: AlertSpec,
    waiting: Mapping[str, str] | None = None,
) -> Observation | None:
    """Return whether a night is missing up to the last session that is ``due``; None before the first night of all.

    ``sessions``: ISO dates of those to look for. The stamp is the newest session without its night. ``waiting``: nights
    that wait for prices, and what for.
    """
    if due is None or not nights.begun:
        return None
    missing = nights.missing(day for day in {*sessions, due.isoformat()} if day <= due.isoformat())
    if not missing:
        sentence = f"The night of {due} is done, and none before it is missing."
        return Observation(DEADLINE, False, due.isoformat(), sentence, asset_link(NIGHTLY_FORECAST, None, alerts))
    newest = max(missing)
    asset = missing[newest][0]
    sentence = (
        f"{alerts.deadline_hours:g} hours after the close of {due} {_nights_in_words(missing)}. Check the nightly runs, "
        f"then materialise {asset} for {newest}, or type: forecast-assets nightly. A night that can't be made any more is "
        f"given up with: forecast-assets nightly --skip {min(missing)}"
        + "".join(f". The night of {day} waits for prices: {what}" for day, what in (waiting or {}).items())
    )
    return Observation(DEADLINE, True, newest, sentence, asset_link(asset, None, alerts))


def _nights_in_words(missing: Mapping[str, Sequence[str]]) -> str:
    """Return which nights are missing, those that lack the same assets together."""
    lacking: dict[str, list[str]] = {}
    for day, assets in missing.items():
        lacking.setdefault(", ".join(assets), []).append(day)
    parts = "; ".join(f"{assets} of {listed(days)}" for assets, days in lacking.items())
    return f"{len(missing)} {'night is' if len(missing) == 1 else 'nights are'} missing: {parts}"


def prices_observation(
    *, due: dt.date | None, nights: Nights, lacking: Sequence[ExchangePrices], alerts: AlertSpec
) -> Observation | None:
    """Return whether the night of the last session that is ``due`` was made without prices of an exchange.

    None before the first night of all, and where that night is missing: that is for ``deadline_observation``.
    """
    if due is None or due.isoformat() not in nights.done.get(NIGHTLY_FORECAST, ()):
        return None
    day = due.isoformat()
    link = asset_link(NIGHTLY_FORECAST, day, alerts)
    if not lacking:
        return Observation("prices", False, day, f"The panel has the prices of {day}.", link)
    sentence = (
        f"{alerts.deadline_hours:g} hours after the close of {day} the panel has {in_words(lacking)}. The night was made "
        "without them: see whether a file is missing, or cut short"
    )
    return Observation("prices", True, day, sentence, link)


def year_observation(untrained: Sequence[str], *, alerts: AlertSpec) -> Observation:
    """Return whether the panel has a test year that no ensemble was trained for; see ``untrained_years``."""
    if not untrained:
        link = asset_link(ENSEMBLE, None, alerts)
        return Observation("new_year", False, "none", "Every year of the panel is trained.", link)
    year = untrained[-1]
    return Observation("new_year", True, year, untrained_sentence(untrained), asset_link(ENSEMBLE, year, alerts))


def calendar_observation(ending: Mapping[str, dt.date], *, alerts: AlertSpec) -> Observation:
    """Return whether the calendar of an exchange of the panel ends soon, or has ended; see ``ending_calendars``."""
    link = asset_link(RAW_PANEL, None, alerts)
    if not ending:
        return Observation("calendars", False, "none", "No calendar of the panel ends soon.", link)
    return Observation("calendars", True, str(min(ending.values())), ending_sentence(ending), link)


def run_observation(key: str, run_id: str, *, failed: bool, alerts: AlertSpec) -> Observation:
    """Return whether the last run of its kind that ended has failed."""
    sentence = f"Run {run_id[:8]} {'failed; its page shows the step and the error' if failed else 'succeeded'}."
    return Observation(key, failed, run_id, sentence, f"{alerts.ui_url.rstrip('/')}/runs/{run_id}")


def asset_link(asset: str, day: str | None, alerts: AlertSpec) -> str:
    """Return the page of an asset, or of one of its days, in the Dagster UI."""
    return f"{alerts.ui_url.rstrip('/')}/assets/{asset}" + (f"?partition={day}" if day else "")
