"""What a replica of the service costs while nothing is published: requests to the object store, and time.

    python -m benchmarks.idle_replica                    both parts, recorded
    python -m benchmarks.idle_replica --nights 50 --polls 5    a trial run, printed and not recorded

``idle_poll_requests``: HTTP requests per poll of a replica that has served ``NIGHTS`` nights from a local S3-compatible
server, counted where botocore sends them, over two of the full checks that it makes every minute. ``idle_poll_ms``: the
median time of a poll with ``DISK_NIGHTS`` nights on the local disk, and of a full check.
"""

import argparse
import datetime as dt
import json
import logging
import os
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from forecast_assets.serving.loading import FULL_CHECK_SECONDS, Loader
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import DAYS, open_stub, publish_night, small_store
from tools.results import record

NIGHTS, DISK_NIGHTS = 1000, 2500
POLLS = round(2 * FULL_CHECK_SECONDS) + 2
BUCKET = "replica"


def filled(root: Path, nights: int) -> Store:
    """Return a store on disk with ``nights`` nights, a model, a panel and a fold."""
    small_store(store := Store(root))
    for number in range(1, nights):
        publish_night(store, ("T00",), DAYS[-1], mean=0.01, partition=str(DAYS[-1] - dt.timedelta(days=number)))
    return store


def upload(root: Path) -> str:
    """Copy a store to a new bucket; return its URL."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in root.rglob("*"):
        if path.is_file() and ".locks" not in path.parts and ".work" not in path.parts:
            client.upload_file(str(path), BUCKET, f"store/{path.relative_to(root).as_posix()}")
    return f"s3://{BUCKET}/store"


def on_s3(folder: Path, *, nights: int, polls: int) -> dict[str, Any]:
    """Count the requests of ``polls`` polls, a second apart."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    try:
        filled(folder / "s3", nights)
        store = Store(upload(folder / "s3"), cache=folder / "cache")
        loader = Loader(store, open_stub)
        assert loader.refresh() is not None
        sent: Counter[str] = Counter()
        client = store._place._fs._s3  # type: ignore[attr-defined]
        client.meta.events.register("before-send.s3", lambda request, **_: sent.update([request.method]) or None)
        each = []
        for _ in range(polls):
            before = sent.total()
            assert loader.refresh() is None
            each.append(sent.total() - before)
            time.sleep(1.0)
    finally:
        server.stop()
    assert sent.total() > 0
    by_poll = {"median": statistics.median(each), "largest": max(each), "polls": polls}
    return {"value": round(sum(each) / polls, 2), "nights": nights, **by_poll, "by_method": dict(sent)}


def on_disk(folder: Path, *, nights: int) -> dict[str, Any]:
    """Time polls on a local disk."""
    loader = Loader(filled(folder / "disk", nights), open_stub)
    assert loader.refresh() is not None

    def milliseconds(*, is_full: bool) -> float:
        times = []
        for _ in range(20):
            if is_full:
                loader._full_check_due = 0.0
            begin = time.perf_counter()
            assert loader.refresh() is None
            times.append(1000 * (time.perf_counter() - begin))
        return round(statistics.median(times), 3)

    return {"value": milliseconds(is_full=False), "nights": nights, "full_check_ms": milliseconds(is_full=True)}


def main() -> None:
    """Measure both; record unless their sizes were reduced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--polls", type=int, default=POLLS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "idle_poll_requests": on_s3(Path(folder), nights=options.nights, polls=options.polls),
            "idle_poll_ms": on_disk(Path(folder), nights=max(options.nights, DISK_NIGHTS * options.nights // NIGHTS)),
        }
    print(json.dumps(figures, indent=2))
    if (options.nights, options.polls) == (NIGHTS, POLLS):
        print(record("idle_replica", figures, command="python -m benchmarks.idle_replica"))


if __name__ == "__main__":
    main()
