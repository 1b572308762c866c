"""The demo panel is written where it is not what the same code and settings wrote before."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel import demo
from forecast_assets.core.specs import DemoSpec
from forecast_assets.resources import source
from forecast_assets_tests.helpers.builders import panel_spec

SPEC = DemoSpec(tickers=6, start=dt.date(2019, 1, 2), end=dt.date(2019, 6, 28))


def test_the_demo_panel_is_written_again_only_where_it_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    panel, rival = tmp_path / "raw" / "demo.csv", tmp_path / "rival.parquet"
    source._write_demo(panel, SPEC, rival=rival)
    written, first = panel.stat().st_mtime_ns, panel.read_bytes()
    source._write_demo(panel, SPEC, rival=rival)
    assert panel.stat().st_mtime_ns == written

    panel.write_bytes(first[:-20])  # cut off
    source._write_demo(panel, SPEC, rival=rival)
    assert panel.read_bytes() == first

    source._write_demo(panel, SPEC.model_copy(update={"seed": 8}), rival=rival)
    assert panel.read_bytes() != first

    for module in (source, demo):
        monkeypatch.setattr(module, "HORIZONS", (1, 3))
    source._write_demo(panel, SPEC, rival=rival)
    assert set(pl.read_parquet(rival)["horizon"]) == {1, 3}


def test_the_demo_panel_is_never_mixed_with_files_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path))
    for variable in ("FORECAST_PROFILE", "FORECAST_PANEL"):
        monkeypatch.delenv(variable, raising=False)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "prices.csv").write_text("Date,Ticker,Closing Price\n2025-05-27,AAPL,200.21\n")

    def read() -> list[str]:
        found = source.PanelSource().input_files(SPEC, panel_spec(), data_root=str(tmp_path))
        return [file.path.name for file in found.files]

    with pytest.raises(BadInput, match=r"prices\.csv: the profile demo reads a synthetic panel.*--profile full"):
        read()
    assert [path.name for path in raw.iterdir()] == ["prices.csv"]

    monkeypatch.setenv("FORECAST_PROFILE", "full")
    assert read() == ["prices.csv"]

    (raw / "prices.csv").unlink()
    (raw / "notes.txt").write_text("mine")
    monkeypatch.delenv("FORECAST_PROFILE")
    assert read() == ["demo_panel.csv"]

    (raw / "prices.csv").write_text("Date,Ticker,Closing Price\n2025-05-27,AAPL,200.21\n")
    monkeypatch.setenv("FORECAST_PROFILE", "full")
    with pytest.raises(BadInput, match=r"demo_panel\.csv: the synthetic panel of a demo run lies beside prices\.csv"):
        read()
    monkeypatch.setenv("FORECAST_PANEL", str(raw / "prices.csv"))
    assert read() == ["prices.csv"]
