"""The record: which sessions are scored, what is counted of them, and that a score which stands never changes."""

import datetime as dt
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.monitoring.record import (
    GRACE_SESSIONS,
    LARGEST_GAIN,
    REFERENCE_COLUMNS,
    HorizonScores,
    by_session,
    far_enough_apart,
    record_scores,
)

SESSIONS = np.arange("2024-01-01", "2026-01-01", dtype="datetime64[D]")
NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


def issued(
    y: np.ndarray, *, horizon: int = 1, wider: float = 1.0, harx: float | None = 1.0, known: int | None = None
) -> pl.DataFrame:
    """Forecasts of unit Normals for outcomes ``y`` (sessions, tickers); of these the first ``known`` sessions matured."""
    days, tickers = y.shape
    matured = np.arange(days)[:, None] < (days if known is None else known)
    date = np.repeat(SESSIONS[:days], tickers)
    own, reference = (np.tile(NORMAL * scale, (days * tickers, 1)) for scale in (wider, harx or 1.0))
    table = pl.DataFrame(
        {
            "date": date,
            "ticker": [f"T{k}" for k in range(tickers)] * days,
            "horizon": np.full(days * tickers, horizon, dtype=np.int32),
            **{name: own[:, k] for k, name in enumerate(QUANTILE_COLUMNS)},
            **{name: reference[:, k] if harx else [None] * len(date) for k, name in enumerate(REFERENCE_COLUMNS)},
            "y": y.ravel(),
            "label_end": date + np.timedelta64(horizon, "D"),
        },
        strict=False,
    )
    open_ = pl.Series(~np.broadcast_to(matured, y.shape).ravel())
    unknown = [pl.when(open_).then(None).otherwise(pl.col(name)).alias(name) for name in ("y", "label_end")]
    return table.with_columns(unknown).cast(dict.fromkeys(REFERENCE_COLUMNS, pl.Float64))


