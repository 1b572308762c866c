from pathlib import Path

import polars as pl
import pytest
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.windows.build import build_tensors
from forecast_assets.core.windows.days import to_date
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors
from forecast_assets_tests.helpers.tensors import random_panel


def frame(**changes: list[object]) -> pl.DataFrame:
    """Two tickers, A with a second segment from its 4th row on."""
    columns: dict[str, object] = {
        "date": [f"2020-01-0{d}" for d in (1, 2, 3, 6, 7)] + ["2020-01-01", "2020-01-02"],
        "ticker": ["A"] * 5 + ["B"] * 2,
        "sector": ["Energy"] * 5 + [None] * 2,
        "exchange": ["XNYS"] * 5 + ["XETR"] * 2,
        "segment": [0, 0, 0, 1, 1, 0, 0],
        "is_missing": [False, False, True, False, False, False, False],
        "is_member": [True] * 7,
        "x": [None, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        "ewma_vol": [0.1] * 7,
        "target_1d": [0.1, None, None, 0.4, None, 0.6, None],
        "target_5d": [None] * 7,
        "target_20d": [None] * 7,
        "label_end": ["2020-01-02", None, None, "2020-01-07", None, "2020-01-02", None],
    }
    table = pl.DataFrame(columns | changes, schema_overrides={"target_5d": pl.Float64, "target_20d": pl.Float64})
    return table.with_columns(pl.col("date", "label_end").str.to_date())


def test_sequences_of_complete_rows_end_at_tickers_segments_and_missing_features() -> None:
    panel = build_tensors(frame(), feature_names=("x",))
    assert panel.run_length.tolist() == [0, 1, 2, 1, 2, 1, 2]
    assert torch.nonzero(panel.segment_start).flatten().tolist() == [0, 3, 5]


def test_a_window_may_begin_but_not_end_outside_the_universe() -> None:
    panel = build_tensors(frame(is_member=[False, False, True, True, False, False, True]), feature_names=("x",))
    assert panel.run_length.tolist() == [0, 1, 2, 1, 2, 1, 2]  # as if they were members
    assert panel.ends(1).tolist() == [3, 6]  # the third row is filled
    assert panel.ends(2).tolist() == [6]


def test_the_union_sessions_are_those_on_which_a_member_is_quoted() -> None:
    panel = build_tensors(frame(is_member=[False, True, True, True, True, True, False]), feature_names=("x",))
    assert [to_date(day).day for day in panel.sessions().tolist()] == [1, 2, 6, 7]


def test_a_sequence_ends_where_the_sector_changes() -> None:
    sectors: list[object] = ["Energy", "Energy", "Media", "Media", "Energy", None, None]
    panel = build_tensors(frame(sector=sectors, x=[1.0] * 7), feature_names=("x",))
    assert panel.sequences().diff().tolist() == [0, 1, 1, 1, 1, 0]
    constant = build_tensors(frame(), feature_names=("x",))
    assert constant.sequences()[constant.run_length > 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_rows_keep_their_dates_codes_and_labels() -> None:
    panel = build_tensors(frame(), feature_names=("x",))
    assert panel.tickers == ("A", "B")
    assert panel.ticker.tolist() == [0] * 5 + [1] * 2
    assert panel.sectors == ("Energy", "Unknown")
    assert panel.date[0] == 18_262
    assert panel.label_end.tolist() == [18_263, NO_DATE, NO_DATE, 18_268, NO_DATE, 18_263, NO_DATE]
    assert torch.isnan(panel.targets[:, 1:]).all()
    assert panel.targets[:, 0].nan_to_num(-1).tolist() == pytest.approx([0.1, -1, -1, 0.4, -1, 0.6, -1])


def test_a_missing_feature_ends_the_sequence() -> None:
    panel = build_tensors(frame(x=[1.0, None, 3.0, 4.0, float("nan"), 6.0, 7.0]), feature_names=("x",))
    assert panel.run_length.tolist() == [1, 0, 1, 1, 0, 1, 2]


def test_a_panel_without_a_complete_row_says_so() -> None:
    with pytest.raises(BadInput, match="no row has all features"):
        build_tensors(frame(x=[None] * 7).with_columns(pl.col("x").cast(pl.Float64)), feature_names=("x",))


def test_windows_are_the_rows_that_end_there() -> None:
    panel = random_panel(tickers=2, sessions=10, features=3)
    window = panel.windows(torch.tensor([4, 15]), lookback=3, columns=torch.tensor([2, 0]))
    assert window.shape == (2, 3, 2)
    assert torch.equal(window[0], panel.features[2:5][:, [2, 0]])
    assert torch.equal(window[1], panel.features[13:16][:, [2, 0]])


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(ValueError, match=r"no feature \['mood'\]"):
        random_panel(tickers=1, sessions=5).columns(("log_return", "mood"))


def test_what_is_saved_comes_back_whole(tmp_path: Path) -> None:
    panel = random_panel(tickers=2, sessions=10)
    panel.save(tmp_path / "panel.safetensors")
    loaded = PanelTensors.load(tmp_path / "panel.safetensors")
    assert loaded.feature_names == panel.feature_names
    assert loaded.tickers == panel.tickers
    for name in ("features", "targets", "scale", "date", "label_end", "ticker", "observed", "run_length"):
        assert torch.equal(getattr(loaded, name).nan_to_num(7), getattr(panel, name).nan_to_num(7)), name


def test_the_row_of_a_forecast_origin_is_found_by_ticker_and_date() -> None:
    panel = random_panel(tickers=3, sessions=50)
    rows = torch.tensor([7, 149, 60, 0])
    tickers = [panel.tickers[code] for code in panel.ticker[rows]]
    dates = panel.date[rows].numpy().astype("datetime64[D]")
    assert panel.rows_of(tickers, dates).tolist() == rows.tolist()
    assert panel.find(["T01", "GONE", "T02"], dates[:3]).tolist() == [57, -1, 110]
    with pytest.raises(ValueError, match="1 of 2 forecast origins have no row"):
        panel.rows_of(["T00", "GONE"], dates[:2])


def test_rows_taken_from_a_panel_name_only_what_they_have() -> None:
    panel = random_panel(tickers=4, sessions=30)
    rows = torch.nonzero((panel.ticker == 1) | (panel.ticker == 3)).squeeze(1)
    taken = panel.take(rows)
    assert taken.tickers == ("T01", "T03")
    assert taken.sectors == ("Odd",)
    assert taken.ticker.tolist() == [0] * 30 + [1] * 30
    assert taken.ticker.dtype == panel.ticker.dtype
    assert taken.sector.unique().tolist() == [0]
    assert torch.equal(taken.features, panel.features[rows])
    assert panel.take(rows[:0]).tickers == ()
