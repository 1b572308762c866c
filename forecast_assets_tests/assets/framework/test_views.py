"""A night is committed once, and the UI calls it so: what came after it makes nothing of it stale."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG, StaleStatus

from forecast_assets.assets.framework.next_champion import NEXT_CHAMPION, report_next_champion
from forecast_assets.assets.framework.views import BY_NIGHT
from forecast_assets.automation.jobs import NIGHT_ASSETS
from forecast_assets.automation.own_runs import execute
from forecast_assets.resources.store_io import StoreResource
from forecast_assets_tests.helpers.graph import Graph, copied, environment
from forecast_assets_tests.helpers.staleness import Ui

ONCE = ("challenger", "nightly_forecast")
FRESH, STALE = StaleStatus.FRESH, StaleStatus.STALE


@pytest.fixture(scope="module")
def night(smoke_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The smoke graph's store, of which Dagster has seen the panel and the night."""
    with copied(smoke_graph.root, tmp_path_factory.mktemp("night_views")) as graph:
        assert graph.run("raw_panel", "windowed_tensors", *NIGHT_ASSETS).failures == []
        yield graph


@pytest.fixture
def day(night: Graph) -> str:
    return night.store.partitions("nightly_forecast")[-1]


def record(graph: Graph, asset: str, *, partition: str | None = None) -> None:
    """Record another version of an asset, by the same code and from the same parents as the last one, if there is one."""
    of_asset = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition] if partition else None)
    last = graph.instance.fetch_materializations(of_asset, limit=1).records
    made = last[0].asset_materialization if last else None
    tags = {**(made.tags or {} if made else {}), DATA_VERSION_TAG: "another"}
    graph.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition, tags=tags))


def shown(graph: Graph, day: str) -> dict[str, StaleStatus]:
    ui, views = Ui(graph), BY_NIGHT.names()
    of_day = {asset: ui.status(asset, day) for asset in (*ONCE, *views, "target_positions")}
    return {**of_day, "serving_model": ui.status("serving_model", None)}


def test_the_view_of_the_champion_comes_between_champion_and_forecasts(night: Graph) -> None:
    run = night.instance.get_runs(filters=dg.RunsFilter(job_name="nightly"))[0]
    done = [
        entry.dagster_event.step_key
        for entry in night.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
        if entry.dagster_event
    ]
    assert done.index("challenger") < done.index("serving_model") < done.index("serving_model_by_night")
    assert done.index("serving_model_by_night") < done.index("nightly_forecast") < done.index("target_positions")


def test_a_committed_night_is_fresh_whatever_becomes_of_what_it_was_made_from(night: Graph, day: str) -> None:
    assert set(shown(night, day).values()) == {FRESH}
    views = BY_NIGHT.names()
    for asset, partition in (("windowed_tensors", None), ("ensemble", "2019"), ("serving_model", None)):
        record(night, asset, partition=partition)
    stale = {asset for asset, status in shown(night, day).items() if status is STALE}
    assert stale == {*views, "target_positions"}  # a run shows what is current now, and trades by it
    for view in views:
        record(night, view, partition=day)
    assert all(shown(night, day)[asset] is FRESH for asset in ONCE)


def test_the_champion_is_stale_where_it_would_be_made_from_something_else(night: Graph, day: str) -> None:
    def observed() -> int:
        return len(
            night.instance.fetch_observations(dg.AssetRecordsFilter(dg.AssetKey(NEXT_CHAMPION)), limit=9).records
        )

    before = observed()
    report_next_champion(night.instance, StoreResource(data_dir=night.data))
    assert observed() == before  # nothing has changed
    assert shown(night, day)["serving_model"] is FRESH
    night.instance.report_runless_asset_event(dg.AssetObservation(NEXT_CHAMPION, tags={DATA_VERSION_TAG: "another"}))
    assert shown(night, day)["serving_model"] is STALE
    report_next_champion(night.instance, StoreResource(data_dir=night.data))
    assert shown(night, day)["serving_model"] is FRESH


def test_a_run_that_could_forecast_by_the_champion_before_is_refused(night: Graph, day: str) -> None:
    from forecast_assets.definitions import defs

    def run(*assets: str) -> list[str]:
        with environment(FORECAST_DATA_DIR=night.data, FORECAST_PROFILE=night.profile):
            result = execute(
                defs.resolve_implicit_global_asset_job_def(),
                instance=night.instance,
                assets=assets,
                partition=day,
                run_config={"resources": {"settings": {"config": {"profile": night.profile}}}},
                tags={},
            )
        failed = (event.step_failure_data for event in result.all_events if event.is_step_failure)
        return [str(why.user_failure_data.description) for why in failed if why.user_failure_data]

    [why] = run("serving_model", "nightly_forecast")
    assert why == (
        "nightly_forecast: this run makes serving_model too, and nothing keeps the two in order; select "
        "serving_model_by_night as well, or launch them one after the other"
    )
    assert run("serving_model", "serving_model_by_night", "nightly_forecast") == []
