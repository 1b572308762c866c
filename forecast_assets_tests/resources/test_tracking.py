"""Tracking with the real W&B client: offline, unreachable, misconfigured."""

import logging
from pathlib import Path

import pytest

from forecast_assets.resources import tracking
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets_tests.helpers.offline_runs import offline_runs

log = logging.getLogger("tracking")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))


def fit(resource: TrackingResource, name: str = "b2/2020/0") -> None:
    with resource.run(name=name, group="b2_tft_ticker", config={"hidden": 16}, log=log) as record:
        record({"epoch": 0, "validation_pinball": 0.5})
        record({"epoch": 1, "validation_pinball": 0.4})


def test_every_fit_is_an_offline_run_under_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    resource = TrackingResource()
    fit(resource, "first")
    fit(resource, "second")
    assert len(offline_runs(tmp_path, holding=b"validation_pinball")) == 2


def test_an_unreachable_server_is_logged_once_and_the_runs_are_kept_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking, "INIT_SECONDS", 2)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    resource = TrackingResource(mode="online")
    fit(resource)
    fit(resource)
    assert len(offline_runs(tmp_path)) == 2
    warnings = [record.getMessage() for record in caplog.records if record.name == "tracking"]
    assert len(warnings) == 1
    assert warnings[0].startswith("W&B: ")
    assert "0" * 40 not in warnings[0]


def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "file"))
    fit(TrackingResource(mode="offline"))
    assert [record.levelname for record in caplog.records if record.name == "tracking"] == ["WARNING"]


def test_disabled_tracking_writes_nothing(tmp_path: Path) -> None:
    fit(TrackingResource(mode="disabled"))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_fit_fails_with_its_own_error(tmp_path: Path) -> None:
    resource = TrackingResource(mode="offline")
    with pytest.raises(FloatingPointError, match="diverged"), resource.run(name="x", group="y", config={}, log=log):
        raise FloatingPointError("diverged")
    assert len(offline_runs(tmp_path)) == 1
