"""Summary of all drift monitors as one state, for alerts and reports."""

import datetime as dt
from typing import Any

import polars as pl

from forecast_assets.core.monitoring.coverage import CoverageLimits

LEVELS = ("ok", "information", "warning")  # rising; "unknown" is outside the order: the monitor could not run


def drift_verdict(
    *,
    as_of: dt.date,
    features: pl.DataFrame,
    rule: pl.DataFrame,
    alarm: pl.DataFrame | None,
    limits: CoverageLimits | None,
    loss: dict[str, Any],
) -> dict[str, Any]:
    """Combine ``feature_drift``, ``coverage_rule`` and ``coverage_alarm`` as of a day in one JSON-safe dictionary.

    Each monitor has a ``state``: "ok", "information" (the fixed coverage rule fires, which is too crude for more; or the
    estimated ``loss`` is high, see ``early_warning.loss_monitor``), "warning" (features have drifted, or the calibrated
    alarm is on) or "unknown" (no limits could be calibrated: pass None). Only an ongoing episode counts; all are listed.
    ``level`` is the highest state; ``episode`` is the first day of a monitor's ongoing episode, which identifies it to a
    sender of alerts.
    """
    moved = features.filter("alert").sort("p_value", "ks_distance", descending=[False, True], nulls_last=False)
    monitors: dict[str, dict[str, Any]] = {
        "features": {
            "state": "warning" if moved.height else "ok",
            "tested": features.height,
            "moved": [_plain(row) for row in moved.iter_rows(named=True)],
            "sentence": _feature_sentence(moved, tested=features.height),
        },
        "coverage_rule": _coverage_monitor(rule, firing="information", name="the fixed coverage rule"),
        "coverage_alarm": {
            "state": "unknown",
            "episodes": [],
            "episode": None,
            "sentence": "The calibrated coverage alarm has no limits yet: too few days of walk-forward coverage.",
        },
    }
    if alarm is not None and limits is not None:
        monitor = _coverage_monitor(alarm, firing="warning", name="the calibrated coverage alarm")
        shown = ("low", "high", "centre", "false_alerts_per_year")
        monitors["coverage_alarm"] = monitor | {name: getattr(limits, name) for name in shown}
    monitors["estimated_loss"] = loss
    return {
        "as_of": as_of.isoformat(),
        "level": max((one["state"] for one in monitors.values() if one["state"] in LEVELS), key=LEVELS.index),
        "monitors": monitors,
        "sentences": [monitor["sentence"] for monitor in monitors.values()],
    }


def _coverage_monitor(episodes: pl.DataFrame, *, firing: str, name: str) -> dict[str, Any]:
    listed = [_plain(row) for row in episodes.iter_rows(named=True)]
    present = next((episode for episode in listed if episode["ongoing"]), None)
    past = f"{len(listed)} episode{'s' if len(listed) != 1 else ''} on record"
    sentence = (
        f"{name} is on since {present['start']} ({present['side']} its limits; {past})."
        if present
        else f"{name} is quiet ({past})."
    )
    return {
        "state": firing if present else "ok",
        "episodes": listed,
        "episode": present["start"] if present else None,
        "sentence": sentence[0].upper() + sentence[1:],
    }


def _feature_sentence(moved: pl.DataFrame, *, tested: int) -> str:
    if not moved.height:
        return f"None of {tested} features has moved away from the reference period."
    names = moved["feature"].to_list()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{len(names)} of {tested} features moved away from the reference period: {shown}."


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with dates as ISO text; a null stays null."""
    return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in row.items()}
