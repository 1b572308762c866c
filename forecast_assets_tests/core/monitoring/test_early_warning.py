"""Estimated losses: what a forecast expects of itself, what is known when, and what the monitor says."""

import datetime as dt
import json

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.monitoring.early_warning import (
    INPUTS,
    LAG_SESSIONS,
    LONG,
    SHORT,
    loss_by_day,
    loss_monitor,
    with_losses,
)
from forecast_assets.core.monitoring.expected_loss import expected_pinball
from forecast_assets.core.monitoring.plots import loss_over_time
from forecast_assets.core.scores.quantile import pinball, pit

SESSIONS, TICKERS = 260, 30
FIRST = dt.date(2020, 1, 1)
DAYS = [FIRST + dt.timedelta(days=k) for k in range(SESSIONS)]
SIGMA = {SHORT: 0.01, LONG: 0.04}
LIMIT = 1.3


def made(scale: np.ndarray, inputs: np.ndarray | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Normal forecasts of constant width, and outcomes ``scale`` (S,) or (S, N) times as wide; features of noise.

    ``inputs`` (S, N): values of the feature volatility_20.
    """
    random = np.random.default_rng(0)
    wide = np.broadcast_to(scale.reshape(SESSIONS, -1), (SESSIONS, TICKERS))
    date = np.repeat(np.array(DAYS, dtype="datetime64[D]"), TICKERS)
    ticker = [f"T{k:02d}" for k in range(TICKERS)] * SESSIONS
    sigma = np.array([SIGMA[SHORT], SIGMA[LONG]])
    quantiles = np.broadcast_to(sigma[:, None] * norm.ppf(QUANTILES), (SESSIONS * TICKERS, 2, len(QUANTILES)))
    y = random.normal(size=(SESSIONS * TICKERS, 2)) * sigma * wide.reshape(-1, 1)
    table = forecast_table(
        date=date, ticker=ticker, quantiles=quantiles, y=y, split="test", model="ensemble", horizons=(SHORT, LONG)
    )
    features = pl.DataFrame({"date": date, "ticker": ticker} | {n: random.normal(size=len(date)) for n in INPUTS})
    if inputs is not None:
        features = features.with_columns(volatility_20=pl.Series(inputs.ravel()))
    return table, features


def as_of(table: pl.DataFrame, session: int) -> pl.DataFrame:
    """What was known on a session: later forecasts are gone, and outcomes that had not matured."""
    age = pl.lit(session) - (pl.col("date") - FIRST).dt.total_days()
    known = pl.when(age >= pl.col("horizon") + LAG_SESSIONS).then("y")
    return table.filter(age >= 0).with_columns(y=known)


def test_the_expected_loss_is_that_of_outcomes_drawn_from_the_forecast() -> None:
    """Against the mean over a grid of outcomes whose distribution is the forecast's own, found by inverting the PIT."""
    quantiles = np.array([-0.05, -0.03, -0.01, 0.004, 0.01, 0.05, 0.09])
    grid = np.linspace(-1.0, 1.5, 200_001)
    below = pit(grid, np.broadcast_to(quantiles, (len(grid), 7)), levels=QUANTILES)
    middle, mass = (grid[1:] + grid[:-1]) / 2, np.diff(below)
    losses = pinball(middle, np.broadcast_to(quantiles, (len(middle), 7)), levels=QUANTILES).mean(axis=1)
    assert mass.sum() == pytest.approx(1.0, abs=1e-6)
    assert expected_pinball(quantiles) == pytest.approx(losses @ mass, rel=1e-4)


def test_the_expected_loss_moves_with_the_width_alone_and_is_near_a_normals() -> None:
    quantiles = norm.ppf(QUANTILES)
    assert expected_pinball(3.0 * quantiles + 7.0) == pytest.approx(3.0 * float(expected_pinball(quantiles)))
    exact = norm.pdf(norm.ppf(QUANTILES)).mean()
    assert expected_pinball(quantiles) == pytest.approx(exact, rel=0.04)
    assert expected_pinball(np.ones(7)) == pytest.approx(0.0, abs=1e-12)


def test_no_estimate_reads_what_was_not_known_on_its_day() -> None:
    table, features = made(np.linspace(1.0, 2.0, SESSIONS))
    whole = loss_by_day(table, features)
    for session in (120, 200):
        then = loss_by_day(as_of(table, session), features)
        shown = ["date", "forecasts", "expected", "estimated", "direct", "usual"]
        now = whole.filter(pl.col("date") <= DAYS[session]).select(shown)
        assert then.select(shown).equals(now)
        assert now.tail(1).null_count().sum_horizontal().item() == 0


def test_what_matured_is_the_mean_loss_of_the_last_sessions() -> None:
    table, features = made(np.ones(SESSIONS))
    found = loss_by_day(table, features)
    own = with_losses(table).filter(horizon=LONG).filter(pl.col("date").is_between(DAYS[81], DAYS[100]))
    assert found.row(100, named=True)["matured"] == pytest.approx(own["loss"].mean())
    assert loss_by_day(as_of(table, 150), features)["matured"].to_list()[-LONG:] == [None] * LONG


def test_a_forecast_that_has_become_too_narrow_shows_before_its_labels_mature() -> None:
    """Outcomes twice as wide from session 200 on: by session 225 nothing that matured says so."""
    table, features = made(np.where(np.arange(SESSIONS) < 200, 1.0, 2.0))
    found = loss_by_day(as_of(table, 224), features)
    now, last = found.row(-1, named=True), found.filter(pl.col("matured").is_not_null()).row(-1, named=True)
    assert last["matured"] / now["usual"] < LIMIT
    assert now["expected"] / now["usual"] == pytest.approx(1.0, abs=0.05)
    assert now["estimated"] / now["usual"] > 1.5
    monitor = loss_monitor(found, limit=LIMIT)
    assert monitor["state"] == "information"
    assert DAYS[202].isoformat() < monitor["episode"] < DAYS[220].isoformat()
    assert json.loads(json.dumps(monitor, allow_nan=False)) == monitor
    assert f"on alert since {monitor['episode']} (limit 1.3)" in monitor["sentence"]


def test_the_regression_sees_in_the_inputs_how_much_more_will_be_lost() -> None:
    """Outcomes are twice as wide where an input is high, and it is high everywhere from session 200 on."""
    high = np.random.default_rng(1).random((SESSIONS, TICKERS)) < 0.3
    high[200:] = True
    table, features = made(np.where(high, 2.0, 1.0), high.astype(np.float64))
    scored = with_losses(table.filter(horizon=LONG)).with_columns(ratio=pl.col("loss") / pl.col("expected"))
    ratio, wide = scored["ratio"].to_numpy(), high.ravel()
    usual, wider = ratio[~wide].mean(), ratio[wide].mean()
    assert usual == pytest.approx(0.97, abs=0.02)
    assert wider == pytest.approx(2.3, abs=0.1)
    found = loss_by_day(as_of(table, 219), features)
    before, now = found.row(195, named=True), found.row(-1, named=True)
    assert before["direct"] / before["expected"] == pytest.approx(0.7 * usual + 0.3 * wider, abs=0.1)
    assert now["direct"] / now["expected"] == pytest.approx(wider, abs=0.1)


def test_too_few_outcomes_are_an_unknown_loss_and_no_ok() -> None:
    table, features = made(np.ones(SESSIONS))
    for session in (10, 45):
        monitor = loss_monitor(loss_by_day(as_of(table, session), features), limit=LIMIT)
        assert monitor["state"] == "unknown"
        assert monitor["sentence"].endswith("can't be estimated yet: too few have matured.")
    assert loss_monitor(loss_by_day(table.clear(), features), limit=LIMIT)["state"] == "unknown"


def test_a_quiet_monitor_says_what_is_estimated_and_what_matured() -> None:
    table, features = made(np.ones(SESSIONS))
    monitor = loss_monitor(loss_by_day(as_of(table, 250), features.select("date", "ticker")), limit=LIMIT)
    assert (monitor["state"], monitor["episode"]) == ("ok", None)
    assert f"The last {LONG} sessions' forecasts over {LONG} sessions are estimated to lose" in monitor["sentence"]
    assert "within the limit of 1.3. Those that matured last lost" in monitor["sentence"]


def test_the_figure_draws_the_estimate_beyond_what_has_matured() -> None:
    table, features = made(np.ones(SESSIONS))
    [plot] = loss_over_time(loss_by_day(as_of(table, 250), features), limit=LIMIT).axes
    matured, _, estimated, limit = plot.lines
    assert np.isfinite(np.asarray(estimated.get_ydata(), dtype=float)[-1])
    assert np.isnan(np.asarray(matured.get_ydata(), dtype=float)[-LONG:]).all()
    assert set(np.asarray(limit.get_ydata()).tolist()) == {LIMIT}
