"""The Dagster UI as users operate it: clicked in a real Chromium on a real server.

All tests share a server. Its store has what the smoke graph made, but for the panel, which is materialised by clicking; that
of a second panel has the same but for its first asset and one model, and three test years.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
import yaml
from playwright.sync_api import Browser, Page

from forecast_assets.automation.jobs import PANEL_ASSETS
from forecast_assets.core.panel.demo import write_demo_csv
from forecast_assets.resources.settings import compose_settings
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.browser import needs_chromium
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.server import DagsterServer
from forecast_assets_tests.helpers.webhook import Receivers

pytestmark = needs_chromium

YEARS = ["2017", "2018", "2019"]  # of the second panel
WIDE = 2400  # pixels: the lineage does not draw what is outside of the view


@pytest.fixture(scope="module")
def root(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's folder."""
    made = tmp_path_factory.mktemp("ui")
    shutil.copytree(smoke_graph.root / "raw", made / "data" / "raw")
    for root, left_out in (("data", PANEL_ASSETS), ("nifty", ("raw_panel", "b0_mlp"))):
        shutil.copytree(smoke_graph.root / "store", made / root / "store", ignore=shutil.ignore_patterns(*left_out))
    return made


def with_second_panel(folder: Path) -> str:
    """Write a workspace of the project and of a second panel, whose file and data lie in ``folder``; return its path."""
    named = {
        "key_prefix": "nifty",
        "panel": str(folder / "nifty.csv"),
        "profile": "smoke",
        "data_dir": str(folder / "nifty"),
        "overrides": [f"folds.first_test_year={YEARS[0]}"],
    }
    (folder / "second.py").write_text(
        "import dagster as dg\nfrom forecast_assets.component import ForecastPanel\n\n"
        f"defs = dg.build_defs_for_component(ForecastPanel(**{named!r}))\n"
    )
    locations = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    locations.append({"python_file": {"relative_path": str(folder / "second.py"), "location_name": "second"}})
    workspace = folder / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": locations}))
    return str(workspace)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[DagsterServer]:
    """What ``make dev`` starts, with a second panel, nothing materialised yet."""
    write_demo_csv(root / "nifty.csv", compose_settings("smoke", []).demo)
    with DagsterServer(root, workspace=with_second_panel(root)) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of a laptop's size, with timeouts for a busy machine."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def panel(browser: Browser, server: DagsterServer) -> dict[str, str]:
    """The run that the panel job's button starts."""
    opened = browser.new_page()
    opened.goto(f"{server.url}/locations/forecast_assets/jobs/panel", timeout=60_000)
    opened.locator("button:has-text('Materialize')").first.click(timeout=60_000)
    [run] = server.wait_for_runs(1, seconds=180)
    opened.close()
    return run


@pytest.fixture(scope="module")
def second_panel(browser: Browser, server: DagsterServer) -> dict[str, str]:
    """The run that the button of the second panel's first asset starts."""
    opened, before = browser.new_page(), len(server.runs())
    opened.goto(f"{server.url}/assets/nifty/raw_panel", timeout=60_000)
    opened.locator("button:has-text('Materialize')").first.click(timeout=60_000)
    run = server.wait_for_runs(before + 1, seconds=120)[0]
    opened.close()
    return run


def test_the_lineage_shows_the_groups_and_their_assets(page: Page, server: DagsterServer) -> None:
    page.set_viewport_size({"width": WIDE, "height": 1500})
    page.goto(f"{server.url}/asset-groups")
    for group in ("panel", "settings", "models", "verdict", "night", "monitoring"):
        page.get_by_text(group, exact=True).first.wait_for()
    page.goto(f"{server.url}/locations/forecast_assets/asset-groups/night")
    for asset in ("challenger", "serving_model", "nightly_forecast", "target_positions"):
        page.get_by_text(asset, exact=True).first.wait_for()


def test_the_panel_is_materialised_by_its_button_and_its_leakage_checks_are_green(
    page: Page, server: DagsterServer, root: Path, panel: dict[str, str]
) -> None:
    assert (panel["jobName"], panel["status"]) == ("panel", "SUCCESS")
    assert Store(root / "data" / "store").current("windowed_tensors").manifest.facts["windows"] > 1000
    page.goto(f"{server.url}/assets/feature_panel?view=checks")
    for check in ("truncation", "poison"):
        page.get_by_text(check, exact=True).first.click()
        page.get_by_text("Passed", exact=True).wait_for()
        assert page.get_by_text(re.compile(r"\d+ rows of \d+ tickers up to 20\d\d-\d\d-\d\d are the same")).is_visible()


