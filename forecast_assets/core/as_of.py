"""The time that a replay stands at: a night is replayed from what had arrived by then."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class AsOf:
    """What a replay may read: files that had arrived at ``moment``, and in them rows up to ``day``."""

    day: dt.date
    moment: dt.datetime  # in UTC

    @classmethod
    def parse(cls, text: str) -> "AsOf":
        """Read a date, which stands for its end everywhere, or a time (in UTC where it names no zone). Raises ValueError."""
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            time = dt.datetime.fromisoformat(text)
            return cls(time.date(), (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC))
        return cls(day, end_of_day(day))


def end_of_day(day: dt.date) -> dt.datetime:
    """Return when a day has ended everywhere on earth: noon of the next one in UTC, after the night in New York."""
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(12), tzinfo=dt.UTC)
