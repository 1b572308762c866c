"""One client's idle connections and pipelines: whether another client's health checks notice, and what memory stays.

    python -m campaigns.connections                     recorded
    python -m campaigns.connections --seconds 3         a trial run, printed and not recorded

The service runs in a process of its own. ``liveness_p99_ms``: 127.0.0.1 holds ``IDLE`` connections that it says nothing
on, while 127.0.0.2 asks for ``/health/live`` on a new connection each time, and then for a forecast.
``flood_memory_growth``: 127.0.0.1 pipelines ``FLOOD_BYTES`` of requests on each of ``FLOODS`` connections, and reads the
answers of all but one; the service's resident memory a minute after the end is compared with that before, once it had
answered as many requests in the usual way. Where other work takes the cores, ``chrt --rr 1`` before the command keeps it out
of the figure; the scheduling is recorded.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import small_store
from forecast_assets_tests.helpers.service_process import Client, get, start_service
from tools.results import record

IDLE, FLOODS, FLOOD_BYTES = 1100, 4, 5_000_000
SECONDS, QUIET_SECONDS, PROBE_SECONDS = 30.0, 60.0, 0.02
ELSEWHERE = ("127.0.0.2", 0)
LIVE, FORECAST = get("/health/live"), get("/predict?ticker=T00")


async def ask(port: int, request: bytes) -> tuple[int, float]:
    """Send one request from another address on a new connection; return status (0: dropped) and milliseconds."""
    begin = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=ELSEWHERE)
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.close()
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return 0, 1000 * (time.perf_counter() - begin)
    return int(head[9:12]), 1000 * (time.perf_counter() - begin)


async def probes(port: int, *, until: asyncio.Event) -> dict[str, Any]:
    """Ask until the event; return statuses and latencies of health checks, statuses of forecasts."""
    live, forecasts = [], []
    while not until.is_set():
        live.append(await ask(port, LIVE))
        forecasts.append(await ask(port, FORECAST))
        await asyncio.sleep(PROBE_SECONDS)
    times = [milliseconds for _, milliseconds in live]
    return {
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p99_ms": round(float(np.percentile(times, 99)), 2),
        "max_ms": round(max(times), 2),
        "health_checks": {str(status): n for status, n in Counter(status for status, _ in live).items()},
        "forecasts": {str(status): n for status, n in Counter(status for status, _ in forecasts).items()},
    }


async def idle(port: int, *, seconds: float) -> dict[str, Any]:
    """Hold idle connections, opened again where they were closed, and probe meanwhile."""
    over = asyncio.Event()
    probing = asyncio.create_task(probes(port, until=over))
    held: list[asyncio.StreamWriter] = []
    opened, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        held = [writer for writer in held if not writer.transport.is_closing()]
        while len(held) < IDLE and time.monotonic() < end:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            held.append(writer)
            opened += 1
            if opened % 50 == 0:
                await asyncio.sleep(0.01)
        if opened >= IDLE:
            await asyncio.sleep(0.2)
            if opened >= 2 * IDLE:  # no more than that: it shall be idle connections, not a storm of new ones
                await asyncio.sleep(max(0.0, end - time.monotonic()))
    over.set()
    found = await probing
    for writer in held:
        writer.close()
    return found | {"opened": opened}


async def pipeline(port: int, *, requests: int, reads: bool) -> int:
    """Send a pipeline; return the answers that were read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    answers = 0

    async def read() -> None:
        nonlocal answers
        while answers < requests:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
            answers += 1

    async def write() -> None:
        for _ in range(0, requests, 100):
            writer.write(FORECAST * 100)
            await writer.drain()

    writing = asyncio.create_task(write())
    if reads:
        await asyncio.gather(read(), writing)
    else:
        await asyncio.wait([writing], timeout=10)
        writing.cancel()
    writer.transport.abort()
    return answers


async def flood(port: int, pid: int, *, quiet: float) -> dict[str, Any]:
    """Answer as many requests in the usual way, note the memory, flood, wait, note it again."""
    requests = FLOOD_BYTES // len(FORECAST) // 100 * 100
    usual = Client(port)
    for _ in range(requests):
        await usual.send(FORECAST)
    usual.close()
    await asyncio.sleep(2)
    before, over, begin = memory(pid), asyncio.Event(), time.perf_counter()
    probing = asyncio.create_task(probes(port, until=over))
    sent = [pipeline(port, requests=requests, reads=number > 0) for number in range(FLOODS)]
    answered = await asyncio.gather(*sent)
    took, during = time.perf_counter() - begin, memory(pid)
    over.set()
    found = await probing
    await asyncio.sleep(quiet)
    after = memory(pid)
    return {
        "value": round(after / before - 1, 4),
        "megabytes": {name: round(size / 1e6, 1) for name, size in (("before", before), ("at the end", during))}
        | {"a minute after": round(after / 1e6, 1)},
        "requests_per_connection": requests,
        "answers_read": answered,
        "seconds": round(took, 1),
        "meanwhile": found,
    }


def memory(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure both; record unless the duration was reduced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small_store(Store(folder))
        process, port = start_service(folder)
        try:
            held = asyncio.run(idle(port, seconds=options.seconds))
            quiet = QUIET_SECONDS if options.seconds >= SECONDS else 1.0
            flooded = asyncio.run(flood(port, process.pid, quiet=quiet))
        finally:
            process.terminate()
            process.join(30)
    turned_away = sum(held[part].get("503", 0) + held[part].get("0", 0) for part in ("health_checks", "forecasts"))
    load = {"real_time": os.sched_getscheduler(0) == os.SCHED_RR, "load_average": round(os.getloadavg()[0], 1)}
    figures = {
        "liveness_p99_ms": {
            "value": held["p99_ms"],
            "idle_connections": IDLE,
            "turned_away": turned_away,
            **held,
            **load,
        },
        "flood_memory_growth": flooded | load,
    }
    json.dump(figures, sys.stdout, indent=2)
    print()
    if options.seconds >= SECONDS:
        print(record("connections", figures, command="python -m campaigns.connections"))


if __name__ == "__main__":
    main()
