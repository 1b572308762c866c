"""Take the screenshots of README and docs: report and service on the demo panel, the real server on the smoke panel.

    python -m tools.screenshots          six minutes

Pictures go to ``docs/images`` as PNGs of 128 colours; one that is larger than ``MOST_BYTES`` is an error. Needs a Chromium.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from forecast_assets.serving.loading import Loader, open_model
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.browser import CHROMIUM, FLAGS
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.server import DagsterServer
from tools.results import ROOT

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 150_000
COLOURS = 128
TIMEOUT_MS = 60_000
SETTLE_MS = 3_000  # for the UI's animations


def main() -> None:
    """Make the stores and take six pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        smoke, demo = Path(folder, "smoke"), Path(folder, "demo")
        for root in (smoke, demo):
            materialise(root, profile=root.name)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with DagsterServer(smoke) as server:
            picture_lineage(browser, server.url)
            picture_plot(browser, server.url)
            picture_backfill(browser, server.url)
        picture_report(browser, demo / "data" / "reports" / "latest" / "backtest.html")
        store = Store(demo / "data" / "store")
        save(Image.open(store.current("announcements").path("plot-variance_ahead.png")), "announcement")
        with LiveService(Loader(store, open_model)) as service:
            picture_service(browser, service.url)
        browser.close()


def materialise(root: Path, *, profile: str) -> None:
    """Run ``forecast-assets run`` on a synthetic profile, in the data root and the Dagster home of a server on ``root``."""
    home = root / "dagster_home"
    home.mkdir(parents=True)
    shutil.copyfile(ROOT / "dagster_home" / "dagster.yaml", home / "dagster.yaml")
    variables = {
        "DAGSTER_HOME": str(home),
        "FORECAST_DATA_DIR": str(root / "data"),
        "WANDB_MODE": "disabled",
    }
    command = [sys.executable, "-m", "forecast_assets.cli", "run", "--profile", profile]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)


def picture_lineage(browser: Browser, url: str) -> None:
    """Take the lineage of the night, all of it materialised."""
    with opened(browser, f"{url}/locations/forecast_assets/asset-groups/night", width=1600, height=850) as page:
        page.get_by_text("target_positions", exact=True).first.wait_for()
        save(shot(page), "lineage")


def picture_plot(browser: Browser, url: str) -> None:
    """Take the report's page with one of its plots."""
    with opened(browser, f"{url}/assets/backtest_report") as page:
        row = page.locator("tr", has_text="plot-coverage")
        row.get_by_text("Show Markdown").click()
        page.locator("img[src^='data:image/png']").wait_for()
        save(shot(page), "plot")


def picture_backfill(browser: Browser, url: str) -> None:
    """Take the dialog that backfills years, without launching it."""
    with opened(browser, f"{url}/assets/ensemble?view=partitions") as page:
        page.get_by_text("2018", exact=True).first.wait_for()
        page.locator("button:has-text('Materialize')").first.click()
        page.locator("button:has-text('Confirm')").click()  # models that were skipped are not materialised
        page.get_by_text("Partition selection").wait_for()
        page.locator("button").get_by_text("All", exact=True).click()
        page.get_by_text("2 partitions", exact=True).wait_for()
        save(shot(page), "backfill")


def picture_report(browser: Browser, report: Path) -> None:
    """Take the beginning of the report."""
    with opened(browser, report.as_uri(), width=1000, height=1000) as page:
        save(shot(page), "report")


def picture_service(browser: Browser, url: str) -> None:
    """Take the desk with a past fan of a ticker and what happened."""
    with opened(browser, f"{url}/?ticker=SYN20.T&date=2021-11-18", width=1280, height=900) as page:
        page.locator("polyline.after").wait_for()
        save(shot(page), "fan")


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 1300, height: int = 800) -> Iterator[Page]:
    """Open a page, and close it afterwards."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(url)
    yield page
    page.close()


def shot(page: Page) -> Image.Image:
    """Return what the page shows."""
    page.wait_for_timeout(SETTLE_MS)
    return Image.open(io.BytesIO(page.screenshot()))


def save(picture: Image.Image, name: str) -> None:
    """Save a picture with few colours."""
    path = IMAGES / f"{name}.png"
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"{path.name} has {size:,} bytes; at most {MOST_BYTES:,}. Make its window smaller.")


if __name__ == "__main__":
    main()
