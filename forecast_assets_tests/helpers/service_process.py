"""The prediction service in a process of its own, a client for it, and requests to send: for load tests."""

import asyncio
import datetime as dt
import multiprocessing
import random
import socket
import time
from collections.abc import Callable
from typing import Any

from forecast_assets.core.windows.days import to_date
from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.server import serve
from forecast_assets.serving.snapshot import Model, PendingForecast
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.service import DAYS, open_stub

TICKERS = 557
"""Tickers of the reference panel."""

UNBOUNDED = Limits(rate_per_second=1e9, burst=1e9)


class Client:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send one request; return (status, body). Raises where the connection is dropped."""
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
    """Return the bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(body: bytes) -> bytes:
    """Return the bytes of POST /predict."""
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run_service(root: str, port: int, opened_by: Callable[[Version], Model], limits: Limits) -> None:
    """Serve until stopped; the main function of the service's process."""
    loader = Loader(Store(root), opened_by)
    serve(loader, host="127.0.0.1", port=port, token=None, limits=limits, deadline_hours=None, poll_seconds=0.05)


def start_service(
    root: str, *, opened_by: Callable[[Version], Model] = open_stub, limits: Limits = UNBOUNDED
) -> tuple[Any, int]:
    """Start the service in a process of its own; return process and port once it is ready."""
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


def computable_origins(root: str, *, opened_by: Callable[[Version], Model]) -> list[tuple[str, dt.date]]:
    """Return (ticker, session) of the forecasts that the model has to compute: after its cutoff, and not issued yet."""
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
        raise SystemExit(f"{root}: every forecast after the cutoff has been issued; nothing is left to compute")
    return found


def fuzzed(count: int, *, seed: int = 0) -> list[bytes]:
    """Return invalid requests, many of them nearly valid."""
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
