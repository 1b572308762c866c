"""The log of arrivals: when each content of an input file was first read, kept when the file is gone."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from forecast_assets.core.panel.arrivals import Arrival, SeenFile, parse_arrival
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.store.journal import Journal

JOURNAL = "ledger/arrivals"  # below the data root


def seen_file(file: InputFile) -> SeenFile:
    """Return a file's name, digest and size, as it is now."""
    with file.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SeenFile(file.name, digest, file.path.stat().st_size)


def read_arrivals(data_root: str) -> list[Arrival]:
    """Return the log of a data root; empty before its first reading."""
    return [Arrival.from_record(record) for record in Journal(data_root, JOURNAL).read()]


def with_arrivals(
    files: Sequence[InputFile], seen: Sequence[SeenFile], *, declared: str, log: Sequence[Arrival]
) -> list[InputFile]:
    """Return the files with when they were first read and when they arrived.

    That is as ``declared`` for all, or beside the file, else as the log has it.
    """
    by_id = {entry.file.id: entry for entry in reversed(log)}  # two runs at once both record it: the first counts
    found = []
    for file, here in zip(files, seen, strict=True):
        rule = declared or file.declared_arrival
        entry = by_id[here.id]
        arrived = parse_arrival(rule, name=file.name) if rule else entry.arrived
        found.append(replace(file, arrived=arrived, first_seen=entry.first_seen))
    return found


def record_arrivals(data_root: str, arrivals: Sequence[Arrival]) -> None:
    """Add what a reading that can be used has read for the first time; durable on return."""
    Journal(data_root, JOURNAL).append(entry.as_record() for entry in arrivals)
