"""Soak test of the service: an hour of mixed requests and hot swaps, and the growth of its memory.

    python -m campaigns.soak [--store STORE]             an hour, recorded
    python -m campaigns.soak --seconds 120 --rate 20     a trial run, printed and not recorded

The service runs in a process of its own with its default limits; this process offers ``--rate`` requests a second, open
loop: the latest forecast, forecasts that the model has to compute, /explain, /chart, batches, /metrics, and invalid
requests. Every minute a night is committed, every third minute the model again, every fifth the panel's tensors, and
the service swaps to each. ``--store`` names a real store to copy and serve, champion included; without it the model is a
stub. Growth is the median resident memory of the last three minutes against that of minutes 5 to 7.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.limits import Limits
from forecast_assets.serving.loading import open_model
from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import open_stub, panel, publish_model, publish_night, publish_panel
from forecast_assets_tests.helpers.service_process import (
    TICKERS,
    Client,
    computable_origins,
    fuzzed,
    get,
    post,
    start_service,
)
from tools.results import record

HOUR, RATE, CONNECTIONS = 3600, 40.0, 8
WARM_MINUTES = 5
MODEL_MINUTES, PANEL_MINUTES = 3, 5
BATCH = 20
SERVED = ("windowed_tensors", "calendar_panel", "serving_model")
"""What is copied of a real store; without its nights and folds the model computes most forecasts."""

SHARES = {"latest": 40, "computed": 22, "explain": 8, "chart": 8, "batch": 8, "metrics": 2, "wrong": 12}


class Soak:
    """Sends the mix of requests, commits what the service swaps to, and reads the memory of its process."""

    def __init__(self, store: Store, root: Path, *, real: bool, rate: float) -> None:
        self.store, self.real, self.rate = store, real, rate
        self.opened_by = open_model if real else open_stub
        tensors = PanelTensors.load(store.current("windowed_tensors").path("panel.safetensors"))
        self.tickers, self.day = tensors.tickers, to_date(int(tensors.date.max()))
        self.origins = computable_origins(str(root), opened_by=self.opened_by)
        self.wrong = fuzzed(2000)
        self.pick = random.Random(0)
        self.night = 0
        self.swaps = Counter[str]()
        self.asked = Counter[str]()
        self.failed = Counter[str]()
        self.took: list[float] = []
        self.memory: list[tuple[float, float]] = []  # (seconds since the start_service, MiB)

    def request(self, kind: str) -> bytes:
        """Make a request of a kind."""
        ticker, (asked, date) = self.pick.choice(self.tickers), self.pick.choice(self.origins)
        match kind:
            case "latest":
                return get(f"/predict?ticker={ticker}")
            case "computed":
                return get(f"/predict?ticker={asked}&date={date}")
            case "explain":
                return get(f"/explain?ticker={asked}&date={date}")
            case "chart":
                return get(f"/chart?ticker={ticker}")
            case "batch":
                some = [self.pick.choice(self.origins) for _ in range(BATCH)]
                items = [{"ticker": name, "date": str(day)} for name, day in some]
                return post(json.dumps({"requests": items}).encode())
            case "metrics":
                return get("/metrics")
        return self.pick.choice(self.wrong)

    def is_right(self, kind: str, status: int, body: bytes) -> bool:
        """Return whether an answer is right: model and mean are of one night, and only invalid requests are rejected."""
        if kind == "wrong":
            return 200 <= status < 500 and status != 429
        if kind == "latest":
            answer = json.loads(body)
            night = answer["model_version"].removeprefix("m")
            return status == 200 and f"{round(100_000 * answer['horizons'][0]['mean'])}" == night
        if kind == "batch":
            answers = json.loads(body)["answers"]
            return status == 200 and len(answers) == BATCH and all(item["answer"] is not None for item in answers)
        return status == 200 or (kind == "explain" and status == 404 and b"no_explanation" in body)

    async def offer(self, port: int, connection: int, seconds: float) -> None:
        """Send every ``CONNECTIONS``-th request of the schedule, each at its time or, when late, at once."""
        client = Client(port)
        kinds, weights = list(SHARES), list(SHARES.values())
        begin, place = time.monotonic(), connection
        while (due := place / self.rate) < seconds:
            await asyncio.sleep(max(0.0, begin + due - time.monotonic()))
            kind = self.pick.choices(kinds, weights)[0]
            self.asked[kind] += 1
            try:
                status, body = await client.send(self.request(kind))
            except (OSError, asyncio.IncompleteReadError):
                client.close()
                self.failed[f"{kind} dropped"] += 1
            else:
                if not self.is_right(kind, status, body):
                    self.failed[f"{kind} {status}"] += 1
            self.took.append(1000 * (time.monotonic() - begin - due))
            place += CONNECTIONS
        client.close()

    def commit(self, minute: int) -> None:
        """Commit what the service is to swap to."""
        self.night += 1
        publish_night(self.store, self.tickers, self.day, mean=self.night / 100_000, model=f"m{self.night}")
        self.swaps["night"] += 1
        for asset, every in (("serving_model", MODEL_MINUTES), ("windowed_tensors", PANEL_MINUTES)):
            if minute % every == 0:
                commit_again(self.store, asset)
                self.swaps[asset] += 1

    async def watch(self, process: int, seconds: float) -> None:
        """Commit every minute; read the memory every five seconds."""
        begin, minute = time.monotonic(), 0
        while (now := time.monotonic() - begin) < seconds:
            self.memory.append((now, resident_mib(process)))
            if now // 60 > minute:
                minute = int(now // 60)
                await asyncio.to_thread(self.commit, minute)
            await asyncio.sleep(5)

    async def run(self, process: int, port: int, seconds: float) -> None:
        """Send requests, commit and watch for ``seconds``."""
        offers = [self.offer(port, connection, seconds) for connection in range(CONNECTIONS)]
        await asyncio.gather(self.watch(process, seconds), *offers)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the growth with what was done meanwhile."""
        minutes = [[mib for at, mib in self.memory if at // 60 == k] for k in range(int(self.memory[-1][0] // 60) + 1)]
        series = [round(statistics.median(minute), 1) for minute in minutes if minute]
        warm = statistics.median(series[WARM_MINUTES - 1 : WARM_MINUTES + 2] or series)  # a trial is shorter
        last = statistics.median(series[-3:])
        growth = {
            "value": round(last / warm - 1, 4),
            "warm_mib": warm,
            "last_mib": last,
            "most_mib": round(max(mib for _, mib in self.memory), 1),
            "mib_by_minute": series,
            "model": "the store's champion" if self.real else "a stub",
            "tickers": len(self.tickers),
            "rate_per_second": self.rate,
            "requests": dict(self.asked),
            "swaps": dict(self.swaps),
            "wrong_or_failed": dict(self.failed),
            "p50_ms": round(float(np.percentile(self.took, 50)), 2),
            "p99_ms": round(float(np.percentile(self.took, 99)), 2),
        }
        return {"soak_memory_growth": growth}


def commit_again(store: Store, asset: str) -> None:
    """Commit the current version of ``asset`` once more, as another version."""
    version = store.current(asset)
    staging = store.stage(asset, input_key=sha256_text(f"{asset} {time.time_ns()}"))
    for name in version.manifest.files:
        shutil.copy(version.path(name), staging.path / name)
    store.commit(staging, {"parents": version.manifest.parents, "config": {}, "code_version": "soak"})


def resident_mib(process: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    """Soak; record a whole hour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="a real store with a serving_model, copied before it is served")
    parser.add_argument("--seconds", type=float, default=HOUR)
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        if arguments.store:
            for asset in SERVED:
                shutil.copytree(Path(arguments.store) / asset, root / asset)
        store = Store(root)
        if not arguments.store:
            tensors = panel(TICKERS)
            publish_panel(store, tensors)
            publish_model(store, tensors)
        soak = Soak(store, root, real=bool(arguments.store), rate=arguments.rate)
        soak.commit(minute=1)
        process, port = start_service(str(root), opened_by=soak.opened_by, limits=Limits())
        try:
            asyncio.run(soak.run(process.pid, port, arguments.seconds))
        finally:
            process.terminate()
            process.join(30)
    figures = soak.figures()
    json.dump(figures, sys.stdout, indent=2)
    print()
    if arguments.seconds >= HOUR:
        command = "python -m campaigns.soak" + " --store STORE" * bool(arguments.store)
        print(record("soak", figures, command=command))


if __name__ == "__main__":
    main()
