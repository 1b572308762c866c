"""Tensors written in parts are the tensors built whole."""

from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors import safe_open

from forecast_assets.core.panel.features import feature_names
from forecast_assets.core.panel.parts import ticker_parts
from forecast_assets.core.windows.build import Vocabulary, build_tensors, part_tensors
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.writer import TensorFile
from forecast_assets_tests.core.panel.test_leakage import features
from forecast_assets_tests.helpers.builders import panel, panel_spec
from forecast_assets_tests.helpers.random_walks import walk


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    assert panel_spec().calendar == "exchange"
    return features(
        panel(
            walk("AAPL", 90, seed=1),
            walk("MSFT", 80, seed=2).with_columns(sector=pl.lit(None, dtype=pl.String)),
            walk("SAP.DE", 90, seed=3, exchange="XETR"),
        )
    )


def test_a_panel_written_ticker_by_ticker_loads_as_the_panel_built_whole(rows: pl.DataFrame, tmp_path: Path) -> None:
    columns = feature_names(rows)
    vocabulary = Vocabulary.of(rows.lazy())
    empty = part_tensors(rows.head(0), feature_names=columns, vocabulary=vocabulary)
    with TensorFile(tmp_path / "panel.safetensors", empty, rows=rows.height) as file:
        for part in ticker_parts(rows.lazy(), rows_per_part=1):
            file.append(part_tensors(part, feature_names=columns, vocabulary=vocabulary).tensors())
    loaded, whole = PanelTensors.load(tmp_path / "panel.safetensors"), build_tensors(rows, feature_names=columns)
    assert loaded.metadata() == whole.metadata()
    assert whole.run_length.max() > 20
    for name, tensor in whole.tensors().items():
        torch.testing.assert_close(loaded.tensors()[name], tensor, rtol=0, atol=0, equal_nan=True)
        assert loaded.tensors()[name].dtype == tensor.dtype
    with safe_open(tmp_path / "panel.safetensors", framework="np") as file_:
        assert set(file_.keys()) == set(whole.tensors())


def test_more_or_fewer_rows_than_declared_are_rejected(rows: pl.DataFrame, tmp_path: Path) -> None:
    whole = build_tensors(rows, feature_names=feature_names(rows))
    with (
        pytest.raises(ValueError, match="fewer rows were written"),
        TensorFile(tmp_path / "short", whole, rows=whole.rows + 1) as file,
    ):
        file.append(whole.tensors())
    with (
        pytest.raises(ValueError, match="does not fit"),
        TensorFile(tmp_path / "long", whole, rows=whole.rows - 1) as file,
    ):
        file.append(whole.tensors())
