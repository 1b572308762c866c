"""A run that a command executes belongs to the code location, as one that the UI launches does."""

import tomllib

import dagster as dg
import yaml
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

from forecast_assets.resources import environment
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.paths import PROJECT


def test_the_location_is_the_one_that_the_workspace_and_the_project_name() -> None:
    [location] = yaml.safe_load((PROJECT / "workspace.yaml").read_text())["load_from"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert location["python_module"]["location_name"] == project["code_location_name"] == environment.code_location()


def test_a_run_of_a_command_is_the_locations_and_the_daemon_starts_it_no_second_time(empty_graph: Graph) -> None:
    assert empty_graph.run("raw_panel").failures == []
    of_location = dg.RunsFilter(tags={REPOSITORY_LABEL_TAG: "__repository__@forecast_assets"}, job_name="panel")
    [run] = empty_graph.instance.get_runs(filters=of_location)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.asset_selection == {dg.AssetKey("raw_panel")}
    empty_graph.instance.report_run_failed(run, "its process was killed")
    [killed] = empty_graph.instance.get_runs()
    assert killed.status is dg.DagsterRunStatus.FAILURE
    assert not auto_reexecution_should_retry_run(empty_graph.instance, killed, None)
