"""The prediction service under load, from a second process on loopback.

    python -m benchmarks.serve                       everything below, recorded
    python -m benchmarks.serve --requests 2000 ...   a trial run, printed and not recorded

A store of 557 tickers with a committed night is served by ``forecast_assets.serving`` in a process of its own, with the
rate limit out of the way. 16 clients hold one connection each and send the next request when the last is answered:
latencies are closed-loop, from the first byte sent to the last byte read. ``--store`` names a real store instead, whose
``serving_model`` then answers computed forecasts (``predict_computed_p99_ms``): decisions after its cutoff that no night or
fold has issued, so a store that holds serving_model and windowed_tensors alone gives the most of them.
"""

import argparse
import asyncio
import datetime as dt
import json
import multiprocessing
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._result import record
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.windows.days import to_date
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.model import open_model
from forecast_assets.serving.server import serve
from forecast_assets.serving.snapshot import Model, PendingForecast
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.service import DAYS, open_stub, panel, publish_model, publish_night, publish_panel

TICKERS, CLIENTS = 557, 16
REQUESTS, COMPUTED, SWAPS, FUZZED = 100_000, 2_000, 100, 10_000
UNBOUNDED = Limits(rate_per_second=1e9, burst=1e9)


class Client:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """(status, body) of one request; a dropped connection raises."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Forget the connection; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def get(path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(body: bytes) -> bytes:
    """The bytes of POST /predict."""
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def load(port: int, requests: list[bytes]) -> tuple[list[float], list[int], float]:
    """(milliseconds, statuses, seconds in all) of ``requests`` from ``CLIENTS`` clients; a dropped one has status 0."""
    waiting, took, statuses = iter(requests), list[float](), list[int]()

    async def one() -> None:
        client = Client(port)
        for request in waiting:
            started = time.perf_counter()
            try:
                status, _ = await client.send(request)
            except (OSError, asyncio.IncompleteReadError):
                status = 0
                client.close()
            took.append(1000 * (time.perf_counter() - started))
            statuses.append(status)
        client.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return took, statuses, time.perf_counter() - started


async def swap(port: int, store: Store, swaps: int) -> dict[str, Any]:
    """Commit ``swaps`` nights while all clients ask for batches; night k says model "m<k>" and mean k / 100,000."""
    tickers = panel(TICKERS).tickers
    body = json.dumps({"requests": [{"ticker": tickers[k]} for k in range(0, TICKERS, 60)]}).encode()
    seen: set[str] = set()
    errors, answered, done = 0, 0, False

    async def one() -> None:
        nonlocal errors, answered
        client = Client(port)
        while not done:
            try:
                status, content = await client.send(post(body))
            except (OSError, asyncio.IncompleteReadError):
                errors += 1
                client.close()
                continue
            answered += 1
            items = [item["answer"] for item in json.loads(content)["answers"]] if status == 200 else []
            models = {item["model_version"] for item in items}
            means = {f"m{round(100_000 * item['horizons'][0]['mean'])}" for item in items}
            if status != 200 or len(models) != 1 or models != means or len({item["snapshot"] for item in items}) != 1:
                errors += 1
            seen.update(models)
        client.close()

    clients = [asyncio.create_task(one()) for _ in range(CLIENTS)]
    for k in range(1, swaps + 1):
        await asyncio.to_thread(publish_night, store, tickers, DAYS[-1], mean=k / 100_000, model=f"m{k}")
        deadline = time.monotonic() + 30
        while f"m{k}" not in seen and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        errors += f"m{k}" not in seen
    done = True
    await asyncio.gather(*clients)
    return {"value": errors, "swaps": swaps, "versions_seen": len(seen - {"m0"}), "answers": answered}


def fuzzed(count: int, *, seed: int = 0) -> list[bytes]:
    """Requests that are nearly right, or not at all."""
    pick = random.Random(seed)
    odd = [
        "",
        "T00",
        "T00%00",
        "%F0%9F%92%A9",
        "NaN",
        "1e400",
        "-1",
        "9" * 50,
        "..%2F..",
        "'--",
        "%ff%fe",
        "null",
        "T01&ticker=T02",
    ]
    dates = [*odd, *(str(day) for day in DAYS), "0001-01-01", "9999-12-31", "2017-02-30", "2018-03-13T00:00:00"]
    values = [
        "NaN",
        "1e400",
        "-Infinity",
        "null",
        "[]",
        "{}",
        '"T00"',
        '"\\ud800"',
        '""',
        "1",
        "true",
        '"2018-03-13"',
        "9" * 400,
    ]

    def body() -> bytes:
        kind = pick.random()
        if kind < 0.2:
            return pick.randbytes(pick.randrange(200))
        if kind < 0.3:
            return b"[" * pick.randrange(1, 20_000)
        items = ",".join(
            f'{{"ticker": {pick.choice(values)}, "date": {pick.choice(values)}}}' for _ in range(pick.randrange(4))
        )
        whole = f'{{"requests": [{items}]}}'.encode()
        return whole if kind < 0.8 else whole[: pick.randrange(len(whole) + 1)]

    def one() -> bytes:
        if pick.random() < 0.5:
            return post(body())
        route = pick.choice(["predict", "explain", "chart", "health/ready", "metrics", "nothing", "tickers"])
        return get(f"/{route}?ticker={pick.choice(odd)}&date={pick.choice(dates)}")

    return [one() for _ in range(count)]


def schema_fuzzed(port: int, examples: int) -> tuple[int, int]:
    """(requests, 5xx answers) of schemathesis on the OpenAPI document."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings

    url = f"http://127.0.0.1:{port}"
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    asked = failed = 0

    quiet = settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    results: list[Any] = list(schema.get_all_operations())
    for result in results:

        @quiet
        @given(case=result.ok().as_strategy())
        def answer(case: schemathesis.Case) -> None:
            nonlocal asked, failed
            asked += 1
            failed += case.call(base_url=url, timeout=20).status_code >= 500

        answer()
    return asked, failed


