"""Every feature against an oracle or a naive loop."""

import math

import numpy as np
import polars as pl
import pytest
import talib
from scipy import stats

from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.features import (
    SCALE,
    add_cross,
    cross_names,
    declare,
    declare_cross,
    feature_names,
    own_names,
)
from forecast_assets.core.panel.known_future import KNOWN_FUTURE
from forecast_assets.core.specs import FeatureSpec
from forecast_assets_tests.helpers.builders import panel, panel_spec, raw
from forecast_assets_tests.helpers.random_walks import walk

LENGTH = 150
WARM_UP = {
    "log_return": 1,
    "return_5": 5,
    "return_20": 20,
    "overnight_gap": 1,
    "intraday_return": 0,
    "volume_z_20": 19,
    "volatility_20": 20,
    "rsi_14": 14,
    "macd": 25,
    "macd_signal": 33,
    "skew_60": 60,
    "kurt_60": 60,
    "har_1": 1,
    "har_5": 5,
    "har_22": 22,
    "rank_return_1": 1,
    "rank_volatility": 20,
    "market_return": 1,
    "sector_return": 1,
    "market_variance": 1,
    "market_volatility": 20,
}  # rows of a segment before a feature's first value


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return walk("AAPL", LENGTH, seed=1)


@pytest.fixture(scope="module")
def out(rows: pl.DataFrame) -> pl.DataFrame:
    return feature_panel(reindex(rows, spec=panel_spec()), features=FeatureSpec())


