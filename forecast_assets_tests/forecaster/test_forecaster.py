"""``Forecaster`` on the smoke graph: its numbers are the service's, the report's and the store's."""

import datetime as dt
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from forecast_assets import Forecaster
from forecast_assets.core.errors import BadInput, MissingArtefact, UserError
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.forecaster.api import RunFailed
from forecast_assets.serving.loading import Loader
from forecast_assets.serving.schemas import Answer
from forecast_assets.store.artefact_files import BACKTEST_METRICS, TABLE
from forecast_assets_tests.helpers.graph import Graph
from forecast_assets_tests.helpers.paths import PROJECT

if TYPE_CHECKING:
    import pandas as pd

NIGHT = dt.date(2019, 12, 31)


@pytest.fixture(scope="module")
def forecaster(smoke_graph: Graph) -> Forecaster:
    return Forecaster.load(smoke_graph.root)


@pytest.mark.parametrize("ticker", ["SYN00", "SYN05.T", "SYN07.DE"])
@pytest.mark.parametrize("day", [None, dt.date(2018, 3, 1), dt.date(2019, 6, 4), dt.date(2019, 12, 30)])
def test_a_forecast_is_what_the_service_answers(
    smoke_graph: Graph, forecaster: Forecaster, ticker: str, day: dt.date | None
) -> None:
    def no_model(version: object) -> object:
        raise UserError("a published forecast needs no model")

    snapshot = Loader(smoke_graph.store, open_model=no_model).refresh()  # type: ignore[arg-type]
    assert snapshot is not None
    answer = snapshot.find(ticker, day)
    assert isinstance(answer, Answer)
    rows = forecaster.forecast(ticker, date=day)
    assert rows["date"].unique().to_list() == [answer.session]
    assert rows["source"].unique().to_list() == [answer.source]
    assert rows["horizon"].to_list() == [horizon.sessions for horizon in answer.horizons] == list(HORIZONS)
    for row, horizon in zip(rows.iter_rows(named=True), answer.horizons, strict=True):
        wanted = {**horizon.quantiles.model_dump(), "mean": horizon.mean, "sigma": horizon.sigma, "p_up": horizon.p_up}
        assert {name: row[name] for name in wanted} == wanted


def test_several_tickers_stand_in_the_order_in_which_they_were_named(forecaster: Forecaster) -> None:
    rows = forecaster.forecast("SYN07.DE", "SYN00", "SYN07.DE")
    assert rows["ticker"].to_list() == ["SYN07.DE"] * 3 + ["SYN00"] * 3


def test_without_tickers_it_is_the_last_night(smoke_graph: Graph, forecaster: Forecaster) -> None:
    night = smoke_graph.table("nightly_forecast", str(NIGHT)).sort("ticker", "horizon")
    rows = forecaster.forecast()
    assert rows.select("date", "ticker", "horizon", *QUANTILE_COLUMNS).equals(
        night.select("date", "ticker", "horizon", *QUANTILE_COLUMNS)
    )


def test_the_leaderboard_and_the_backtest_are_the_reports(smoke_graph: Graph, forecaster: Forecaster) -> None:
    report = smoke_graph.version("backtest_report").json(BACKTEST_METRICS)
    leaderboard, strategies = forecaster.leaderboard(), forecaster.backtest()
    assert sorted(leaderboard["pinball_ratio"]) == sorted(row["pinball_ratio"] for row in report["forecasts"])
    first = leaderboard.filter(pl.col("horizon") == HORIZONS[0])["pinball_ratio"].to_list()
    assert first == sorted(first)
    assert strategies["sharpe"].to_list() == [row["sharpe"] for row in report["strategies"]]
    daily = [pl.read_parquet(smoke_graph.version("backtest", year).path(TABLE)) for year in ("2018", "2019")]
    assert forecaster.backtest(daily=True).equals(pl.concat(daily))
    assert len(forecaster.verdicts()) == len(report["verdicts"])


