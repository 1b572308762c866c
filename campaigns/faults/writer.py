"""What a run writes, without what it computes: versions, promotions, a rollback, the ledger, alerts. A second a time.

`work` is idempotent like the graph: what is there is found, the rest is made. Its channel is a file that is flushed line by
line, so that what was "sent" before a kill stays sent.
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
LEDGER, REVOKED = "ledger/trials", "ledger/revoked"
SENT = "sent.txt"
NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class FileChannel:
    """Slack as a file: a line per message."""

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
    """Six nights: tables of a panel, a champion, a trial each; a message at each; the third champion is taken back."""
    store = Store(root / "data" / "store")
    outbox = Outbox(str(root / "data"), [FileChannel(root / "outside" / SENT)])
    for night in range(NIGHTS):
        published(store, "table", f"2020-01-{night + 1:02d}", night)
        champion = published(store, "champion", None, night)
        Journal(str(root / "data"), LEDGER).append([{"id": f"trial-{night}", "night": night}])
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
    """Version ``number``: the one there is, or a new one; current afterwards. As a stage does it."""
    key = sha256_text(f"{asset}/{number}")
    with store.lock(asset, partition, on_wait=print):
        found = store.find(asset, partition, key)
        if found is not None:
            store.promote(found)
            return found
        chance = random.Random(key)
        with store.stage(asset, partition, input_key=key) as staging:
            for name, size in (("same.bin", 100_000), ("own.bin", chance.randrange(400_000))):
                data = random.Random(0 if name == "same.bin" else key).randbytes(size)
                (staging.path / name).write_bytes(data)
            fields = {"parents": {}, "config": {"number": number}, "code_version": "v1"}
            return store.commit(staging, fields)  # type: ignore[arg-type]


def state(root: Path) -> dict[str, object]:
    """What must be the same after any fault and one more `work`; an undisturbed one gives it too."""
    store = Store(root / "data" / "store")
    slots = [("champion", None), *(("table", partition) for partition in store.partitions("table"))]
    lines = {
        name: Counter(json.loads(line)["id"] for line in (root / "data" / name).read_text().splitlines())
        for name in (f"{LEDGER}.jsonl", f"{REVOKED}.jsonl")
    }
    return {
        "current": [store.current(*slot).data_version for slot in slots],
        "versions": {str(slot): sorted(version.data_version for version in store.versions(*slot)) for slot in slots},
        **lines,
        "sent": Counter((root / "outside" / SENT).read_text().split()),
        "waiting": Outbox(str(root / "data"), []).waiting(FileChannel.name),
    }


def undisturbed(root: Path) -> dict[str, object]:
    """The state after one `work`; a second one changes nothing."""
    empty(root)
    work(root)
    before = state(root)
    work(root)
    assert state(root) == before
    return before


def empty(root: Path) -> None:
    """Nothing published, nothing sent; beside the data there is what stays outside when its disk is full."""
    for name in ("data", "outside"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
