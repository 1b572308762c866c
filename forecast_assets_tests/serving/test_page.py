"""The desk in a real Chromium: on a phone and a desktop, in light and dark, by keyboard, with and without a token."""

import csv
import datetime as dt
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from forecast_assets.serving import loading
from forecast_assets.serving.freshness import Deadline
from forecast_assets.serving.loading import Loader
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.browser import needs_chromium
from forecast_assets_tests.helpers.live_service import LiveService
from forecast_assets_tests.helpers.service import (
    DAYS,
    open_stub,
    panel,
    publish_book,
    publish_model,
    publish_night,
    publish_panel,
    publish_report,
    scored_record,
    small_store,
)

pytestmark = needs_chromium
needs_axe = pytest.mark.skipif(
    importlib.util.find_spec("axe_playwright_python") is None,
    reason="axe-playwright-python is not installed; the extra dev has it",
)
TOKEN = "a-token-of-some-length"
ODD = "=1+1<b>"
NEW, LATE = DAYS[-1], dt.datetime(2018, 4, 1, tzinfo=dt.UTC)
REPORT = """<!doctype html><title>Backtest</title><p id="seen"></p>
<script>document.getElementById("seen").textContent = "its script ran";</script>"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The small store with a sector that a spreadsheet would evaluate, a night before the last, a book and a report."""
    small_store(store := Store(tmp_path_factory.mktemp("page")))
    publish_panel(store, replace(panel(), sectors=("Even", ODD)))
    model = publish_model(store, panel(), shift=0.001)
    for day, mean in ((DAYS[-2], 0.02), (NEW, 0.01)):
        publish_night(store, ("T00", "T01", "T02"), day, mean=mean, serving_model=model.id)
    publish_book(store, NEW, {"T00": (0.02, 0.05), "T02": (-0.01, -0.03)})
    publish_report(store, REPORT)
    return store


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[LiveService]:
    loader = Loader(store, open_stub, data_root="elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "issued_record", lambda *_: scored_record())
        with LiveService(loader, deadline=Deadline(12.0, lambda: LATE)) as live:
            yield live


@contextmanager
def opened(
    browser: Browser, service: LiveService, *, width: int, scheme: Literal["light", "dark"] = "light", query: str = ""
) -> Iterator[tuple[Page, list[str]]]:
    """Open the desk with a ticker's fan; yield its page, and what its console said and which foreign addresses it asked."""
    page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
    noticed: list[str] = []
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(service.url) else noticed.append(request.url))
    page.goto(f"{service.url}/{query}")
    page.locator("#chart svg").wait_for()
    yield page, noticed
    page.close()


def lines(page: Page, table: str) -> list[list[str]]:
    """Return the cells of the shown rows of a table."""
    shown = page.locator(f"{table} tbody tr:visible").all_inner_texts()
    return [line.replace("\u00a0", " ").split("\t") for line in shown]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_ticker_is_found_and_its_fan_drawn_without_foreign_requests(
    browser: Browser, service: LiveService, width: int
) -> None:
    with opened(browser, service, width=width) as (page, noticed):
        assert page.locator("#title").inner_text() == f"T00, as of the close of {NEW}"
        assert [line[0] for line in lines(page, "#table")] == ["T00", "T01", "T02", "T03"]
        page.fill("#ticker", "02")
        assert [line[0] for line in lines(page, "#table")] == ["T02"]
        page.keyboard.press("Enter")
        page.locator("#title:has-text('T02')").wait_for()
        assert page.locator("polygon.fan").count() == page.locator("circle.dot").count() == 3
        assert lines(page, "#forecast")[0] == ["1", "\u22122.9 % to +5.0 %", "+1.0 %", "69 %"]
        assert page.locator("#chart svg").bounding_box()["height"] > 200  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert noticed == []
        page.fill("#ticker", "")
        page.locator("#table a[tabindex='0']").press("ArrowDown")
        assert page.evaluate("document.activeElement.textContent") == "T03"
        page.keyboard.press("Enter")
        page.locator("#title:has-text('T03')").wait_for()
        page.fill("#ticker", "T0X")
        page.keyboard.press("Enter")
        page.locator("#message:has-text('no such ticker')").wait_for()
        page.goto(f"{service.url}/docs")
        assert page.locator("h2").first.inner_text() == "GET /predict"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [line for line in noticed if "404" not in line] == []


def test_the_table_sorts_filters_and_is_downloaded_as_shown(browser: Browser, service: LiveService) -> None:
    with opened(browser, service, width=1280) as (page, noticed):
        head = page.locator("#table th", has_text="Session")
        for order, first in (("ascending", "T03"), ("descending", "T00")):
            head.get_by_role("button").press("Enter")
            assert head.get_attribute("aria-sort") == order
            assert lines(page, "#table")[0][0] == first
        page.select_option("#sector", ODD)
        assert [line[0] for line in lines(page, "#table")] == ["T01", "T03"]
        page.select_option("#session", str(NEW))
        assert page.locator("#count").inner_text().startswith("1 ticker of 4.")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download CSV").first.click()
        rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
        shown = [(row["ticker"], row["exchange"], row["sector"], row["session"]) for row in rows]
        assert shown == [("T01", "XNYS", f"'{ODD}", str(NEW))]
        assert float(rows[0]["median_5"]) == 0.01
        page.locator("label", has_text="20").get_by_role("radio").check()
        assert len(lines(page, "#table")) == 1
        assert noticed == []


