"""The report in a real Chromium: on a phone and a desktop, in light and dark; skipped without one."""

import datetime as dt
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import polars as pl
import pytest
from playwright.sync_api import Browser, Page

from forecast_assets.core.report.titles import title
from forecast_assets_tests.helpers.browser import needs_chromium
from forecast_assets_tests.helpers.graph import Graph

pytestmark = needs_chromium
needs_axe = pytest.mark.skipif(
    importlib.util.find_spec("axe_playwright_python") is None,
    reason="axe-playwright-python is not installed; the extra dev has it",
)
OPEN_ALL = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"
LEADERBOARD = "#leaderboard table tbody tr td:nth-child({column})"
LARGEST = 3_000_000  # bytes


@contextmanager
def opened(
    browser: Browser, graph: Graph, *, width: int, scheme: Literal["light", "dark"] = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """Open the report; yield its page, and the addresses that it asked for and the messages of its console."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    noticed: list[str] = []
    page.on("request", lambda request: noticed.append(request.url))
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    page.goto((graph.root / "reports" / "latest" / "backtest.html").as_uri())
    yield page, noticed
    page.close()


@pytest.mark.parametrize("width", [390, 1200])
def test_the_report_reads_without_network_or_sideways_scrolling(
    browser: Browser, smoke_graph: Graph, width: int
) -> None:
    with opened(browser, smoke_graph, width=width) as (page, noticed):
        assert noticed == [page.url]
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h2").first.inner_text() == "Verdict"
        drawn = page.locator("figure svg")
        assert drawn.count() >= 7
        assert all(drawn.nth(k).bounding_box()["height"] > 80 for k in range(drawn.count()))  # type: ignore[index]
        assert noticed == [page.url]


def test_the_first_screen_holds_the_headline_its_tiles_and_a_plot(browser: Browser, smoke_graph: Graph) -> None:
    summary = json.loads((smoke_graph.root / "reports" / "latest" / "metrics.json").read_text())
    with opened(browser, smoke_graph, width=1200) as (page, _):
        assert page.locator(".headline").inner_text() == summary["headline"]
        tiles = page.locator(".tiles li")
        assert tiles.count() == len(summary["tiles"]) == 4
        for k, tile in enumerate(summary["tiles"]):
            assert tile["value"] in tiles.nth(k).inner_text()
            assert tile["interval"] in tiles.nth(k).inner_text()
        assert page.locator("figure svg").first.bounding_box()["y"] < 500  # type: ignore[index]


def test_fans_are_shown_by_ticker(browser: Browser, smoke_graph: Graph) -> None:
    with opened(browser, smoke_graph, width=1200) as (page, _):
        fans = page.locator("details.fans figure")
        assert not fans.first.is_visible()
        page.locator("details.fans summary").click()
        assert all(fan.is_visible() for fan in fans.all())
        wanted = fans.last.get_attribute("data-ticker")
        assert wanted is not None
        page.locator("details.fans").get_by_label("Ticker", exact=True).fill(wanted.lower())
        assert [fan.get_attribute("data-ticker") for fan in fans.all() if fan.is_visible()] == [wanted]
        assert page.locator("details.fans figure:visible svg").inner_html().count(wanted) > 0


def test_a_click_sorts_the_leaderboard_and_a_second_one_turns_it_round(browser: Browser, smoke_graph: Graph) -> None:
    with opened(browser, smoke_graph, width=1200) as (page, _):
        cells = page.locator(LEADERBOARD.format(column=2))
        ratios = [float(text) for text in cells.all_inner_texts()]
        assert ratios == sorted(ratios)
        head = page.locator("#leaderboard th").nth(1)
        for order in ("ascending", "descending"):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == order
        assert [float(text) for text in cells.all_inner_texts()] == sorted(ratios, reverse=True)
        page.locator("#leaderboard th").nth(7).get_by_role("button").press("Enter")
        sharpes = page.locator(LEADERBOARD.format(column=8)).all_inner_texts()
        numbers = [float(text.replace("\u2212", "-")) for text in sharpes if text != "-"]
        assert len(numbers) > 3
        assert numbers == sorted(numbers)
        assert sharpes[len(numbers) :] == ["-"] * (len(sharpes) - len(numbers))  # what is undefined stays last


def test_a_link_of_the_contents_opens_the_section_that_it_leads_to(browser: Browser, smoke_graph: Graph) -> None:
    with opened(browser, smoke_graph, width=390) as (page, _):
        assert not page.locator("#costs").is_visible()
        page.locator('nav a[href="#costs"]').click()
        page.locator("#costs").wait_for()
        assert page.locator("#costs").is_visible()


def test_plots_and_page_turn_dark_together(browser: Browser, smoke_graph: Graph) -> None:
    paint = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('figure path')).fill]"
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")):
        with opened(browser, smoke_graph, width=1200, scheme=scheme) as (page, _):  # type: ignore[arg-type]
            assert page.evaluate(paint) == [colour, colour]


def test_the_pointer_reads_every_strategy_off_the_equity_curve(browser: Browser, smoke_graph: Graph) -> None:
    daily = smoke_graph.table("backtest_report").sort("date")
    with opened(browser, smoke_graph, width=1200) as (page, noticed):
        plot = page.locator("svg[data-scales]").first
        plot.scroll_into_view_if_needed()
        scales = json.loads(plot.get_attribute("data-scales") or "")
        box = plot.bounding_box()
        assert box is not None
        width = float((plot.get_attribute("viewBox") or "").split()[2])
        day = daily["date"].unique().sort()[-30]
        share = ((day - dt.date(1970, 1, 1)).days - scales["days"][0]) / (scales["days"][1] - scales["days"][0])
        place = scales["x"][0] + share * (scales["x"][1] - scales["x"][0])
        page.mouse.move(box["x"] + place * box["width"] / width, box["y"] + box["height"] / 2)
        shown = page.locator(".read-off").first.inner_text().splitlines()
        assert shown[0] == str(day)
        read = {line.rpartition(": ")[0]: float(line.rpartition(": ")[2]) for line in shown[1:]}
        until = daily.filter(pl.col("date") <= day).group_by("strategy").agg((1.0 + pl.col("net_return")).product())
        growth = {title(strategy): value for strategy, value in until.iter_rows()}
        assert len(read) == len(scales["names"]) > 4
        assert read == pytest.approx({name: growth[name] for name in read}, rel=0.01, abs=0.01)
        page.mouse.move(0, 0)
        assert not page.locator(".read-off").first.is_visible()
        assert noticed == [page.url]


def test_the_report_stays_small_enough_to_send(smoke_graph: Graph) -> None:
    assert (smoke_graph.root / "reports" / "latest" / "backtest.html").stat().st_size < LARGEST


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_no_violation(
    browser: Browser, smoke_graph: Graph, scheme: Literal["light", "dark"]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, smoke_graph, width=390, scheme=scheme) as (page, _):
        page.evaluate(OPEN_ALL)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