def test_an_asset_names_its_owner_and_its_deadline(page: Page, server: DagsterServer, panel: dict[str, str]) -> None:
    page.goto(f"{server.url}/assets/feature_panel")
    page.get_by_text("forecasting", exact=True).wait_for()
    page.get_by_text(re.compile("Deadline: At 10:00 AM")).wait_for()


def test_a_backfill_that_is_cancelled_half_way_is_resumed_by_making_the_rest(
    page: Page, server: DagsterServer, root: Path, second_panel: dict[str, str]
) -> None:
    before, store = len(server.runs()), Store(root / "nifty" / "store")
    launch_missing(page, server, YEARS)
    [backfill] = server.backfills()
    with half_way(server, root / "nifty" / "store", "b0_mlp") as cancelled:
        done = store.partitions("b0_mlp")
        server.cancel(backfill)
    server.wait("the end of the backfill", lambda: server.backfills()[backfill] == "CANCELED", seconds=120)
    ended = server.runs()[: -before or None]
    missing = [year for year in YEARS if year not in done]
    assert store.partitions("b0_mlp") == done
    assert {year_of(run) for run in ended if run["status"] == "SUCCESS"} == {*done}
    assert {cancelled} <= {year_of(run) for run in ended if run["status"] == "CANCELED"} <= {*missing}
    assert not any((root / "nifty" / "store" / "b0_mlp" / cancelled).glob("*"))
    versions = {year: store.current("b0_mlp", year).id for year in done}

    launch_missing(page, server, missing)
    made_after = server.wait_for_runs(before + len(ended) + len(missing), seconds=180)[: len(missing)]
    assert {(year_of(run), run["status"]) for run in made_after} == {(year, "SUCCESS") for year in missing}
    assert store.partitions("b0_mlp") == YEARS
    assert {year: store.current("b0_mlp", year).id for year in done} == versions
    table = pl.read_parquet(store.current("b0_mlp", cancelled).path("table.parquet"))
    assert table.filter(pl.col("split") == "test")["date"].dt.year().unique().to_list() == [int(cancelled)]
    page.goto(f"{server.url}/assets/nifty/b0_mlp?view=checks")
    page.get_by_text("purged", exact=True).first.click()
    page.get_by_text(re.compile("labels end .* days before the next split")).first.wait_for()
    page.get_by_text("Passed", exact=True).wait_for()


def launch_missing(page: Page, server: DagsterServer, years: list[str]) -> None:
    """Launch what is missing of the second panel's B0 from its dialog, which counts the ``years`` that it selects."""
    page.goto(f"{server.url}/assets/nifty/b0_mlp?view=partitions")
    page.get_by_text(YEARS[0], exact=True).first.wait_for()
    materialise(page)
    page.get_by_text("Partition selection").wait_for()
    page.locator("button").get_by_text("Missing", exact=True).click()
    page.get_by_text(f"{len(years)} partition{'s' * (len(years) > 1)}", exact=True).wait_for()
    page.locator("button").get_by_text(re.compile("^Launch (backfill|1 run)$")).click()
    page.get_by_text("Partition selection").wait_for(state="hidden")


def year_of(run: dict[str, Any]) -> str:
    return str({tag["key"]: tag["value"] for tag in run["tags"]}["dagster/partition"])


@contextmanager
def half_way(server: DagsterServer, store: Path, asset: str) -> Iterator[str]:
    """Stop the step that makes a partition of ``asset`` once another one is made and its own files are being written.

    Yields the partition. Afterwards the step goes on, to whatever has become of its run.
    """
    found: list[Path] = []

    def writing() -> bool:
        begun = [folder for folder in store.glob(f"{asset}/*/*-*") if not (folder / "manifest.json").exists()]
        made = list(store.glob(f"{asset}/*/CURRENT"))
        found[:] = begun if made else []
        return bool(found)

    server.wait("the second partition", writing, seconds=120, every=0.01)
    partition = found[0].parent.name
    step = int((store / ".work" / asset / f"{partition}.lock").read_text())
    os.kill(step, signal.SIGSTOP)
    assert list(found[0].parent.glob("*")) == found  # stopped in time
    try:
        yield partition
    finally:
        os.kill(step, signal.SIGCONT)


