"""The book from an optimiser: against a grid of all books, by its limits, and through the simulation."""

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.accounting import Simulation, reconcile
from forecast_assets.core.backtest.costs import Costs
from forecast_assets.core.backtest.decisions import forecast_decisions
from forecast_assets.core.backtest.mean_risk import (
    SETTLED,
    Outlook,
    _periods,
    mean_risk,
    mean_risk_weights,
    settled,
)
from forecast_assets.core.backtest.simulate import Terms, market_of
from forecast_assets.core.joint.portfolio import expected_shortfall
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec
from forecast_assets_tests.core.backtest.tiny_markets import forecasts_on, random_panel

RULES = MeanRiskSpec(use="beside", limit=0.02, level=0.9)
DIRECTIONAL = BacktestSpec(horizon_sessions=1, smoothing=0.8, cost_bps=1.0, book="directional", name_cap=0.3)
NEUTRAL = DIRECTIONAL.model_copy(update={"book": "neutral", "name_cap": 0.1, "gross_cap": 0.8})


def outlook(tickers: int, *, seed: int = 0, scenarios: int = 200, **changes: Any) -> Outlook:
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.02, scenarios)
    given: dict[str, Any] = {
        "edge": rng.normal(0, 0.004, tickers),
        "returns": common + rng.standard_t(4, (tickers, scenarios)) * 0.03 + 0.01,
        "round_trip": np.full(tickers, 0.0004),
        "region": np.arange(tickers) % 2,
        "exposures": [rng.uniform(0.02, 0.06, tickers), rng.uniform(0.5, 1.5, tickers)],
    }
    return Outlook(**(given | changes))


def shortfall(weights: Floats, given: Outlook, *, level: float) -> float:
    moved = given.returns - given.returns.mean(axis=1, keepdims=True) + given.edge[:, None]
    return expected_shortfall(weights @ moved, level=level)


def worth(weights: Floats, given: Outlook) -> float:
    return float(weights @ given.edge - np.abs(weights) @ given.round_trip)


def test_no_book_of_two_tickers_on_a_fine_grid_is_worth_more() -> None:
    given = outlook(2, seed=1)
    weights = mean_risk_weights(given, spec=DIRECTIONAL, rules=RULES)
    steps = np.linspace(-0.3, 0.3, 121)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    within = np.array([shortfall(book, given, level=0.9) <= RULES.limit + 1e-9 for book in grid])
    best = max(worth(book, given) for book in grid[within])
    assert best > 0.0005
    assert best - 1e-9 <= worth(weights, given) <= best + 4e-5  # half a step is worth as much
    assert shortfall(weights, given, level=0.9) == pytest.approx(RULES.limit, rel=1e-6)
    assert not within.all()


@pytest.mark.parametrize("seed", range(3))
def test_limits_caps_and_neutrality_hold(seed: int) -> None:
    given = outlook(16, seed=seed)
    weights = mean_risk_weights(given, spec=NEUTRAL, rules=RULES)
    assert np.abs(weights).max() <= 0.1 + 1e-9
    assert 0.2 < np.abs(weights).sum() <= 0.8 + 1e-9
    assert shortfall(weights, given, level=0.9) <= RULES.limit + 1e-9
    for region in (0, 1):
        inside = given.region == region
        for exposure in (np.ones(16), *given.exposures):
            assert abs(weights[inside] @ exposure[inside]) < 1e-9


def test_a_tighter_limit_and_higher_costs_leave_a_book_that_is_worth_less() -> None:
    given = outlook(12, seed=3)
    dear = outlook(12, seed=3, round_trip=np.full(12, 0.003))
    worths = [
        worth(mean_risk_weights(given, spec=DIRECTIONAL, rules=RULES.model_copy(update={"limit": limit})), given)
        for limit in (0.005, 0.02, 0.2)
    ]
    assert 0 < worths[0] < worths[1] < worths[2]
    held = [np.abs(mean_risk_weights(each, spec=DIRECTIONAL, rules=RULES)).sum() for each in (given, dear)]
    assert 0 < held[1] < held[0]


def test_without_an_edge_that_pays_its_costs_nothing_is_held() -> None:
    for edge in (np.zeros(8), np.full(8, 0.0003), np.full(8, -0.0003)):
        assert not mean_risk_weights(outlook(8, edge=edge), spec=DIRECTIONAL, rules=RULES).any()


