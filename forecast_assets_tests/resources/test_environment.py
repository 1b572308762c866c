"""Settings from environment variables: the engine, and what is sent to a cluster."""

import re
from pathlib import Path

import pytest

from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.resources import environment
from forecast_assets.resources.compute import ComputeResource, step_executor
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.ray_engine import RayEngine
from forecast_assets.resources.source import PanelSource


def test_the_engine_is_this_process_unless_a_cluster_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ComputeResource().engine(), LocalEngine)
    assert step_executor() is None
    monkeypatch.setenv("FORECAST_ENGINE", "ray")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    engine = ComputeResource().engine()
    assert isinstance(engine, RayEngine)
    assert engine.address == "head:6379"
    executor = step_executor()
    assert executor is not None
    assert executor.name == "ray"


def test_an_unknown_engine_raises_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_ENGINE", "spark")
    with pytest.raises(BadSetting, match=r"^FORECAST_ENGINE: 'spark' is no engine; choose local or ray$"):
        ComputeResource().engine()


def test_ray_that_is_not_installed_raises_with_the_command_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_ENGINE", "ray")
    monkeypatch.setattr(environment, "find_spec", lambda _: None)
    with pytest.raises(BadSetting, match=re.escape("pip install 'forecast-assets[ray]'")):
        ComputeResource().engine()


def test_no_secret_is_among_the_settings_that_are_sent_with_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("FORECAST_DATA_DIR", "FORECAST_ENGINE", *environment.SECRET_SETTINGS)
    for name in (*ours, "SLACK_BOT_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "ray" if name == "FORECAST_ENGINE" else "x")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert environment.shared_settings() == ["FORECAST_DATA_DIR", "FORECAST_ENGINE", "WANDB_MODE"]


def test_with_a_store_elsewhere_what_has_to_be_local_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", "s3://bucket/data")
    cache = Path.home() / ".cache" / "forecast_assets"
    assert environment.panel_path() == str(cache / "raw")
    assert environment.checkpoint_folder() == cache / "checkpoints"
    monkeypatch.setenv("FORECAST_DATA_DIR", "here")
    assert environment.panel_path() == str(Path("here/raw"))


@pytest.mark.parametrize("name", ["macro", "universe", "sectors"])
def test_a_file_beside_the_panel_has_to_be_there_and_local(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, file = f"FORECAST_{name.upper()}", tmp_path / "given.csv"
    read = getattr(PanelSource(), name)
    assert read().path is None
    nothing = read().digest()
    monkeypatch.setenv(variable, str(file))
    with pytest.raises(BadInput, match=f"given.csv: no such file; name the .* with {variable}, or leave it unset"):
        read()
    file.write_text("")
    assert read().digest() != nothing
    file.write_text("Ticker\n")
    first = read()
    assert first.path == file
    assert (before := first.digest()) != nothing
    file.write_text("Other\n")
    assert read().digest() != before
    monkeypatch.setenv(variable, "s3://bucket/given.csv")
    with pytest.raises(BadInput, match=f"{variable}: a URL is not read"):
        read()


@pytest.mark.parametrize(
    ("profile", "root"), [("demo", "data/demo"), ("smoke", "data/smoke"), ("full", "data"), (None, "data/demo")]
)
def test_each_synthetic_panel_has_a_data_root_of_its_own(
    profile: str | None, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The nights of one are not those of the other: hundreds would be due in it.
    monkeypatch.delenv("FORECAST_DATA_DIR", raising=False)
    monkeypatch.delenv("FORECAST_PROFILE", raising=False)
    if profile:
        monkeypatch.setenv("FORECAST_PROFILE", profile)
    assert environment.data_dir() == root