def run_service(root: str, port: int, opened_by: Callable[[Version], Model], limits: Limits) -> None:
    """The second process."""
    loader = Loader(Store(root), opened_by)
    serve(loader, host="127.0.0.1", port=port, token=None, limits=limits, poll_seconds=0.05)


def start(
    root: str, *, opened_by: Callable[[Version], Model] = open_stub, limits: Limits = UNBOUNDED
) -> tuple[Any, int]:
    """The service's process and port, ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(
        target=run_service, args=(root, port, opened_by, limits), daemon=True
    )
    process.start()

    async def ready() -> bool:
        try:
            return (await Client(port).send(get("/health/ready")))[0] == 200
        except OSError:
            return False

    deadline = time.monotonic() + 120
    while not asyncio.run(ready()):
        if time.monotonic() > deadline or not process.is_alive():
            raise SystemExit("the service did not become ready")
        time.sleep(0.2)
    return process, port


def latency(took: list[float], statuses: list[int], seconds: float) -> dict[str, Any]:
    """The 99th percentile and what stands behind it."""
    p50, p99 = np.percentile(took, [50, 99])
    facts = {"requests": len(took), "clients": CLIENTS, "errors": sum(status != 200 for status in statuses)}
    return {
        "value": round(float(p99), 2),
        "p50_ms": round(float(p50), 2),
        "per_second": round(len(took) / seconds),
        **facts,
    }


def synthetic(root: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Figures that need no trained model."""
    store, tensors = Store(root), panel(TICKERS)
    publish_panel(store, tensors)
    publish_model(store, tensors)
    publish_night(store, tensors.tickers, DAYS[-1], mean=0.0, model="m0")
    process, port = start(str(root))
    try:
        pick = random.Random(0)
        requests = [get(f"/predict?ticker={pick.choice(tensors.tickers)}") for _ in range(arguments.requests)]
        asyncio.run(load(port, requests[:2000]))  # warm
        measured = latency(*asyncio.run(load(port, requests)))
        made = {
            "predict_p99_ms": measured,
            "predict_errors": {"value": measured["errors"], "requests": measured["requests"]},
            "hot_swap_errors": asyncio.run(swap(port, store, arguments.swaps)),
        }
        _, statuses, _ = asyncio.run(load(port, fuzzed(arguments.fuzzed)))
        asked, failed = schema_fuzzed(port, arguments.examples)
        failures = sum(status >= 500 or status == 0 for status in statuses) + failed
        made["fuzz_5xx"] = {"value": failures, "requests": len(statuses), "schemathesis_requests": asked}
        return made
    finally:
        process.terminate()
        process.join(30)


def open_decisions(root: str, *, opened_by: Callable[[Version], Model]) -> list[tuple[str, dt.date]]:
    """(ticker, session) that the model has to be asked about: after its cutoff, and issued by no night or fold."""
    snapshot = Loader(Store(root), opened_by).refresh()
    if snapshot is None or snapshot.history is None or snapshot.model is None:
        raise SystemExit(f"{root}: no serving_model and windowed_tensors to compute from")
    first = (snapshot.model.card.cutoff - to_date(0)).days + 1
    found = []
    for ticker, (begin, end) in snapshot.history.span.items():
        for day in snapshot.history.date[begin:end].tolist():
            if day >= first:
                try:
                    if isinstance(snapshot.find(ticker, to_date(day)), PendingForecast):
                        found.append((ticker, to_date(day)))
                except HttpError:
                    continue
    if not found:
        raise SystemExit(f"{root}: every decision after the cutoff has been issued; nothing is left to compute")
    return found


def computed(root: str, count: int) -> dict[str, dict[str, Any]]:
    """Decisions that the model of a real store is asked about."""
    pick, decisions = random.Random(0), open_decisions(root, opened_by=open_model)
    chosen = [pick.choice(decisions) for _ in range(count)]
    process, port = start(root, opened_by=open_model)
    try:
        requests = [get(f"/predict?ticker={ticker}&date={date}") for ticker, date in chosen]
        asyncio.run(load(port, requests[:100]))
        return {"predict_computed_p99_ms": latency(*asyncio.run(load(port, requests))) | {"horizons": list(HORIZONS)}}
    finally:
        process.terminate()
        process.join(30)


def main() -> None:
    """Measure; record where nothing was cut short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="a real store with a serving_model: measures computed forecasts alone")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--fuzzed", type=int, default=FUZZED)
    parser.add_argument("--computed", type=int, default=COMPUTED)
    parser.add_argument("--examples", type=int, default=40, help="of schemathesis, per route")
    arguments = parser.parse_args()
    whole = (arguments.requests, arguments.swaps, arguments.fuzzed, arguments.computed) == (
        REQUESTS,
        SWAPS,
        FUZZED,
        COMPUTED,
    )
    if arguments.store:
        figures = computed(arguments.store, arguments.computed)
        command = "python -m benchmarks.serve --store STORE"
    else:
        with tempfile.TemporaryDirectory() as root:
            figures = synthetic(Path(root), arguments)
        command = "python -m benchmarks.serve"
    json.dump(figures, sys.stdout, indent=2)
    print()
    if whole:
        print(record("serve", figures, command=command))


if __name__ == "__main__":
    main()
