"""What a user waits for and reads: seconds of the reading commands and of the service's page, words of the README, dead
links, the report's size, and what an accessibility checker (axe-core) finds on the report and on the service's pages.

    python -m benchmarks.desk --data-dir data/demo --profile demo    a finished run; each command five times, the median
    python -m benchmarks.desk ... --only status_seconds              one figure, merged into the file

Seconds are from the start of a process to its end, imports included. ``unchanged_run_seconds`` runs the whole graph of that
data root again, which has to find everything as it was. ``desk_seconds`` is from an empty tab to all of ``TICKERS`` rows and
the first fan, on a store of that many tickers.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from forecast_assets.serving.loading import Loader, open_model
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.browser import CHROMIUM, FLAGS
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import wide_store
from forecast_assets_tests.helpers.service_process import TICKERS
from tools.pages import DOCS, dead_links
from tools.results import ROOT, record

TIMES = 5
TICKER = "SYN00"
PLOT = """
from forecast_assets import Forecaster
Forecaster.load({root!r}).plot({ticker!r})._repr_png_()
"""


def seconds(*command: str, times: int = TIMES) -> dict[str, Any]:
    """Return the median duration of a command, which has to succeed, and all of them."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took.append(time.perf_counter() - started)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return {"value": round(median(took), 2), "unit": "s", "each": [round(one, 2) for one in took]}


def last_day(options: argparse.Namespace) -> str:
    """Return the last session on which the ticker was forecast."""
    done = subprocess.run([*program(options), "forecast", TICKER, "--json"], capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)[0]["date"])


def program(options: argparse.Namespace) -> list[str]:
    """Return the command line on the data root that is measured."""
    return [sys.executable, "-m", "forecast_assets.cli", "--data-dir", options.data_dir, "--profile", options.profile]


def meanings(_options: argparse.Namespace) -> dict[str, Any]:
    """Count settings that ``knobs`` shows without a meaning."""
    done = subprocess.run(
        [sys.executable, "-m", "forecast_assets.cli", "--profile", "full", "knobs"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    without = [line for line in lines if not re.search(r"   # \S", line)]
    return {"value": len(without), "which": without, "settings": len(lines)}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def violations(options: argparse.Namespace) -> dict[str, Any]:
    """Count what axe-core finds on the report and the service's pages, all of it opened, on a phone and a desktop, in light
    and dark.
    """
    from axe_playwright_python.sync_playwright import Axe

    report = Path(options.data_dir, "reports", "latest", "backtest.html").resolve()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    found: dict[str, list[str]] = {}
    with chromium() as browser, LiveService(Loader(Store(f"{options.data_dir}/store"), open_model)) as service:
        pages = {"report": report.as_uri(), "desk": service.url, "endpoints": f"{service.url}/docs"}
        for (name, address), width, scheme in itertools.product(pages.items(), (390, 1280), schemes):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.goto(address)
            if name == "desk":
                until_drawn(page)
            page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
            page.wait_for_load_state("networkidle")
            broken = Axe().run(page).response["violations"]
            found[f"{name}, {width} px, {scheme}"] = [
                f"{rule['id']}: {node['html']}" for rule in broken for node in rule["nodes"]
            ]
            page.close()
    which = [f"{page}: {one}" for page, broken in found.items() for one in broken]
    return {"value": len(which), "pages": list(found), "which": which}


def until_drawn(page: Page) -> None:
    """Wait until the desk shows its table and a ticker's fan."""
    page.locator("#table tbody tr").first.wait_for()
    page.locator("#chart svg").wait_for()


def desk_seconds(_options: argparse.Namespace) -> dict[str, Any]:
    """Return the median time that the service's page of ``TICKERS`` tickers takes to be drawn."""
    took = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        loader = wide_store(Store(folder), tickers=TICKERS)
        with LiveService(loader) as service:
            listed = len(service.client.get("/forecasts").content)
            for _ in range(TIMES):
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                started = time.perf_counter()
                page.goto(service.url)
                until_drawn(page)
                took.append(time.perf_counter() - started)
                assert page.locator("#table tbody tr").count() == TICKERS
                page.close()
    each = [round(one, 2) for one in took]
    return {"value": round(median(took), 2), "unit": "s", "each": each, "tickers": TICKERS, "json_bytes": listed}


FIGURES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "readme_words": lambda _: {"value": len((ROOT / "README.md").read_text(encoding="utf-8").split())},
    "dead_links": lambda _: {"value": len(dead := dead_links()), "which": dead, "pages": len(list(DOCS.glob("*.md")))},
    "settings_without_meaning": meanings,
    "report_mb": lambda o: {
        "value": round(Path(o.data_dir, "reports", "latest", "backtest.html").stat().st_size / 1e6, 3),
        "profile": o.profile,
    },
    "accessibility_violations": violations,
    "desk_seconds": desk_seconds,
    "status_seconds": lambda o: seconds(*program(o), "status"),
    "forecast_seconds": lambda o: seconds(*program(o), "forecast", TICKER),
    "changed_seconds": lambda o: seconds(*program(o), "changed", TICKER, last_day(o)),
    "explain_seconds": lambda o: seconds(*program(o), "explain", TICKER, last_day(o)),
    "notebook_forecast_seconds": lambda o: seconds(sys.executable, "-c", PLOT.format(root=o.data_dir, ticker=TICKER)),
    "unchanged_run_seconds": lambda o: seconds(*program(o), "run", times=3),
}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--profile", default="demo")
    usual = [name for name in FIGURES if name != "changed_seconds"]  # which needs two nights: a panel that goes on
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=usual)
    parser.add_argument("--trial", action="store_true", help="print, and record nothing")
    options = parser.parse_args()
    os.environ.setdefault("WANDB_MODE", "disabled")
    figures = {}
    for name in options.only:
        figures[name] = FIGURES[name](options)
        print(name, json.dumps(figures[name]), flush=True)
    if not options.trial:
        record("desk", figures, command=" ".join(["python -m benchmarks.desk", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
