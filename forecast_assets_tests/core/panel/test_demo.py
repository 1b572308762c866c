"""The synthetic panel has what its docstring describes."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.demo import EXCHANGES, demo_panel, write_demo_csv
from forecast_assets.core.panel.demo_announcements import announcement_moves
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.specs import DemoSpec, FeatureSpec
from forecast_assets.resources.settings import compose_settings
from forecast_assets_tests.helpers.announced import calendar, infer, inferred_dates, share_within_a_session
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.reading import read_files

SPEC = DemoSpec(start=dt.date(2016, 6, 1), end=dt.date(2021, 12, 31), tickers=18)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Reading]:
    path = tmp_path_factory.mktemp("demo") / "demo.csv"
    write_demo_csv(path, SPEC)
    return read_files([path], spec=panel_spec())


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    small = DemoSpec(start=dt.date(2020, 1, 2), end=dt.date(2020, 12, 31), tickers=6)
    for name in ("a.csv", "b.csv"):
        write_demo_csv(tmp_path / name, small)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not demo_panel(small).equals(demo_panel(small.model_copy(update={"seed": 8})))


def test_the_rival_forecasts_the_past_mean_and_variance_and_nothing_later(tmp_path: Path) -> None:
    small = DemoSpec(start=dt.date(2020, 1, 2), end=dt.date(2020, 12, 31), tickers=6)
    for name in ("a", "b"):
        write_demo_csv(tmp_path / f"{name}.csv", small, rival=tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    panel, rows = demo_panel(small), pl.read_parquet(tmp_path / "a.parquet")
    own = panel.filter(pl.col("Ticker") == "SYN00").sort("Date")
    returns = np.diff(np.log(own["Closing Price"].to_numpy()))
    weights = 0.94 ** np.arange(100)[::-1]
    day = own["Date"][100]  # that ends the 100th return
    made = rows.filter(pl.col("ticker") == "SYN00", pl.col("date") == day).sort("horizon")
    assert made["horizon"].to_list() == list(HORIZONS)
    mean, variance = returns[40:100].mean(), np.average(returns[:100] ** 2, weights=weights)
    np.testing.assert_allclose(made["mean"], mean * np.array(HORIZONS), atol=1e-7)
    np.testing.assert_allclose(made["sigma"], np.sqrt(variance * np.array(HORIZONS)), atol=1e-7)
    assert rows.filter(pl.col("ticker") == "SYN00")["date"].min() == own["Date"][60]


def test_every_messy_row_is_rejected_with_its_reason(read: tuple[pl.DataFrame, Reading]) -> None:
    assert read[1].rejected["class"].value_counts().sort("class").rows() == [("duplicate", 3), ("invalid", 5)]
    kinds = (
        read[1]
        .rejected.filter(pl.col("class") == "invalid")["reason"]
        .str.extract(r"^(phantom|\w+ \w+)")
        .sort()
        .to_list()
    )
    assert kinds == ["close is", "conflicting rows", "conflicting rows", "phantom", "the date"]
    assert read[0]["exchange"].unique().sort().to_list() == ["XETR", "XNYS", "XTKS"]


def test_the_irregular_histories_are_there(read: tuple[pl.DataFrame, Reading]) -> None:
    calendar = reindex(read[0], spec=panel_spec())
    flags = dict(read[1].flags.select("flag", "ticker").iter_rows())
    assert flags == {"new_ticker": "SYN01.DE", "ended_ticker": "SYN02.T", "sector_missing": "SYN05.T"}
    assert calendar.filter(pl.col("ticker") == "SYN03")["is_missing"].sum() == 3
    assert calendar.filter(pl.col("segment") > 0)["ticker"].unique().to_list() == ["SYN04.DE"]


def test_the_planted_signal_is_there_and_only_there(read: tuple[pl.DataFrame, Reading]) -> None:
    table = feature_panel(reindex(read[0], spec=panel_spec()), features=FeatureSpec())
    signal = (pl.col("return_20") / 0.09).tanh() - (pl.col("return_5") / 0.045).tanh()
    table = table.with_columns(signal=signal)
    pairs = table.drop_nulls(["signal", "target_1d"])
    ranks = pairs.select(pl.corr("signal", "target_1d", method="spearman")).item()
    assert 0.03 < ranks < 0.08
    # It acts between the next open and the next close: the next gap is independent of it.
    following = table.with_columns(pl.col("overnight_gap", "intraday_return").shift(-1).over("ticker")).drop_nulls()
    assert following.select(pl.corr("signal", "intraday_return", method="spearman")).item() > 0.04
    assert abs(following.select(pl.corr("signal", "overnight_gap", method="spearman")).item()) < 0.02


def test_returns_look_like_returns(read: tuple[pl.DataFrame, Reading]) -> None:
    table = feature_panel(reindex(read[0], spec=panel_spec()), features=FeatureSpec()).drop_nulls("target_1d")
    squares = table.select("ticker", square=pl.col("log_return") ** 2).drop_nulls()
    memory = squares.select(pl.corr("square", pl.col("square").shift(1).over("ticker"))).drop_nulls().item()
    returns = table["target_1d"].to_numpy()
    assert 0.1 < returns.std() * 252**0.5 < 0.45
    assert stats.kurtosis(returns) > 2
    assert memory > 0.05


def own_moves(panel: pl.DataFrame) -> pl.DataFrame:
    """Return the overnight and the day's log return, and log volume over its ticker's median, by date and ticker."""
    opened, closed = pl.col("Opening Price").log(), pl.col("Closing Price").log()
    volume = pl.col("Volume").log()
    return panel.sort("Ticker", "Date").select(
        "Date",
        "Ticker",
        gap=opened - closed.shift(1).over("Ticker"),
        day=closed - opened,
        volume=volume - volume.median().over("Ticker"),
    )


def test_announcements_move_their_own_sessions_and_no_other() -> None:
    spec = DemoSpec(start=dt.date(2020, 1, 2), end=dt.date(2020, 12, 31), tickers=9, signal=0.0)
    with_them = own_moves(demo_panel(spec.model_copy(update={"announcements": 3.0})))
    both = own_moves(demo_panel(spec)).join(with_them, on=["Date", "Ticker"], suffix="_with").drop_nulls()
    moved = both.filter((pl.col("gap") - pl.col("gap_with")).abs() > 1e-4)
    assert 9 * 2 < moved.height < 9 * 5  # a company has four a year, of which one in ten passes unseen
    assert np.median(moved["gap_with"].abs().to_numpy()) > 4 * np.median(both["gap"].abs().to_numpy())
    assert (moved["volume_with"] - moved["volume"]).mean() == pytest.approx(0.8, abs=0.1)
    others = both.join(moved, on=["Date", "Ticker"], how="anti")
    assert np.abs((others["day"] - others["day_with"]).to_numpy()).max() < 1e-4  # prices are rounded to four digits


def test_the_demo_s_announcements_are_inferred_from_its_prices() -> None:
    spec = compose_settings("demo", []).demo
    rows = rows_of(demo_panel(spec))
    _, inferred = infer(calendar(rows), rows_per_part=1_000_000)
    days = pl.concat([sessions(exchange, spec.start, spec.end) for exchange, _ in EXCHANGES]).unique().sort()
    open_days = [days.is_in(sessions(exchange, spec.start, spec.end).implode()) for exchange, _ in EXCHANGES]
    is_open = np.column_stack([open_days[n % len(EXCHANGES)].to_numpy() for n in range(spec.tickers)])
    moves, _ = announcement_moves(spec.seed, days, is_open, size=spec.announcements)
    on, ticker = np.nonzero(moves)
    names = [f"SYN{n:02d}{EXCHANGES[n % len(EXCHANGES)][1]}" for n in range(spec.tickers)]
    planted = pl.DataFrame({"ticker": [names[n] for n in ticker], "date": days.gather(on)})
    planted = planted.join(rows, on=["ticker", "date"], how="semi")  # halts and listings leave some out
    learned = pl.col("date").is_between(spec.start + dt.timedelta(days=8 * 91), spec.end - dt.timedelta(days=50))
    claimed = inferred_dates(inferred.events)
    assert share_within_a_session(planted.filter(learned), claimed, calendar(rows)) > 0.9
    assert share_within_a_session(claimed.filter(learned), planted, calendar(rows)) > 0.8


def rows_of(panel: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a demo panel as ingest names them."""
    suffix = pl.col("Ticker").str.extract(r"(\..+)$").fill_null("")
    return panel.select(
        date="Date",
        ticker="Ticker",
        exchange=suffix.replace_strict({suffix: exchange for exchange, suffix in EXCHANGES}),
        sector="Sector",
        open="Opening Price",
        high="High",
        low="Low",
        close="Closing Price",
        volume=pl.col("Volume").cast(pl.Float64),
    )