def values(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy()  # null becomes NaN


def over_windows(series: np.ndarray, window: int, statistic: object) -> np.ndarray:
    assert callable(statistic)
    result = np.full(len(series), np.nan)
    for k in range(window - 1, len(series)):
        result[k] = statistic(series[k - window + 1 : k + 1])
    return result


def test_the_values_begin_after_the_warm_up(out: pl.DataFrame) -> None:
    for name, rows in WARM_UP.items():
        assert out[name].dtype == pl.Float64
        assert out[name].null_count() == rows, name
        assert out[name][:rows].null_count() == rows, name
        assert out[name].drop_nulls().is_finite().all(), name


def test_rsi_and_macd_equal_ta_lib_from_their_first_row(rows: pl.DataFrame, out: pl.DataFrame) -> None:
    close = rows["close"].to_numpy()
    line, signal, _ = talib.MACD(close, 12, 26, 9)
    np.testing.assert_allclose(values(out, "rsi_14")[14:], talib.RSI(close, 14)[14:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(values(out, "macd")[33:], (line / close)[33:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(values(out, "macd_signal")[33:], (signal / close)[33:], rtol=0, atol=1e-12)


def test_moments_equal_scipy_without_bias(out: pl.DataFrame) -> None:
    r = values(out, "log_return")
    for name, statistic in (("skew_60", stats.skew), ("kurt_60", stats.kurtosis)):
        expected = over_windows(r, 60, lambda window, f=statistic: f(window, bias=False))
        np.testing.assert_allclose(values(out, name), expected, rtol=1e-9, atol=1e-9)


def test_volatility_volume_and_har_equal_naive_windows(rows: pl.DataFrame, out: pl.DataFrame) -> None:
    r, volume = values(out, "log_return"), rows["volume"].to_numpy()
    o, h, low, c = (rows[name].to_numpy() for name in ("open", "high", "low", "close"))
    gap = np.append(np.nan, np.log(o[1:] / c[:-1]))
    proxy = gap**2 + 0.5 * np.log(h / low) ** 2 - (2 * math.log(2) - 1) * np.log(c / o) ** 2
    expected = {
        "log_return": np.append(np.nan, np.diff(np.log(c))),
        "return_5": np.append([np.nan] * 5, np.log(c[5:] / c[:-5])),
        "return_20": np.append([np.nan] * 20, np.log(c[20:] / c[:-20])),
        "overnight_gap": gap,
        "intraday_return": np.log(c / o),
        "volatility_20": over_windows(r, 20, lambda w: w.std(ddof=1)),
        "volume_z_20": over_windows(volume, 20, lambda w: (w[-1] - w.mean()) / w.std(ddof=1)),
        **{f"har_{n}": np.log(over_windows(proxy, n, np.mean)) for n in (1, 5, 22)},
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(values(out, name), numbers, rtol=1e-9, atol=1e-12, err_msg=name)


def test_ewma_volatility_starts_from_the_mean_of_twenty_squares(out: pl.DataFrame) -> None:
    r = values(out, "log_return")
    variance = np.mean(r[1:21] ** 2)
    expected = [math.sqrt(variance)]
    for value in r[21:]:
        variance = 0.94 * variance + 0.06 * value**2
        expected.append(math.sqrt(variance))
    assert out[SCALE][:20].null_count() == 20
    np.testing.assert_allclose(values(out, SCALE)[20:], expected, rtol=1e-12)


def test_a_flat_series_has_defined_features() -> None:
    flat = raw("AAPL", [10.0] * 80, volumes=[0.0] * 40 + [None] * 40)
    last = feature_panel(reindex(flat, spec=panel_spec()), features=FeatureSpec()).row(-1, named=True)
    expected = {"rsi_14": 50.0, "volume_z_20": 0.0, "skew_60": 0.0, "kurt_60": 0.0, "macd": 0.0}
    assert {name: last[name] for name in expected} == expected
    assert last["volatility_20"] == last[SCALE] == 1e-4
    assert last["har_1"] == last["har_22"] == pytest.approx(math.log(1e-8))


def test_a_misprinted_low_does_not_enter_the_variance_proxy() -> None:
    frame = raw("BA.L", [500.0, 500.0, 510.0], exchange="XLON", ranged=True).with_columns(
        low=pl.when(pl.int_range(pl.len()) == 2).then(5.0).otherwise(pl.col("low"))
    )
    out = feature_panel(reindex(frame, spec=panel_spec()), features=FeatureSpec())
    assert out["har_1"][2] == pytest.approx(math.log(math.log(510 / 500) ** 2))


def test_ranks_are_within_the_date_and_exchange() -> None:
    returns = {"AAA": 0.03, "BBB": 0.01, "CCC": 0.02, "DDD": 0.02}
    parts = [raw(name, [10.0, 10.0 * math.exp(r)]) for name, r in returns.items()]
    out = feature_panel(
        reindex(panel(*parts, raw("X.DE", [5.0, 4.0], exchange="XETR")), spec=panel_spec()), features=FeatureSpec()
    )
    last = out.filter(pl.col("date") == out["date"].max())
    assert last["rank_return_1"].to_list() == [0.375, -0.375, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("lengths", [{"macd_fast": 26}, {"macd_fast": 20, "macd_slow": 12}])
def test_a_slow_average_that_is_not_the_slower_one_is_rejected(lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="has to be longer than macd_fast"):
        FeatureSpec(**lengths)


def test_names_follow_the_settings_and_every_feature_is_described() -> None:
    spec = FeatureSpec(volume_window=30, rsi_window=7)
    assert {"volume_z_30", "rsi_7"} <= {*own_names(spec), *cross_names(spec)}
    features = (*declare(FeatureSpec()), *declare_cross(FeatureSpec()))
    assert [f.name for f in features] == list(WARM_UP)
    assert len(declare(spec)) + len(declare_cross(spec)) == len(WARM_UP)
    assert all(f.formula and f.unit and f.source for f in features)


def test_feature_names_leave_out_keys_scale_and_targets(out: pl.DataFrame) -> None:
    frame = out.select(*KNOWN_FUTURE, pl.exclude(KNOWN_FUTURE))
    assert feature_names(frame) == (*WARM_UP, *KNOWN_FUTURE)


def test_market_and_sector_returns_are_means_over_the_exchange_of_the_day() -> None:
    frame = panel(
        walk("AAPL", 30, seed=1),
        walk("MSFT", 30, seed=2),
        walk("XOM", 30, seed=3).with_columns(sector=pl.lit("Energy")),
        walk("SAP.DE", 30, seed=4, exchange="XETR"),
    )
    found = feature_panel(reindex(frame, spec=panel_spec()), features=FeatureSpec())
    day = found.filter(pl.col("ticker") == "AAPL")["date"][7]
    rows = {row["ticker"]: row for row in found.filter(pl.col("date") == day).iter_rows(named=True)}
    own = {ticker: row["log_return"] for ticker, row in rows.items()}
    market, technology = np.mean([own["AAPL"], own["MSFT"], own["XOM"]]), np.mean([own["AAPL"], own["MSFT"]])
    assert rows["AAPL"]["market_return"] == pytest.approx(market)
    assert rows["XOM"]["market_return"] == pytest.approx(market)
    assert rows["MSFT"]["sector_return"] == pytest.approx(technology)
    assert rows["XOM"]["sector_return"] == own["XOM"]
    assert rows["SAP.DE"]["market_return"] == rows["SAP.DE"]["sector_return"] == own["SAP.DE"]


def test_market_variance_and_volatility_are_those_of_the_exchange_on_the_day() -> None:
    frame = panel(walk("AAPL", 40, seed=1), walk("MSFT", 40, seed=2), walk("SAP.DE", 40, seed=4, exchange="XETR"))
    found = feature_panel(reindex(frame, spec=panel_spec()), features=FeatureSpec())
    day = found.filter(pl.col("ticker") == "AAPL")["date"][30]
    rows = {row["ticker"]: row for row in found.filter(pl.col("date") == day).iter_rows(named=True)}
    names = [rows["AAPL"], rows["MSFT"]]
    variance = np.log(np.mean([row["log_return"] ** 2 for row in names]))
    volatility = np.mean([np.log(row["volatility_20"]) for row in names])
    for row in names:
        assert row["market_variance"] == pytest.approx(variance)
        assert row["market_volatility"] == pytest.approx(volatility)
    assert rows["SAP.DE"]["market_variance"] == pytest.approx(2 * np.log(abs(rows["SAP.DE"]["log_return"])))


def test_cross_sections_are_the_same_to_the_last_bit_in_any_order_of_the_rows() -> None:
    rng, days, tickers = np.random.default_rng(0), 250, 100
    rows = pl.DataFrame(
        {
            "number": np.arange(days * tickers),
            "date": pl.Series(np.tile(np.arange(days), tickers).astype(np.int32)).cast(pl.Date),
            "exchange": ["XNYS"] * (days * tickers),
            "sector": np.repeat([f"Sector {k % 3}" for k in range(tickers)], days),
            "is_member": np.repeat([k % 4 > 0 for k in range(tickers)], days),
            "log_return": rng.normal(0, 0.02, days * tickers),
            "volatility_20": np.exp(rng.normal(-4, 0.3, days * tickers)),
        }
    )
    names = ["number", *cross_names(FeatureSpec())]
    found = add_cross(rows, spec=FeatureSpec()).select(names)
    for seed in range(3):
        shuffled = add_cross(rows.sample(fraction=1.0, shuffle=True, seed=seed), spec=FeatureSpec())
        assert shuffled.sort("number").select(names).equals(found)
