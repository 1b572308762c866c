"""When input files arrived, the order in which they are merged, and what a replay of an earlier night may read.

A file arrives when it is first read, unless it is declared when it did. Files that were there at the first reading are
history: nobody knows when their rows arrived, and each counts as known on its own date.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forecast_assets.core.as_of import AsOf, end_of_day
from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.panel.input_file import InputFile

HISTORY = "history"
NAME = "name"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DATE_FORMS = (
    r"(?P<year>\d{4})[-_.]?(?P<month>\d{2})[-_.]?(?P<day>\d{2})",
    r"(?P<day>\d{2})[-_.]?(?P<name>[A-Za-z]{3})[-_.]?(?P<year>\d{4})",
    r"(?P<day>\d{2})[-_.](?P<month>\d{2})[-_.](?P<year>\d{4})",
)


@dataclass(frozen=True)
class SeenFile:
    """A file as it is now, known by its content and its name."""

    name: str
    sha256: str
    size: int

    @property
    def id(self) -> str:
        """Return what names it in the log, 64 hex digits: one content that comes again under another name is another one."""
        return hashlib.sha256(f"{self.name}\n{self.sha256}".encode()).hexdigest()


@dataclass(frozen=True)
class Arrival:
    """An entry of the log of arrivals."""

    file: SeenFile
    first_seen: dt.datetime  # in UTC
    history: bool  # it was there at the first reading

    @property
    def arrived(self) -> dt.datetime | None:
        """Return when it arrived; None for history."""
        return None if self.history else self.first_seen

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values."""
        file = self.file
        first_seen = self.first_seen.isoformat(timespec="seconds")
        named = {"id": file.id, "name": file.name, "sha256": file.sha256, "size": file.size}
        return {**named, "first_seen": first_seen, "history": self.history}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Arrival":
        """Undo ``as_record``."""
        file = SeenFile(record["name"], record["sha256"], record["size"])
        return cls(file, dt.datetime.fromisoformat(record["first_seen"]), record["history"])


def parse_arrival(rule: str, *, name: str) -> dt.datetime | None:
    """Return when a file is declared to have arrived; None for history.

    ``rule``: ``history``, ``name`` (the end of the date in the file's name), a date (its end) or a time. Raises BadSetting
    for any other, and for a name without exactly one date.
    """
    if rule == HISTORY:
        return None
    if rule == NAME:
        return end_of_day(date_in_name(name))
    try:
        return AsOf.parse(rule).moment
    except ValueError as error:
        raise BadSetting(
            f"arrived: {rule!r} is no time of arrival; write history, name (the date in the file's name), a date like "
            "2025-07-24 or a time like 2025-07-24T22:00-04:00"
        ) from error


def date_in_name(name: str) -> dt.date:
    """Return the one date in a file's name (2024-01-15, 20240115, 15JAN2024, 15-01-2024). Raises BadSetting."""
    found = set()
    for form in DATE_FORMS:
        for match in re.finditer(rf"(?<!\d){form}(?!\d)", name):
            parts = match.groupdict()
            named = parts.get("name")
            if named is not None and named.lower() not in MONTHS:
                continue
            month = int(parts["month"]) if named is None else MONTHS.index(named.lower()) + 1
            try:
                found.add(dt.date(int(parts["year"]), month, int(parts["day"])))
            except ValueError:
                continue  # eight digits that are no date
    if len(found) != 1:
        have = f"the dates {', '.join(map(str, sorted(found)))}" if found else "no date"
        raise BadSetting(
            f"arrived: name: {name} has {have} in its name; name the files like prices_2024-01-15.csv, or declare a time"
        )
    return found.pop()


def new_arrivals(seen: Sequence[SeenFile], *, log: Sequence[Arrival], now: dt.datetime) -> list[Arrival]:
    """Return the arrivals to add to the ``log``: of those ``seen`` at ``now`` that it lacks.

    All are history where the log is empty. A content that is known by a name that is gone was renamed, and keeps its time;
    under a name beside it, it came again. The log never runs backwards, whatever the clock does.
    """
    known = {entry.file.id for entry in log}
    present = {file.name for file in seen}
    moved = {entry.file.sha256: entry for entry in log if entry.file.name not in present}
    now = max([now.replace(microsecond=0), *(entry.first_seen for entry in log)])
    added = []
    for file in seen:
        if file.id in known:
            continue
        before = moved.get(file.sha256)
        fresh = Arrival(file, now, history=not log)
        added.append(fresh if before is None else replace(before, file=file))
    return added


def arrival_order(file: InputFile) -> tuple[Any, ...]:
    """Return the key by which files are merged: by arrival, history first; then by name, prices_9 before prices_10."""
    return (file.arrived is not None, file.arrived or dt.datetime.min.replace(tzinfo=dt.UTC), natural_order(file.name))


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [*((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (0, 0, name)]


def arrived_by(files: Iterable[InputFile], as_of: AsOf | None) -> tuple[list[InputFile], list[InputFile]]:
    """Return the files to read, in the order in which they are merged, and those that had not arrived yet.

    Raises BadInput where none had.
    """
    ordered = sorted(files, key=arrival_order)
    if as_of is None:
        return ordered, []
    here = [file for file in ordered if file.arrived is None or file.arrived <= as_of.moment]
    later = [file for file in ordered if file not in here]
    if later and not here:
        first = later[0]
        raise BadInput(
            f"{first.name} arrived at {first.arrived:%Y-%m-%d %H:%M} UTC, and nothing had arrived by "
            f"{as_of.moment:%Y-%m-%d %H:%M} UTC, the time that is replayed ({as_of.day}); to read it as if each row had "
            f"been known on its own date, write `arrived: history` into panel.yaml beside it, or type --arrived history"
        )
    return here, later
