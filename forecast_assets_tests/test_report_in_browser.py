"""The report in a real Chromium, at two widths; skipped without one."""

import pytest
from playwright.sync_api import Browser

from forecast_assets_tests.helpers.browser import needs_chromium
from forecast_assets_tests.helpers.graph import Graph

pytestmark = needs_chromium


@pytest.mark.parametrize("width", [390, 1200])
def test_the_report_reads_without_network_script_or_sideways_scrolling(
    browser: Browser, smoke_graph: Graph, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    report = smoke_graph.root / "reports" / "latest" / "backtest.html"
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h2").first.inner_text() == "Verdict"
    drawn = page.locator("figure svg")
    assert drawn.count() >= 7
    assert all(drawn.nth(k).bounding_box()["height"] > 80 for k in range(drawn.count()))  # type: ignore[index]
    page.close()
