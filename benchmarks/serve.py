"""Latency of the prediction service under load, hot swaps and fuzzed requests, from a second process on loopback.

    python -m benchmarks.serve                       everything below, recorded
    python -m benchmarks.serve --requests 2000 ...   a trial run, printed and not recorded

A store of 557 tickers with a committed night is served by ``forecast_assets.serving`` in a process of its own, without a
rate limit. 16 clients hold one connection each and send the next request when the last is answered: latencies are
closed-loop, from the first byte sent to the last byte read. ``--store`` names a real store instead, whose ``serving_model``
then computes forecasts (``predict_computed_p99_ms``): those after its cutoff that no night or fold has issued, so a store
that holds serving_model and windowed_tensors alone has the most of them.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.serving.loading import open_model
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import DAYS, panel, publish_model, publish_night, publish_panel
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

CLIENTS = 16
REQUESTS, COMPUTED, SWAPS, FUZZED = 100_000, 2_000, 100, 10_000


async def load(port: int, requests: list[bytes]) -> tuple[list[float], list[int], float]:
    """Send ``requests`` from ``CLIENTS`` clients; return (milliseconds, statuses, total seconds). Status 0: dropped."""
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
    """Commit ``swaps`` nights while all clients send batches; night k has model "m<k>" and mean k / 100,000."""
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


def schema_fuzzed(port: int, examples: int) -> tuple[int, int]:
    """Return (requests, 5xx answers) of schemathesis on the OpenAPI document."""
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


def latency(took: list[float], statuses: list[int], seconds: float) -> dict[str, Any]:
    """Return the 99th percentile of the latency with its details."""
    p50, p99 = np.percentile(took, [50, 99])
    facts = {"requests": len(took), "clients": CLIENTS, "errors": sum(status != 200 for status in statuses)}
    return {
        "value": round(float(p99), 2),
        "p50_ms": round(float(p50), 2),
        "per_second": round(len(took) / seconds),
        **facts,
    }


def synthetic(root: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure the figures that need no trained model."""
    store, tensors = Store(root), panel(TICKERS)
    publish_panel(store, tensors)
    publish_model(store, tensors)
    publish_night(store, tensors.tickers, DAYS[-1], mean=0.0, model="m0")
    process, port = start_service(str(root))
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


def computed(root: str, count: int) -> dict[str, dict[str, Any]]:
    """Measure forecasts that the model of a real store has to compute."""
    pick, origins = random.Random(0), computable_origins(root, opened_by=open_model)
    chosen = [pick.choice(origins) for _ in range(count)]
    process, port = start_service(root, opened_by=open_model)
    try:
        requests = [get(f"/predict?ticker={ticker}&date={date}") for ticker, date in chosen]
        asyncio.run(load(port, requests[:100]))
        return {"predict_computed_p99_ms": latency(*asyncio.run(load(port, requests))) | {"horizons": list(HORIZONS)}}
    finally:
        process.terminate()
        process.join(30)


def main() -> None:
    """Measure; record unless the counts were reduced."""
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
