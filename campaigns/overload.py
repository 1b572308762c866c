"""Overload of the service: four times as many requests as it can answer, and how it rejects the rest.

    python -m campaigns.overload                        both parts, recorded
    python -m campaigns.overload --seconds 5            a trial run, printed and not recorded

``rate``: the latest forecasts, with the limit of one client address set to ``RATE`` a second; more get 429. ``model``:
forecasts that the model has to compute; what does not fit into its queue gets 503. Service and client share the machine's
cores, so the client cannot offer four times what the cores can serve. The capacity is therefore bounded, in ``rate`` by the
limit and in ``model`` by a stub that takes ``BATCH_SECONDS`` for at most ``BATCH`` forecasts, and measured, closed loop,
before the load. Four times as much is then offered open loop from a second process: each request is sent at its time on a
free or new connection, whatever became of those before. A rejection's latency is from its bytes being written to its last
byte read; the delay of the client's own writes is reported beside it. Every accepted answer is compared with the one given
before the load. Where other work takes the cores, ``chrt --rr 1`` before the command keeps it out of the figure; the
scheduling is recorded.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.limits import Limits
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.service import (
    DAYS,
    Forecast,
    StubModel,
    open_stub,
    panel,
    publish_model,
    publish_night,
    publish_panel,
)
from forecast_assets_tests.helpers.service_process import TICKERS, Client, computable_origins, get, start_service
from tools.results import record

SECONDS, FACTOR = 30.0, 4
RATE, BATCH, WAITING, BATCH_SECONDS = 150, 4, 32, 0.03
CLOSED_CLIENTS, CLOSED_SECONDS = 16, 5.0
PATHS = 500
QUIET_PROBES, PROBE_SECONDS, RECOVERY_SECONDS = 20, 0.05, 15.0
PARTS = {
    "rate": Limits(rate_per_second=RATE, burst=RATE),
    "model": Limits(rate_per_second=1e9, burst=1e9, batch=BATCH, waiting=WAITING),
}


@dataclass(frozen=True)
class SlowModel(StubModel):
    """A stub whose batches take ``BATCH_SECONDS`` without using a core."""

    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState) -> Forecast:
        time.sleep(BATCH_SECONDS)
        return super().forecast(panel, rows, state=state)


def open_slow_stub(version: Version) -> SlowModel:
    """Open what ``publish_model`` wrote."""
    return SlowModel(**vars(open_stub(version)))


class Sent(NamedTuple):
    """The outcome of one request."""

    status: int  # 0 for a dropped connection
    milliseconds: float
    late_milliseconds: float  # from its time on the schedule to its bytes being written
    right: bool


@dataclass
class Load:
    """Sends requests to one port and compares each answer with the first one of its path."""

    port: int
    expected: dict[str, bytes] = field(default_factory=dict)
    free: list[Client] = field(default_factory=list)
    opened: int = 0

    async def one(self, path: str, *, due: float) -> Sent:
        """Send a request now, on a free or a new connection."""
        if not self.free:
            self.opened += 1
            self.free.append(Client(self.port))
        client = self.free.pop()
        begin = time.perf_counter()
        try:
            status, body = await client.send(get(path))
        except (OSError, asyncio.IncompleteReadError):
            client.close()
            status, body = 0, b""
        took = time.perf_counter() - begin
        self.free.append(client)
        return Sent(status, 1000 * took, 1000 * (begin - due), status != 200 or self._is_right(path, body))

    def _is_right(self, path: str, body: bytes) -> bool:
        """Whether the answer equals the first one of the path."""
        return body == self.expected.setdefault(path, body)

    async def closed(self, paths: list[str], *, seconds: float) -> list[Sent]:
        """Send from ``CLOSED_CLIENTS`` clients, each its next request when the last one is answered."""
        made, end = list[Sent](), time.perf_counter() + seconds

        async def client(pick: random.Random) -> None:
            while (now := time.perf_counter()) < end:
                made.append(await self.one(pick.choice(paths), due=now))

        await asyncio.gather(*(client(random.Random(k)) for k in range(CLOSED_CLIENTS)))
        return made

    async def open(self, paths: list[str], *, rate: float, seconds: float) -> list[Sent]:
        """Send ``rate`` requests a second, whatever becomes of them."""
        begin, sending = time.perf_counter(), []
        for place in range(round(rate * seconds)):
            due = begin + place / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            sending.append(asyncio.create_task(self.one(paths[place % len(paths)], due=due)))
        return await asyncio.gather(*sending)

    async def recovery(self, paths: list[str], *, normal_ms: float) -> float:
        """Return the seconds from now to the first of ``QUIET_PROBES`` probes in a row answered as fast as before."""
        begin, quiet_since, quiet = time.perf_counter(), 0.0, 0
        for place in range(10_000):
            now = time.perf_counter() - begin
            probe = await self.one(paths[place % len(paths)], due=begin + now)
            if probe.status == 200 and probe.milliseconds <= normal_ms:
                quiet_since, quiet = (now if quiet == 0 else quiet_since), quiet + 1
            else:
                quiet = 0
            if quiet == QUIET_PROBES:
                return quiet_since
            if now > RECOVERY_SECONDS:
                return now
            await asyncio.sleep(PROBE_SECONDS)
        raise AssertionError("more probes than time")


async def overload(part: str, port: int, paths: list[str], *, seconds: float) -> dict[str, Any]:
    """Measure the capacity, offer ``FACTOR`` times as much, and time the recovery."""
    load, limits = Load(port), PARTS[part]
    for path in paths:  # the expected answers, requested slower than any limit
        sent = await load.one(path, due=time.perf_counter())
        if sent.status != 200:
            raise SystemExit(f"{path} was answered {sent.status} before any load")
        await asyncio.sleep(2 / limits.rate_per_second)
    closed = await load.closed(paths, seconds=CLOSED_SECONDS)
    answered = sum(one.status == 200 for one in closed)
    capacity = float(RATE) if part == "rate" else answered / CLOSED_SECONDS
    await asyncio.sleep(limits.burst / limits.rate_per_second + 0.5)  # until the rate limit's bucket is full
    normal = [(await load.one(path, due=time.perf_counter())).milliseconds for path in paths[:100]]
    await asyncio.sleep(1)
    begin = time.perf_counter()
    made = await load.open(paths, rate=FACTOR * capacity, seconds=seconds)
    took = time.perf_counter() - begin
    recovered = await load.recovery(paths, normal_ms=2 * float(np.percentile(normal, 99)))
    return facts(made) | {
        "limits": limits.model_dump(include={"rate_per_second", "burst", "in_flight", "batch", "waiting"}),
        "capacity_per_second": round(capacity),
        "closed_loop_per_second": round(answered / CLOSED_SECONDS),
        "offered_per_second": round(len(made) / took),
        "seconds": round(took, 1),
        "connections": load.opened,
        "normal_p99_ms": round(float(np.percentile(normal, 99)), 2),
        "recovered_after_seconds": round(recovered, 2),
    }


def facts(made: list[Sent]) -> dict[str, Any]:
    """Return counts of statuses, and latencies of rejections and of answers."""

    def percentiles(values: list[float]) -> dict[str, float]:
        ranks = {"p50": 50, "p99": 99, "max": 100}
        return {name: round(float(np.percentile(values, rank)), 2) for name, rank in ranks.items()} if values else {}

    return {
        "statuses": {str(status): count for status, count in sorted(Counter(one.status for one in made).items())},
        "rejections_ms": percentiles([one.milliseconds for one in made if one.status in (429, 503)]),
        "answers_ms": percentiles([one.milliseconds for one in made if one.status == 200]),
        "client_late_ms": percentiles([one.late_milliseconds for one in made]),
        "wrong_answers": sum(not one.right for one in made),
    }


def main() -> None:
    """Overload; record unless the duration was reduced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store, tensors = Store(root), panel(TICKERS)
        publish_panel(store, tensors)
        publish_model(store, tensors)
        origins = computable_origins(folder, opened_by=open_stub)
        publish_night(store, tensors.tickers, DAYS[-1], mean=0.001)
        computed = [f"/predict?ticker={ticker}&date={date}" for ticker, date in origins if date < DAYS[-1]]
        random.Random(0).shuffle(computed)
        paths = {
            "rate": [f"/predict?ticker={ticker}" for ticker in tensors.tickers][:PATHS],
            "model": computed[:PATHS],
        }
        for part, limits in PARTS.items():
            process, port = start_service(folder, opened_by=open_slow_stub, limits=limits)
            try:
                found[part] = asyncio.run(overload(part, port, paths[part], seconds=arguments.seconds))
            finally:
                process.terminate()
                process.join(30)
    worst = max(part["rejections_ms"].get("p99", float("inf")) for part in found.values())
    scheduling = {"real_time": os.sched_getscheduler(0) == os.SCHED_RR, "load_average": round(os.getloadavg()[0], 1)}
    figures = {"overload_rejection_p99_ms": {"value": worst, "factor": FACTOR, **found, **scheduling}}
    json.dump(figures, sys.stdout, indent=2)
    print()
    if arguments.seconds >= SECONDS:
        print(record("overload", figures, command="python -m campaigns.overload"))


if __name__ == "__main__":
    main()
