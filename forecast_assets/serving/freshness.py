"""Whether the last night is older than the newest session that is due, and why, in one sentence."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forecast_assets.core.panel.due_sessions import due_session, recent_closes

LOOKED_UP_EVERY = dt.timedelta(minutes=1)


def utc_now() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Deadline:
    """When the night of a session is due; looked up in the calendars once a minute at most. For one thread only."""

    hours: float | None  # after the session's last close; None: never, as for a synthetic panel or a replay
    clock: Callable[[], dt.datetime] = utc_now
    _looked_up: tuple[dt.datetime, tuple[str, ...], dt.date | None] | None = field(default=None, init=False)

    def session(self, exchanges: Sequence[str]) -> dt.date | None:
        """Return the newest session of ``exchanges`` (MICs) that is due by now, if any is."""
        if self.hours is None or not exchanges:
            return None
        now, known = self.clock(), self._looked_up
        if known is None or known[1] != tuple(exchanges) or not dt.timedelta(0) <= now - known[0] < LOOKED_UP_EVERY:
            due = due_session(recent_closes(exchanges, now=now), now=now, deadline_hours=self.hours)
            known = self._looked_up = now, tuple(exchanges), due
        return known[2]


def staleness(
    *, night: dt.date | None, newest: dt.date | None, panel_end: dt.date | None, due: dt.date | None
) -> str | None:
    """Return what is late and why, None where nothing is.

    ``night``: the last one, None without any; ``newest``: session of the newest issued forecast; ``panel_end``: the last
    session that has been read; ``due``: the newest session whose night is due, None where none ever is.
    """
    last = night or newest
    if last is None:
        return None
    owed = due if due is not None or night is None else panel_end  # without a deadline, a night follows its panel
    if owed is None or last >= owed:
        return None
    what = f"The last night is of {night}" if night else f"No night has been run; the walk-forward ends on {newest}"
    if panel_end is not None and panel_end > last:
        why = f"prices up to {panel_end} have been read, and the nights since have not been made (forecast-assets nightly)"
    elif panel_end is not None:
        why = f"no prices after {panel_end} have been read"
    else:
        why = "the store holds no panel to say why"
    return f"{what}, and that of {owed} is due: {why}."
