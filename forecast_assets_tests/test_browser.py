"""What people click and read, in a real Chromium: the report at two widths, the Dagster UI.

Debian's ``chromium`` is enough; without one the tests are skipped.
"""

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page

from forecast_assets.store.store import Store
from forecast_assets_tests.browser import needs_chromium
from forecast_assets_tests.graph import Graph
from forecast_assets_tests.server import DagsterServer

pytestmark = needs_chromium


@pytest.mark.parametrize("width", [390, 1200])
def test_the_report_reads_without_network_script_or_sideways_scrolling(
    browser: Browser, smoke_graph: Graph, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    report = smoke_graph.root / "reports" / "latest" / "backtest.html"
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h2").first.inner_text() == "Verdict"
    drawn = page.locator("figure svg")
    assert drawn.count() >= 7
    assert all(drawn.nth(k).bounding_box()["height"] > 80 for k in range(drawn.count()))  # type: ignore[index]
    page.close()


def test_the_graph_is_materialised_by_clicking(browser: Browser, tmp_path: Path) -> None:
    """The panel by its button, one year as a backfill, and what they made is in the store."""
    with DagsterServer(tmp_path) as server:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        click_materialise(page, f"{server.url}/locations/forecast_assets/jobs/panel")
        runs = server.wait_for_runs(1, seconds=180)
        assert [(run["jobName"], run["status"]) for run in runs] == [("panel", "SUCCESS")]
        store = Store(tmp_path / "data" / "store")
        assert store.current("windowed_tensors").manifest.facts["windows"] > 1000

        server.backfill(["b0_mlp", "baselines"], ["2018", "2019"])
        runs = server.wait_for_runs(3, seconds=240)
        assert {run["status"] for run in runs} == {"SUCCESS"}
        assert store.partitions("b0_mlp") == store.partitions("baselines") == ["2018", "2019"]
        table = pl.read_parquet(store.current("b0_mlp", "2019").path("table.parquet"))
        assert table.filter(pl.col("split") == "test")["date"].dt.year().unique().to_list() == [2019]

        page.goto(f"{server.url}/assets/raw_panel?view=checks", timeout=60_000)
        page.locator("text=few_invalid_rows").first.wait_for(timeout=60_000)
        assert page.locator("text=Passed").first.is_visible() or page.locator("text=Succeeded").first.is_visible()
        page.close()


def click_materialise(page: Page, job: str) -> None:
    page.goto(job, timeout=60_000)
    button = page.locator("button:has-text('Materialize')").first
    button.wait_for(timeout=60_000)
    button.click()