def test_a_picture_is_drawn_saved_and_shown_in_a_notebook(forecaster: Forecaster, tmp_path: Path) -> None:
    picture = forecaster.plot("SYN00", date="2019-06-04")
    assert picture.save(tmp_path / "fan.png").read_bytes() == picture._repr_png_()
    assert picture.save(tmp_path / "fan.svg").read_text().startswith("<svg")
    with pytest.raises(BadInput, match=r"fan\.gif: a picture is a \.png or a \.svg"):
        picture.save(tmp_path / "fan.gif")


def test_an_explanation_is_of_the_latest_forecast_unless_a_date_is_named(forecaster: Forecaster) -> None:
    assert forecaster.explain("SYN00") == forecaster.explain("SYN00", date=NIGHT)
    assert sum(forecaster.explain("SYN00", date="2019-03-05", model="b1_tft").variables.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("ticker", "date", "sentence"),
    [
        ("SYN0", None, "SYN0: no such ticker among the forecasts; did you mean SYN0"),
        (
            "SYN00",
            "2019-06-01",
            "SYN00: no forecast was made at the close of 2019-06-01; the one before is of 2019-05-31",
        ),
        ("SYN00", "2016-06-01", "SYN00: no forecast was made at the close of 2016-06-01; the first is of 2018-01-02"),
        ("SYN00", "1.6.2019", "1.6.2019: not a date like 2024-01-31"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    forecaster: Forecaster, ticker: str, date: str | None, sentence: str
) -> None:
    with pytest.raises(BadInput) as error:
        forecaster.forecast(ticker, date=date)
    assert str(error.value).startswith(sentence)


def test_an_empty_folder_and_a_panel_without_a_forecast_say_what_to_do(empty_graph: Graph, smoke_graph: Graph) -> None:
    with pytest.raises(BadInput, match="nothing is materialised there"):
        Forecaster.load(empty_graph.root)
    assert empty_graph.run("raw_panel", panel=smoke_graph.root / "raw" / "demo_panel.csv").failures == []
    with pytest.raises(MissingArtefact, match="no forecasts yet; make some with: forecast-assets run"):
        Forecaster.load(empty_graph.root).forecast("SYN00")


def test_a_fit_on_a_frame_is_the_run_on_its_file(smoke_graph: Graph, tmp_path: Path) -> None:
    shutil.copytree(smoke_graph.root, tmp_path, dirs_exist_ok=True)
    frame = pl.read_csv(smoke_graph.root / "raw" / "demo_panel.csv", infer_schema=False)

    def fitted(panel: "pl.DataFrame | pd.DataFrame") -> dict[tuple[str, str | None], str]:
        store = Forecaster.fit(panel, data_dir=tmp_path, profile="smoke").store
        return {slot: store.current(*slot).id for slot in smoke_graph.ids()}

    before, after = smoke_graph.ids(), fitted(frame)
    # Input lines are told apart in these; what is read from the panel's rows was found as it had been computed.
    by_line = {"raw_panel", "rejected_rows", "flags", "calendar_panel", "backtest_report", "ablation_report"}
    assert {asset for asset, slot in after if after[asset, slot] != before[asset, slot]} == by_line
    assert fitted(frame.to_pandas()) == after
    assert "FORECAST_PANEL" not in os.environ


def test_the_page_runs_as_it_stands(
    forecaster: Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smoke_graph: Graph
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(smoke_graph.root)
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "python.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert names["night"].equals(forecaster.forecast())
    assert (tmp_path / "fan.png").exists()


def test_a_fit_that_fails_names_the_stage_and_the_reason(tmp_path: Path) -> None:
    frame = pl.DataFrame({"Date": ["2020-01-06"], "Ticker": ["AAPL"], "Closing Price": [1.0]})
    with pytest.raises(RunFailed, match=r"^raw_panel: "):
        Forecaster.fit(frame, data_dir=tmp_path, profile="smoke")
    with pytest.raises(UserError, match="profile"):
        Forecaster.fit(frame, data_dir=tmp_path, profile="smok")
