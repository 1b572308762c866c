"""The two pages in a real Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.browser import needs_chromium
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import DAYS, small_store

pytestmark = needs_chromium


def opened(browser: Browser, width: int) -> tuple[Page, list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 850})
    console: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    return page, console, requested


@pytest.mark.parametrize("width", [390, 1200])
def test_the_fan_chart_shows_the_chosen_ticker_without_foreign_requests(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    with LiveService(small_store(Store(tmp_path))) as service:
        page, console, requested = opened(browser, width)
        page.goto(service.url)
        page.locator("svg").wait_for()
        assert page.locator("h1").inner_text() == f"T00, as of the close of {DAYS[-1]}"
        page.fill("#ticker", "T02")
        page.click("button")
        page.locator("h1:has-text('T02')").wait_for()
        assert page.locator("polygon.band").count() == 3
        assert page.locator("circle.dot").count() == 3
        assert page.locator("tbody tr").first.inner_text().replace("\u00a0", " ").split("\t") == [
            "1",
            "\u22122.9 % to +5.0 %",
            "+1.0 %",
            "69 %",
        ]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator("svg").bounding_box()
        assert box is not None
        assert box["height"] > 200
        page.fill("#ticker", "T0X")
        page.click("button")
        page.locator("#message:has-text('no such ticker')").wait_for()
        page.goto(f"{service.url}/docs")
        assert page.locator("h2").first.inner_text() == "GET /predict"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert all(url.startswith(service.url) for url in requested)
        assert [line for line in console if "404" not in line] == []
        page.close()


def test_the_page_prompts_for_the_token(browser: Browser, tmp_path: Path) -> None:
    with LiveService(small_store(Store(tmp_path)), token="a-token-of-some-length") as service:
        page, _, _ = opened(browser, 390)
        page.goto(service.url)
        page.locator("#token").wait_for()
        page.fill("#ticker", "T03")
        page.fill("#token", "a-token-of-some-length")
        page.click("button")
        page.locator("h1:has-text('T03')").wait_for()
        page.close()
