import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp

from forecast_assets.core.errors import BadInput
from forecast_assets.core.monitoring.blocks import block_positions
from forecast_assets.core.monitoring.drift import GRID, benjamini_hochberg, feature_drift, split_periods
from forecast_assets.core.specs import DriftSpec

FIRST = dt.date(2020, 1, 1)
FAR = dt.date(2100, 1, 1)
SPEC = DriftSpec(recent_sessions=60, reference_sessions=750, bootstrap_samples=200, seed=3)


def persistent_panel(seed: int, *, sessions: int = 810, tickers: int = 10, features: int = 1) -> pl.DataFrame:
    """Features that are AR(.9) in time and share half of their variance across tickers; no drift."""
    generator = np.random.default_rng(seed)

    def autoregression(width: int) -> np.ndarray:
        steps = np.sqrt(1 - 0.9**2) * generator.standard_normal((sessions, width))
        steps[0] /= np.sqrt(1 - 0.9**2)
        for day in range(1, sessions):
            steps[day] += 0.9 * steps[day - 1]
        return steps

    day = np.repeat(np.arange(sessions), tickers)
    return pl.DataFrame(
        {
            "date": pl.Series(day).cast(pl.Int32).cast(pl.Date).dt.offset_by("50y"),
            "ticker": np.tile([f"T{i:02d}" for i in range(tickers)], sessions),
            "is_missing": np.zeros(len(day), dtype=bool),
            **{
                f"f{i}": (np.sqrt(0.5) * (autoregression(1) + autoregression(tickers))).ravel() for i in range(features)
            },
        }
    )


def drift(panel: pl.DataFrame, features: list[str]) -> pl.DataFrame:
    periods = split_periods(panel, spec=SPEC, as_of=FAR)
    return feature_drift(periods.reference, periods.recent, features=features, spec=SPEC)


def test_no_drift_is_rejected_at_the_nominal_rate_on_a_persistent_correlated_panel() -> None:
    p_values = np.array([drift(persistent_panel(seed), ["f0"])["p_value"][0] for seed in range(100)])
    assert (p_values <= 0.05).mean() <= 0.10  # an ordinary p-value rejects about 70 of 100 here
    assert 0.40 <= p_values.mean() <= 0.60


def test_an_ordinary_p_value_would_reject_most_of_the_time() -> None:
    rejected = 0
    for seed in range(20):
        periods = split_periods(persistent_panel(seed), spec=SPEC, as_of=FAR)
        rejected += ks_2samp(periods.reference["f0"].to_numpy(), periods.recent["f0"].to_numpy()).pvalue <= 0.05
    assert rejected >= 12


def test_the_one_shifted_feature_of_ten_is_found() -> None:
    panel = persistent_panel(1, features=10)
    recent = pl.col("date") > panel["date"].unique().sort()[-61]
    shifted = panel.with_columns(f3=pl.when(recent).then(pl.col("f3") + 2.0).otherwise("f3"))
    result = drift(shifted, [f"f{i}" for i in range(10)])
    assert result.filter("alert")["feature"].to_list() == ["f3"]
    assert result["feature"].to_list() == [f"f{i}" for i in range(10)]


def test_a_doubled_spread_is_found_although_the_level_stays() -> None:
    panel = persistent_panel(2)
    recent = pl.col("date") > panel["date"].unique().sort()[-61]
    assert drift(panel.with_columns(pl.when(recent).then(pl.col("f0") * 3).otherwise("f0")), ["f0"])[
        "alert"
    ].to_list() == [True]


def test_the_distance_is_scipys_to_the_width_of_the_grid() -> None:
    periods = split_periods(persistent_panel(5), spec=SPEC, as_of=FAR)
    ours = feature_drift(periods.reference, periods.recent, features=["f0"], spec=SPEC)["ks_distance"][0]
    exact = ks_2samp(periods.reference["f0"].to_numpy(), periods.recent["f0"].to_numpy()).statistic
    assert exact - 1 / GRID <= ours <= exact + 1e-12


def test_the_same_seed_gives_the_same_table() -> None:
    panel = persistent_panel(4, features=2)
    assert drift(panel, ["f0", "f1"]).equals(drift(panel, ["f0", "f1"]))


def test_filled_rows_nulls_and_nan_do_not_count() -> None:
    panel = persistent_panel(6)
    filled = panel.with_columns(is_missing=pl.lit(True), ticker=pl.lit("GONE"), f0=pl.lit(1e9))
    holes = panel.with_columns(
        ticker=pl.lit("HOLE"), f0=pl.when(pl.col("ticker") == "T00").then(None).otherwise(float("nan"))
    )
    assert drift(pl.concat([panel, filled, holes]), ["f0"]).equals(drift(panel, ["f0"]))


def test_a_distance_beyond_the_critical_one_is_a_p_value_below_the_rate() -> None:
    results = pl.concat(drift(persistent_panel(seed), ["f0"]) for seed in range(20))
    beyond = results["ks_distance"] > results["critical_distance"]
    assert 0 < beyond.sum() < len(beyond)
    assert beyond.equals(results["p_value"] <= SPEC.false_discovery_rate)


def test_a_feature_that_has_vanished_alerts_without_a_distance() -> None:
    panel = persistent_panel(7)
    recent = pl.col("date") > panel["date"].unique().sort()[-61]
    gone = panel.with_columns(pl.when(recent).then(None).otherwise("f0").alias("f0"), never=pl.lit(None, pl.Float64))
    result = drift(gone, ["f0", "never"])
    assert result["ks_distance"].to_list() == [None, None]
    assert result["p_value"].to_list() == [None, None]
    assert result["alert"].to_list() == [True, False]


def test_a_feature_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"features \['nope'\] are not in the feature panel"):
        drift(persistent_panel(0), ["f0", "nope"])


def test_a_panel_too_short_to_compare_is_an_error() -> None:
    with pytest.raises(BadInput, match="179 sessions up to 2100-01-01, at least 180 are needed"):
        drift(persistent_panel(0, sessions=179), ["f0"])


def test_the_periods_are_neighbours_and_end_at_the_given_day() -> None:
    panel = persistent_panel(0)
    days = panel["date"].unique().sort()
    periods = split_periods(panel, spec=SPEC, as_of=days[499])
    assert periods.recent["date"].unique().sort().to_list() == days[440:500].to_list()
    assert periods.reference["date"].unique().sort().to_list() == days[:440].to_list()


def test_benjamini_hochberg_takes_all_up_to_the_last_that_passes() -> None:
    p_values = np.array([0.04, 0.001, 0.9, 0.029, 0.05])  # bounds .01 .02 .03 .04 .05; sorted .001 .029 .04 .05 .9
    assert benjamini_hochberg(p_values, rate=0.05).tolist() == [False, True, False, False, False]
    assert benjamini_hochberg(np.array([0.04, 0.03, 0.02]), rate=0.05).tolist() == [True, True, True]
    assert benjamini_hochberg(np.array([0.2, 0.3]), rate=0.05).tolist() == [False, False]


def test_blocks_are_stretches_of_neighbouring_sessions() -> None:
    positions = block_positions(np.random.default_rng(0), draws=50, sessions=30, length=25, block=10)
    assert positions.shape == (50, 25)
    assert positions.min() >= 0
    assert positions.max() <= 29
    steps = np.diff(positions, axis=1)
    assert (np.delete(steps, [9, 19], axis=1) == 1).all()
    with pytest.raises(ValueError, match="between 1 and the 30 sessions"):
        block_positions(np.random.default_rng(0), draws=1, sessions=30, length=5, block=31)
