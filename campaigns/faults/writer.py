"""A writer to the store: what a run of the graph writes, without what it computes, in a second.

That is versions, promotions, a rollback, the trial log and alerts. `work` is idempotent like the graph: it finds what exists
and makes the rest. Its alert channel is a file, flushed line by line, so that what was sent before a kill stays sent.
"""

import datetime as dt
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels.channel import Message
from forecast_assets.store.journal import Journal
from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

NIGHTS = 6
TRIAL_LOG, REVOKED = "ledger/trials", "ledger/withdrawn"
SENT = "sent.txt"
NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class FileChannel:
    """An alert channel that is a file: a line per message."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def missing(self) -> list[str]:
        return []

    def post(self, message: Message) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{message.id}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        return self.path.exists() and message.id in self.path.read_text().split()


def work(root: Path) -> None:
    """Write six nights: a table, a champion, a trial and a message each; the third champion is revoked."""
    store = Store(root / "data" / "store")
    outbox = Outbox(str(root / "data"), [FileChannel(root / "outside" / SENT)])
    for night in range(NIGHTS):
        published(store, "table", f"2020-01-{night + 1:02d}", night)
        champion = published(store, "champion", None, night)
        Journal(str(root / "data"), TRIAL_LOG).append([{"id": f"trial-{night}", "night": night}])
        if night == 2:
            Journal(str(root / "data"), REVOKED).append([{"id": champion.input_key, "version": champion.id}])
            store.promote(published(store, "champion", None, 1))
        stamp = str(night)
        message = Message(
            f"night.{night}.opened", "night", stamp, "opened", "information", "Night", stamp, "http://ui.test/"
        )
        with outbox.alone():
            outbox.enqueue([message], now=NOW, seen=f"2020-01-{night + 1:02d}")
            outbox.deliver(now=NOW + dt.timedelta(days=1))


def published(store: Store, asset: str, partition: str | None, number: int) -> Version:
    """Find or make version ``number`` and make it current, as a stage does."""
    key = sha256_text(f"{asset}/{number}")
    with store.lock(asset, partition, on_wait=print):
        found = store.find(asset, partition, key)
        if found is not None:
            store.promote(found)
            return found
        rng = random.Random(key)
        with store.stage(asset, partition, input_key=key) as staging:
            for name, size in (("same.bin", 100_000), ("own.bin", rng.randrange(400_000))):
                data = random.Random(0 if name == "same.bin" else key).randbytes(size)
                (staging.path / name).write_bytes(data)
            fields = {"parents": {}, "config": {"number": number}, "code_version": "v1"}
            return store.commit(staging, fields)  # type: ignore[arg-type]


def state(root: Path) -> dict[str, object]:
    """Return what must be the same after any fault and one more `work` as without a fault."""
    store = Store(root / "data" / "store")
    slots = [("champion", None), *(("table", partition) for partition in store.partitions("table"))]
    lines = {
        name: Counter(json.loads(line)["id"] for line in (root / "data" / name).read_text().splitlines())
        for name in (f"{TRIAL_LOG}.jsonl", f"{REVOKED}.jsonl")
    }
    return {
        "current": [store.current(*slot).data_version for slot in slots],
        "versions": {str(slot): sorted(version.data_version for version in store.versions(*slot)) for slot in slots},
        **lines,
        "sent": Counter((root / "outside" / SENT).read_text().split()),
        "waiting": Outbox(str(root / "data"), []).waiting(FileChannel.name),
    }


def without_faults(root: Path) -> dict[str, object]:
    """Return the state after one `work`; a second one must change nothing."""
    empty(root)
    work(root)
    before = state(root)
    work(root)
    assert state(root) == before
    return before


def empty(root: Path) -> None:
    """Make an empty data root, and beside it a folder that stays writable when the data root's disk is full."""
    for name in ("data", "outside"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