def outcomes(days: int, tickers: int = 30, *, sigma: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((days, 1)) * np.sqrt(0.3)
    return sigma * (common + rng.standard_normal((days, tickers)) * np.sqrt(0.7))


def scores(table: pl.DataFrame, *, horizon: int = 1, until: int | None = None, one_close: bool = True) -> HorizonScores:
    last = table["date"].n_unique() + horizon if until is None else until
    found = record_scores(table, sessions=SESSIONS[:last], one_close=one_close)
    return found[sorted(HORIZONS).index(horizon)]


def test_sessions_are_far_enough_apart_for_outcomes_to_be_known() -> None:
    date = SESSIONS[:12]
    ends = date + np.timedelta64(5, "D")
    assert np.flatnonzero(far_enough_apart(date, ends, one_close=True)).tolist() == [0, 5, 10]
    assert np.flatnonzero(far_enough_apart(date, ends, one_close=False)).tolist() == [0, 6]
    ends[0] += np.timedelta64(3, "D")  # one exchange was shut
    assert np.flatnonzero(far_enough_apart(date, ends, one_close=True)).tolist() == [0, 8]


def test_shares_and_losses_of_a_session_are_those_of_a_literal_table() -> None:
    y = np.array([[0.0, 1.8, 2.5, -3.0]])
    daily = by_session(issued(y, wider=2.0), horizon=1, sessions=SESSIONS[:2], due=1)
    assert daily.select("n", "n_both", "covered_95", "covered_90").row(0) == (4, 4, 1.0, 1.0)

    def loss(scale: float) -> float:
        errors = y[0][:, None] - NORMAL * scale
        levels = np.array(QUANTILES)
        return float(np.maximum(levels * errors, (levels - 1) * errors).mean(axis=1).sum())

    assert daily["loss"][0] == pytest.approx(loss(2.0))
    assert daily["loss_harx"][0] == pytest.approx(loss(1.0))
    expected = np.mean([NormalDist().pdf(z) for z in NORMAL])
    assert daily["expected"][0] == pytest.approx(4 * expected, rel=1e-3)


def test_calibrated_forecasts_are_not_accused_and_their_coverage_is_inside() -> None:
    found = scores(issued(outcomes(400)))
    assert (found.forecasts, found.sessions, found.scored_sessions) == (12_000, 400, 400)
    band = found.coverage["95"]
    assert band.low < 0.95 < band.high
    assert band.largest_e_value < 20
    assert found.gain.mean == 0  # HAR-X forecast the same
    assert found.gain.e_value == pytest.approx(1)
    assert found.loss_ratio == 1


def test_bands_that_are_too_narrow_are_found() -> None:
    found = scores(issued(outcomes(250, sigma=1.3)))
    assert found.coverage["95"].high < 0.95
    assert found.coverage["95"].e_value > 20
    assert found.coverage["90"].e_value > 20


@pytest.mark.parametrize(("own", "harx", "better"), [(1.0, 1.5, True), (1.5, 1.0, False)])
def test_the_better_of_two_forecasts_is_found_and_the_worse_one_never(own: float, harx: float, better: bool) -> None:
    found = scores(issued(outcomes(250), wider=own, harx=harx))
    assert (found.gain.e_value > 20) == better
    assert (found.gain.low > 0) == better
    assert (found.loss_ratio < 1) == better
    assert found.cut_sessions > 0
    assert max(abs(found.gain.low), abs(found.gain.high)) <= LARGEST_GAIN


def test_without_harx_coverage_is_scored_alone() -> None:
    found = scores(issued(outcomes(60), harx=None))
    assert found.scored_sessions == 60
    assert np.isnan([found.loss_ratio, found.gain.mean]).all()
    assert found.gain.e_value == 1


def test_a_session_waits_for_its_outcomes_and_those_after_it_wait_too() -> None:
    table = issued(outcomes(30, tickers=2))
    late = (pl.col("ticker") == "T0") & (pl.col("date") == pl.lit(SESSIONS[10].item()))
    gone = table.with_columns(
        pl.when(late).then(None).otherwise(pl.col(name)).alias(name) for name in ("y", "label_end")
    )
    waits = 10 + 1 + GRACE_SESSIONS
    assert scores(gone, until=waits).sessions == 10
    assert scores(gone, until=waits + 1).sessions == 30
    assert scores(gone, until=waits + 1).forecasts == 59


def test_outcomes_that_count_as_known_with_the_longest_are_waited_for() -> None:
    y = outcomes(60, tickers=2)
    end = (pl.col("date").dt.offset_by(f"{HORIZONS[-1]}d")).alias("label_end")
    shared = pl.concat([issued(y, horizon=h) for h in HORIZONS]).with_columns(end)
    found = record_scores(shared, sessions=SESSIONS[:100], one_close=True)
    assert [(each.sessions, each.scored_sessions) for each in found] == [(60, 3)] * len(HORIZONS)


def test_what_stands_is_the_same_on_every_later_day() -> None:
    y = outcomes(80, tickers=3)
    whole = by_session(issued(y, horizon=5), horizon=5, sessions=SESSIONS[:90], due=5)
    for day in (20, 41, 80):
        seen = by_session(issued(y, horizon=5, known=day - 5), horizon=5, sessions=SESSIONS[:day], due=5)
        assert seen.height == day - 5
        assert seen.equals(whole.head(seen.height))


def test_a_record_without_a_matured_forecast_has_no_number() -> None:
    found = scores(issued(outcomes(3), known=0), until=3)
    assert (found.sessions, found.scored_sessions, found.since) == (0, 0, None)
    assert np.isnan(found.coverage["95"].mean)
    assert found.coverage["95"].e_value == 1


def test_a_holiday_of_no_session_between_is_no_matter_of_days() -> None:
    friday, monday = dt.date(2024, 1, 5), dt.date(2024, 1, 8)
    date, ends = (np.array(days, dtype="datetime64[D]") for days in ([friday, monday], [monday, dt.date(2024, 1, 9)]))
    assert far_enough_apart(date, ends, one_close=True).all()
    assert far_enough_apart(date, ends, one_close=False).tolist() == [True, False]