def test_what_earns_without_skill_is_no_edge_of_a_neutral_book() -> None:
    """One edge for all tickers of a region, or a multiple of an exposure."""
    given = outlook(12, seed=5)
    moved = given.edge + np.where(given.region == 0, 0.02, -0.01) + 0.3 * given.exposures[0]
    plain = mean_risk_weights(given, spec=NEUTRAL, rules=RULES)
    shifted = mean_risk_weights(outlook(12, seed=5, edge=moved), spec=NEUTRAL, rules=RULES)
    assert np.abs(plain).sum() > 0.2
    np.testing.assert_allclose(plain, shifted, atol=1e-7)
    nothing = outlook(12, seed=5, edge=0.02 + 0.3 * given.exposures[0])
    assert np.abs(mean_risk_weights(nothing, spec=NEUTRAL, rules=RULES)).max() < 1e-7


def scenarios_of() -> tuple[Any, list[np.datetime64]]:
    """Scenarios that depend on the day and the ticker alone; the days that were asked for are kept."""
    asked: list[np.datetime64] = []

    def scenarios(day: np.datetime64, tickers: Sequence[str]) -> Floats:
        asked.append(day)
        return np.stack(
            [np.random.default_rng([int(day.astype(int)), int(t[1:])]).normal(0, 0.02, 100) for t in tickers]
        )

    return scenarios, asked


def traded(
    decisions: pl.DataFrame, panel: pl.DataFrame, *, rules: MeanRiskSpec = RULES, spec: BacktestSpec = DIRECTIONAL
) -> tuple[Simulation, list[np.datetime64]]:
    scenarios, asked = scenarios_of()
    view = market_of(decisions, panel, spec=spec)
    terms = Terms("mean_risk", view, spec, Costs.of(spec.cost_bps, panel))
    return partial(mean_risk, scenarios=scenarios, rules=rules)(decisions, terms), asked


def decisions_of(panel: pl.DataFrame, *, first_test: dt.date) -> pl.DataFrame:
    mean = (pl.col("close").hash(3) % 7).cast(pl.Float64) / 200 - 0.012
    return forecast_decisions(forecasts_on(panel, mean, first_test=first_test), horizon_sessions=1, no_skill=(0.0, 0.0))


def test_weights_are_found_anew_each_week_and_approached_in_between() -> None:
    panel = random_panel(seed=3)
    decisions = decisions_of(panel, first_test=dt.date(2023, 12, 18))
    book, asked = traded(decisions, panel)
    weeks = {day.astype(object).isocalendar()[:2] for day in asked}
    every = {day.isocalendar()[:2] for day in decisions["date"].unique().to_list()}
    assert (len(asked), weeks) == (len(every), every)
    assert reconcile(book) < 1e-12
    assert (book.daily["gross_exposure"] > 0.1).all()
    traded_days = book.trades["date"].n_unique()
    assert traded_days > book.daily.height - 3  # also between the solutions
    monthly, rarely = traded(decisions, panel, rules=RULES.model_copy(update={"rebalance": "monthly"}))
    assert len(rarely) == 5
    assert not monthly.daily.equals(book.daily)


def test_where_too_little_has_matured_nothing_is_held() -> None:
    panel = random_panel(seed=3)
    decisions = decisions_of(panel, first_test=dt.date(2023, 12, 18))
    view = market_of(decisions, panel, spec=DIRECTIONAL)
    terms = Terms("mean_risk", view, DIRECTIONAL, Costs.of(1.0, panel))
    book = mean_risk(decisions, terms, scenarios=lambda day, tickers: None, rules=RULES)
    assert not book.daily["gross_exposure"].to_numpy().any()


@pytest.mark.parametrize("rebalance", ["daily", "weekly", "monthly"])
def test_periods_do_not_depend_on_where_the_dates_begin(rebalance: str) -> None:
    days = np.busday_offset("2021-11-01", np.arange(60), roll="forward")
    rules = RULES.model_copy(update={"rebalance": rebalance})
    starts = {days[first] for first, _ in _periods(days, rules)}
    for cut in range(1, 12):
        later = {days[cut:][first] for first, _ in _periods(days[cut:], rules)}
        assert later - {days[cut]} == {day for day in starts if day > days[cut]}
    if rebalance == "weekly":
        assert {int((day.astype("datetime64[D]").astype(int) + 3) % 7) for day in starts} == {0}  # Mondays


def test_a_book_that_begins_later_ends_as_the_whole_one_does() -> None:
    panel = random_panel(seed=6, sessions=150)
    spec = DIRECTIONAL.model_copy(update={"cost_bps": 0.0})
    decisions = decisions_of(panel, first_test=dt.date(2023, 12, 18))
    recent = settled(decisions, spec=spec)
    assert recent["date"].n_unique() == 25 + 42 < decisions["date"].n_unique()
    whole, later = (traded(each, panel, spec=spec)[0].ending for each in (decisions, recent))
    assert set(whole) == set(later)
    assert len(whole) > 3
    for ticker, weight in whole.items():
        assert later[ticker] == pytest.approx(weight, abs=SETTLED * 0.3)
