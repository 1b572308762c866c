"""What a run's configuration may not do: refer to the environment, name a secret, leave the declared folders."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from forecast_assets.assets.framework.launchpad import launchpad_config, with_overrides
from forecast_assets.core.errors import BadSetting
from forecast_assets.core.specs import DemoSpec, SweepSpec
from forecast_assets.resources import environment
from forecast_assets.resources.settings import compose_settings
from forecast_assets.resources.source import PanelSource
from forecast_assets.resources.store_io import StoreResource
from forecast_assets_tests.helpers.graph import Graph

TOKEN = "xoxb-1234567890-canary"
REFERENCES = [
    "+x=${oc.env:SLACK_BOT_TOKEN}",
    "backtest.cost_bps=${oc.env:SLACK_BOT_TOKEN}",
    "++backtest.cost_bps='${oc.env:SLACK_BOT_TOKEN}'",
    "panel.columns={date: [${oc.env:SLACK_BOT_TOKEN}]}",
    "${oc.env:SLACK_BOT_TOKEN}=1",
    "backtest.cost_bps=${oc.decode:${oc.env:SLACK_BOT_TOKEN}}",
    "tft.hidden=${tft.heads}",
    "hydra.run.dir=${oc.env:SLACK_BOT_TOKEN}",
    f"backtest.cost_bps={TOKEN}",
    f"{TOKEN}=1",
]
ELSEWHERE = [
    "hydra.searchpath=[file:///etc]",
    "profile=../../../../etc/hosts",
    "corrections=/etc/passwd",
    "model/tft@tft=../../secret",
]


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root and a panel's folder beside it, as declared by whoever starts a process."""
    for folder in ("data", "panel", "outside"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "p.csv").write_text("root:x:0:0:secret\n")
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FORECAST_PANEL", str(tmp_path / "panel" / "p.csv"))
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    return tmp_path


@pytest.mark.parametrize("override", REFERENCES)
def test_an_override_refers_to_nothing_and_its_sentence_quotes_no_secret(declared: Path, override: str) -> None:
    with pytest.raises(BadSetting) as raised:
        compose_settings("smoke", [override])
    assert TOKEN not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("override", ELSEWHERE)
def test_an_override_reads_no_settings_from_elsewhere(override: str) -> None:
    with pytest.raises(BadSetting, match="there is no"):
        compose_settings("smoke", [override])


def test_a_profile_that_dagster_read_from_the_environment_is_not_quoted(declared: Path) -> None:
    with pytest.raises(BadSetting, match=r"^profile: it holds the value of SLACK_BOT_TOKEN, a secret") as raised:
        compose_settings(TOKEN, [])
    assert TOKEN not in str(raised.value)


def test_a_setting_of_the_launchpad_holds_no_secret(declared: Path) -> None:
    config = launchpad_config("sweep", {"sweep": SweepSpec})(sweep={"storage": TOKEN})
    with pytest.raises(BadSetting, match="storage: it holds the value of SLACK_BOT_TOKEN") as raised:
        with_overrides(SweepSpec(), getattr(config, "sweep"))  # noqa: B009
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "{}/outside/p.csv", "{}/data/../outside", "{}/data/link", "{}", "/"])
def test_a_panel_outside_of_the_declared_folders_is_not_opened(declared: Path, path: str) -> None:
    (declared / "data" / "link").symlink_to(declared / "outside" / "p.csv")
    source = PanelSource(panel=path.format(declared))
    with pytest.raises(BadSetting, match="lies outside the folders that runs may use") as raised:
        source.input_files(DemoSpec(), compose_settings("smoke", []).panel, data_root=str(declared / "data"))
    assert "root:x" not in str(raised.value)


@pytest.mark.parametrize("path", ["data/p.csv", "panel/p.csv", "panel", "outside/p.csv"])
def test_a_panel_in_a_declared_folder_is_read(declared: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_ROOTS", str(declared / "outside"))
    environment.require_inside(str(declared / path), setting="source.panel")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"source": {"config": {"panel": "/etc/passwd"}}}, "source.panel: '/etc/passwd' lies outside the folders"),
        ({"source": {"config": {"panel": {"env": "SLACK_BOT_TOKEN"}}}}, "source.panel: it holds the value of SLACK"),
        ({"settings": {"config": {"profile": {"env": "SLACK_BOT_TOKEN"}}}}, "profile: it holds the value of SLACK_BOT"),
        ({"settings": {"config": {"overrides": ["+x=${oc.env:SLACK_BOT_TOKEN}"]}}}, "can't refer to anything"),
        ({"store": {"config": {"data_dir": "/etc"}}}, "store.data_dir: '/etc' lies outside the folders"),
    ],
)
def test_a_launched_path_or_secret_fails_with_one_sentence_and_is_not_quoted(
    declared: Path, config: dict[str, Any], expected: str, empty_graph: Graph
) -> None:
    from forecast_assets.definitions import defs

    job, instance = defs.resolve_job_def("panel"), empty_graph.instance
    done = job.execute_in_process({"resources": config}, instance=instance, raise_on_error=False)
    assert not done.success
    events = "\n".join(str(entry) for entry in instance.all_logs(done.run_id))
    assert expected in events
    assert TOKEN not in events
    assert "root:" not in events


def test_a_data_root_is_the_declared_one_or_lies_below_it(declared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def use(root: str) -> None:
        with dg.build_resources({"store": StoreResource(data_dir=root)}):
            pass

    use(str(declared / "data"))
    use(str(declared / "data" / "replay"))
    monkeypatch.setenv("FORECAST_DATA_DIR", "s3://bucket/data")
    use("s3://bucket/data/replay")
    for root in ("s3://bucket/data/../other", "s3://other/data", "/etc"):
        with pytest.raises(dg.DagsterResourceFunctionError) as raised:
            use(root)
        assert "lies outside the folders" in str(raised.value.__cause__)


def test_a_setting_that_only_looks_like_a_secret_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "5")
    monkeypatch.setenv("PWD", "/srv/forecasts")
    environment.refuse_secret("/srv/forecasts/data/raw", setting="source.panel")
    assert compose_settings("smoke", ["backtest.cost_bps=5"]).backtest.cost_bps == 5


def test_what_a_component_names_is_declared_for_its_runs_and_their_processes(declared: Path) -> None:
    outside = declared / "outside" / "p.csv"
    for root in (str(outside), "s3://bucket/nifty", "", str(outside)):
        environment.declare_root(root)
    assert os.environ["FORECAST_ROOTS"] == str(outside)  # a process that is started inherits it
    environment.require_inside(str(outside), setting="source.panel")
    assert environment.is_declared_root("s3://bucket/nifty")
    with pytest.raises(BadSetting, match="lies outside"):
        environment.require_inside(str(declared / "outside" / "q.csv"), setting="source.panel")