def test_a_partition_key_that_is_a_path_fails_its_run_and_writes_nothing(
    server: DagsterServer, root: Path, panel: dict[str, str]
) -> None:
    def written() -> set[str]:
        return {
            str(path) for path in root.parent.rglob("*") if path.is_file() and root / "dagster_home" not in path.parents
        }

    before, runs, key = written(), len(server.runs()), "../../../escaped"
    selector = {
        "repositoryLocationName": "forecast_assets",
        "repositoryName": "__repository__",
        "jobName": "walk_forward",
        "assetSelection": [{"path": ["baselines"]}],
    }
    tags = [{"key": "dagster/partition", "value": key}]
    launch = """mutation($p: ExecutionParams!){launchRun(executionParams: $p){__typename}}"""
    asked = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": tags}}
    server.ask(launch, {"p": asked})  # Dagster accepts it: the store checks the key when it names a folder
    run, *_ = server.wait_for_runs(runs + 1, seconds=120)
    assert run["status"] == "FAILURE"
    assert written() == before


def test_the_reports_plots_are_a_click_away(page: Page, server: DagsterServer, panel: dict[str, str]) -> None:
    before = len(server.runs())
    page.goto(f"{server.url}/assets/backtest_report")
    materialise(page)
    run = server.wait_for_runs(before + 1, seconds=180)[0]
    assert run["status"] == "SUCCESS"
    page.goto(f"{server.url}/assets/backtest_report")
    page.get_by_text("Show Markdown").first.click()
    plot = page.locator("img[src^='data:image/png']")
    plot.wait_for()
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 400


def test_another_sites_page_launches_no_run(page: Page, server: DagsterServer, panel: dict[str, str]) -> None:
    before = len(server.runs())
    asset = '[{path:["flags"]}]'
    location = 'repositoryLocationName:"forecast_assets",repositoryName:"__repository__"'
    selector = f'{{{location},jobName:"panel",assetSelection:{asset}}}'
    launch = f"mutation{{launchRun(executionParams:{{selector:{selector}}}){{__typename}}}}"
    url = f"{server.url}/graphql?query={quote(launch)}"
    page.goto("about:blank")
    page.set_content(f"<img src='{url}'>")
    page.locator("img").evaluate(
        "image => image.complete || new Promise((done) => { image.onload = image.onerror = () => done(true); })"
    )
    page.set_content(f"<form method=post enctype=text/plain action='{url}'><button>x</button></form>")
    with page.expect_navigation() as answered:
        page.locator("button").click()
    assert answered.value is not None
    assert answered.value.status == 403
    assert len(server.runs()) == before
    assert server.ask(launch)["launchRun"]["__typename"] == "LaunchRunSuccess"  # what a page of its own may do
    server.wait_for_runs(before + 1, seconds=120)


def test_what_a_command_ran_is_listed_as_a_run_of_its_job(page: Page, server: DagsterServer) -> None:
    before = {run["runId"] for run in server.runs()}
    server.command("run", "--select", "raw_panel")
    [made] = {run["runId"] for run in server.runs()} - before
    assert made in server.runs_of_jobs()
    page.goto(f"{server.url}/locations/forecast_assets/jobs/panel/runs")
    page.get_by_text(made[:8], exact=True).first.wait_for()


def test_a_second_panel_has_assets_and_a_schedule_of_its_own(
    page: Page, server: DagsterServer, root: Path, second_panel: dict[str, str]
) -> None:
    assert second_panel["status"] == "SUCCESS"
    assert (root / "nifty" / "store" / "raw_panel").is_dir()
    assert not any(path.name.startswith("nifty") for path in (root / "data" / "store").iterdir())
    page.goto(f"{server.url}/automation")
    for name in ("nightly_schedule", "nifty_nightly_schedule", "new_years_and_reports"):
        page.get_by_text(name, exact=True).first.wait_for()


@pytest.mark.real_panel
def test_a_schedule_that_is_switched_on_ticks_and_a_failed_night_is_reported(page: Page, tmp_path: Path) -> None:
    """Waits for the clock: the schedule's tick, then the sensor's. The panel's file is not there."""
    workspace = with_second_panel(tmp_path)
    with (
        Receivers() as receiver,
        DagsterServer(
            tmp_path, workspace=workspace, FORECAST_WEBHOOK_URL=receiver.url, FORECAST_NIGHTLY_CRON="* * * * *"
        ) as server,
    ):
        page.goto(f"{server.url}/locations/second/schedules/nifty_nightly_schedule")
        page.locator("label:has(input[type=checkbox])").first.click()
        server.wait("the message", lambda: bool(receiver.received), seconds=240)
        sent = json.loads(receiver.received[0][1])
        assert (sent["key"], sent["title"]) == ("panel_run", "nifty: The night's panel was not read")


def materialise(page: Page) -> None:
    """Click the asset's button, and confirm Dagster's warning that it has not materialised the inputs itself."""
    page.locator("button:has-text('Materialize')").first.click()
    page.locator("button:has-text('Confirm')").click()
