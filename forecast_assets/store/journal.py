"""Append-only journals of small records, such as trials and revoked champions, that outlive the store's versions.

On a disk a journal is one file of JSON lines, each written by a single append and flushed, so that concurrent and killed
writers leave whole lines. On an object store, which cannot append, each record is an object. A record has an ``id``; the
first of an id counts. Every record carries its own digest, so that an altered one is noticed.
"""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from forecast_assets.core.errors import CorruptArtefact
from forecast_assets.store.durable import fsync
from forecast_assets.store.keys import canonical_json, sha256_text

log = logging.getLogger(__name__)

_SIGNATURE = "record_sha256"


class Journal:
    """The journal at ``<root>/<name>``; nothing is created before the first record."""

    def __init__(self, root: str, name: str) -> None:
        url = UPath(root) / name
        self._local = Path(url.path) if url.protocol in ("", "file", "local") else None
        if self._local is None:  # no cached listings: another machine may have written since
            url = type(url)(str(url), **{**url.storage_options, "use_listings_cache": False})
        self._place = url

    def __repr__(self) -> str:
        return f"Journal({str(self._place)!r})"

    def append(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Add the records whose id is new; durable on return. Return how many were added."""
        if self._local is None:
            new = self._new(records)
            for key, record in new.items():
                (self._place / f"{key}.json").write_bytes(_line(record))
            return len(new)
        path = self._local.with_suffix(".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # so that records of another process are read before these are added
            new = self._new(records)
            if not new:
                return 0
            # End a line that a crash cut off first, so that it damages no other.
            size = os.fstat(descriptor).st_size
            seal = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
            data = seal + b"".join(_line(record) for record in new.values())
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fsync(path.parent)
        fsync(path.parent.parent)  # a first journal's folder is new, and would be lost with it
        return len(new)

    def _new(self, records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        have = {record["id"] for record in self.read()}
        return {record["id"]: dict(record) for record in records if record["id"] not in have}

    def read(self) -> list[dict[str, Any]]:
        """Return the first record of each id, in the order they were written (of their ids on an object store).

        A line that a crash cut off is skipped with a warning. Raises CorruptArtefact for an altered record.
        """
        found: dict[str, dict[str, Any]] = {}
        for where, line in self._lines():
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                log.warning("skipped: %s is not a whole record", where)
                continue
            if not isinstance(record, dict) or record.pop(_SIGNATURE, None) != sha256_text(canonical_json(record)):
                raise CorruptArtefact(f"{where} differs from its own digest; restore the file from a copy.")
            found.setdefault(record["id"], record)
        return list(found.values())

    def _lines(self) -> Iterable[tuple[str, bytes]]:
        if self._local is None:
            for item in sorted(self._place.glob("*.json"), key=str) if self._place.exists() else []:
                yield str(item), item.read_bytes()
            return
        path = self._local.with_suffix(".jsonl")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        for number, line in enumerate(data.split(b"\n"), start=1):
            yield f"{path}: line {number}", line


def _line(record: dict[str, Any]) -> bytes:
    signed = {**record, _SIGNATURE: sha256_text(canonical_json(record))}
    return (json.dumps(signed, sort_keys=True, allow_nan=False) + "\n").encode()
