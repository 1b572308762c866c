"""Which nights are due, which are missing, and which were given up."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forecast_assets.core.errors import BadSetting
from forecast_assets.store.asset_keys import DRIFT_CHECKS, NIGHTLY_FORECAST, TARGET_POSITIONS
from forecast_assets.store.journal import Journal
from forecast_assets.store.panel_in_use import panel_sessions
from forecast_assets.store.store import Store

NIGHT = (NIGHTLY_FORECAST, TARGET_POSITIONS, DRIFT_CHECKS)  # what a night leaves behind, as far as the graph has it

SKIPPED = "ledger/skipped_nights"  # journal, below the data root, of the nights that somebody gave up


@dataclass(frozen=True)
class Nights:
    """The nights that a store holds. Nothing is missing before the first forecast of all."""

    done: Mapping[str, frozenset[str]]  # asset of a night -> its days, for those that have any
    skipped: frozenset[str]

    @classmethod
    def of(cls, store: Store, data_root: str) -> "Nights":
        """Return those of a store."""
        done = {asset: frozenset(days) for asset in NIGHT if (days := store.partitions(asset))}
        return cls(done, frozenset(record["id"] for record in Journal(data_root, SKIPPED).read()))

    @property
    def begun(self) -> bool:
        """Return whether there is a night at all."""
        return NIGHTLY_FORECAST in self.done

    def missing(self, sessions: Iterable[str]) -> dict[str, list[str]]:
        """Return the assets that each of ``sessions`` (ISO dates) lacks, oldest session first; complete ones are left out.

        An asset counts from the first night that has it, the forecasts from the first night of all.
        """
        found = {}
        for day in sorted({*sessions} - self.skipped):
            if lacking := [asset for asset, days in self.done.items() if min(days) < day and day not in days]:
                found[day] = lacking
        return found


def due_nights(store: Store, data_root: str) -> list[str]:
    """Return the panel's sessions since the first night whose night is not complete, oldest first: those that failed, and
    those behind a later one, too. Without any night, the last session.

    Raises MissingArtefact without a panel.
    """
    nights, sessions = Nights.of(store, data_root), panel_sessions(store)
    return [*nights.missing(sessions)] if nights.begun else sessions[-1:]


def skip_nights(store: Store, data_root: str, days: Iterable[str]) -> None:
    """Give up missing nights: they are due no more, and no alert names them.

    Raises BadSetting for one not missing; one to come is not, and would be a silent gap when it does.
    """
    nights, chosen, today = Nights.of(store, data_root), sorted(set(days)), str(dt.datetime.now(dt.UTC).date())
    if odd := [day for day in chosen if not is_date(day) or day > today or day not in nights.missing([day])]:
        due = listed(due_nights(store, data_root)) or "none"
        raise BadSetting(f"--skip: the night of {odd[0]!r} is not missing; due are {due}")
    Journal(data_root, SKIPPED).append([{"id": day} for day in chosen])


def is_date(text: str) -> bool:
    """Return whether a text is a date as nights are named by it."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def listed(days: Iterable[str], *, most: int = 40) -> str:
    """Return days in words: all of them, or the first ``most`` and how many follow up to which."""
    each = list(days)
    more = f" and {len(each) - most} more, the last on {each[-1]}" if len(each) > most else ""
    return ", ".join(each[:most]) + more