def test_a_past_fan_is_compared_with_what_happened_and_explained(browser: Browser, service: LiveService) -> None:
    with opened(browser, service, width=1280, query=f"?ticker=T01&date={NEW}") as (page, noticed):
        assert page.locator("#later").is_disabled()
        page.click("#earlier")
        page.locator(f"#title:has-text('T01, as of the close of {DAYS[-2]}')").wait_for()
        assert "inside" in lines(page, "#forecast")[0][4]
        assert lines(page, "#forecast")[1][4] == "not known yet"
        page.fill("#date", str(DAYS[104]))
        page.locator(f"#title:has-text('{DAYS[104]}')").wait_for()
        assert page.locator("polyline.after").count() == 1
        assert page.locator("#coverage polyline.share").count() == 3
        assert [line[:2] for line in lines(page, "#coverage")] == [["1", "11"], ["5", "10"], ["20", "10"]]
        page.locator("#why summary").click()
        page.locator("#why", has_text="would not be out of sample").wait_for()
        page.click("#newest")
        page.locator("#why", has_text="Selected variables").wait_for()
        page.locator("#changed summary").click()
        page.locator("#changed", has_text=f"From the forecast of {DAYS[-2]} to that of {NEW}; mostly data.").wait_for()
        assert page.evaluate("location.search") == f"?ticker=T01&date={NEW}"
        assert [line for line in noticed if "422" not in line] == []


def test_an_old_night_the_book_and_the_report_are_there(browser: Browser, service: LiveService) -> None:
    with opened(browser, service, width=390) as (page, noticed):
        page.locator("#stale", has_text=f"Stale The last night is of {NEW}, and that of 2018-03-29 is due").wait_for()
        assert lines(page, "#positions")[0][:3] == ["T00", "+3.000 %", "+5.000 %"]
        sums = " ".join(page.locator("#sums").inner_text().split())
        assert sums == "Gross 8.0 % Net +2.0 % Turnover 5.0 % Expected cost 0.25 bp"
        assert lines(page, "#losses")[0] == ["1", "1.00 %", "1.00 %", "2.00 %", "2.00 %", "50 %"]
        page.locator("#kept", has_text="Past nights: no night's book has an outcome yet").wait_for()
        page.locator("#sealed summary").click()
        page.locator("#sealed", has_text="3 nights, 2 sealed. 90 forecasts issued, 9 matured").wait_for()
        assert lines(page, "#sealed")[0][2:5] == ["94.0 % (90.0 % to 97.0 %)"] * 2 + ["-"]
        page.click("#report")
        page.locator("#seen", has_text="its script ran").wait_for()
        assert noticed == []


def test_the_page_asks_for_the_token_and_saves_the_report_with_it(browser: Browser, store: Store) -> None:
    with LiveService(Loader(store, open_stub), token=TOKEN) as locked:
        page = browser.new_page()
        page.goto(locked.url)
        page.locator("#token").wait_for()
        assert page.locator("#table tr").count() == 0
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.locator("#title:has-text('T00')").wait_for()
        assert page.locator("#unlock").is_hidden()
        with page.expect_download() as download:
            page.click("#report")
        assert download.value.path().read_text() == REPORT
        page.close()


def test_an_open_page_follows_a_new_night(browser: Browser, tmp_path: Path) -> None:
    with LiveService(small_store(store := Store(tmp_path))) as service:
        page = browser.new_page()
        page.clock.install()
        page.goto(service.url)
        page.locator("#about", has_text=f"Last night: {NEW}, 4 tickers").wait_for()
        following = NEW + dt.timedelta(days=1)
        publish_night(store, ("T00", "NEW"), following, mean=0.01)
        while service.client.get("/health/ready").json()["night"] != str(following):
            pass
        page.clock.run_for(31_000)
        page.locator("#about", has_text=f"Last night: {following}, 5 tickers").wait_for()
        assert lines(page, "#table")[0][0] == "NEW"
        page.close()


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_no_violation(
    browser: Browser, service: LiveService, scheme: Literal["light", "dark"]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, service, width=390, scheme=scheme) as (page, _):
        opened_parts = (("#why", "Selected variables"), ("#changed", "mostly data"), ("#sealed", "90 forecasts issued"))
        for part, answer in opened_parts:
            page.locator(f"{part} summary").click()
            page.locator(part, has_text=answer).wait_for()
        for _ in range(2):
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            page.goto(f"{service.url}/docs")
