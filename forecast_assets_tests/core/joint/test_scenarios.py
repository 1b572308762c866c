"""Scenarios: exact marginals, the past's dependence, paths through the horizons' returns, one seed one answer."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.joint.past import past_scores
from forecast_assets.core.joint.scenarios import (
    LONGEST,
    Template,
    marginal_draws,
    ordered,
    scenario_paths,
    scenario_returns,
    template,
)
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets_tests.helpers.joint_panel import SIGMA, JointPanel, correlations, joint_panel
from forecast_assets_tests.helpers.scores import normal_quantiles

SPEC = ScenarioSpec(scenarios=4000, least_days=20)
SIGMAS = SIGMA * np.sqrt(HORIZONS)


def model(panel: JointPanel, *, spec: ScenarioSpec = SPEC, day: int = -1) -> Template:
    past = past_scores(panel.forecasts, tickers=panel.tickers).known_before(panel.days[day])
    return template(past, sectors=np.zeros(len(panel.tickers), dtype=np.int64), spec=spec)


@pytest.fixture(scope="module")
def panel() -> JointPanel:
    return joint_panel(tickers=6, sessions=540, correlation=0.6)


@pytest.fixture(scope="module")
def quantiles() -> np.ndarray:
    """Forecasts of six tickers, each with a volatility and a skewness of its own."""
    scale = np.linspace(0.5, 2.0, 6)[:, None] * SIGMAS  # (N, H)
    made = normal_quantiles(np.zeros_like(scale), scale)
    return np.where(made < 0, 1.5 * made, made)


def test_every_marginal_is_the_forecast_to_the_last_draw(panel: JointPanel, quantiles: np.ndarray) -> None:
    found = np.sort(scenario_returns(quantiles, model(panel), spec=SPEC), axis=-1)
    assert found.shape == (6, len(HORIZONS), 4000)
    assert found == pytest.approx(marginal_draws(quantiles, count=4000), abs=1e-6)
    assert np.quantile(found, QUANTILES, axis=-1) == pytest.approx(np.moveaxis(quantiles, -1, 0), rel=0.02, abs=2e-4)


def test_tickers_move_together_as_their_outcomes_did(panel: JointPanel, quantiles: np.ndarray) -> None:
    found = scenario_returns(quantiles, model(panel), spec=SPEC)
    for k in range(len(HORIZONS)):
        assert correlations(found[:, k]).mean() == pytest.approx(0.6, abs=0.12)


def test_outcomes_that_were_independent_give_independent_scenarios(quantiles: np.ndarray) -> None:
    found = scenario_returns(quantiles, model(joint_panel(sessions=540, correlation=0.0)), spec=SPEC)
    assert np.abs(correlations(found[:, 0])).max() < 0.15


def test_a_crash_of_all_on_one_past_day_is_one_in_the_scenarios(quantiles: np.ndarray) -> None:
    """Tails that come together stay together: no copula that only knows correlation has them."""
    calm = joint_panel(sessions=540, correlation=0.0)
    past = past_scores(calm.forecasts, tickers=calm.tickers).known_before(calm.days[-1])
    past.scores[np.arange(0, 500, 50), :, 0] = -4.0
    followed = template(past, sectors=np.zeros(6, dtype=np.int64), spec=SPEC)
    found = scenario_returns(quantiles, followed, spec=SPEC)[:, 0]
    worst = found < np.quantile(found, 0.03, axis=1, keepdims=True)
    assert worst.all(axis=0).mean() > 0.01  # 2 % of the days; independently it were 7e-10


def test_paths_pass_through_the_returns_of_the_horizons(panel: JointPanel, quantiles: np.ndarray) -> None:
    followed = model(panel)
    paths = scenario_paths(quantiles, followed, spec=SPEC)
    assert paths.shape == (6, LONGEST, 4000)
    at_horizons = paths[:, np.array(HORIZONS) - 1]
    assert at_horizons == pytest.approx(scenario_returns(quantiles, followed, spec=SPEC), abs=1e-6)


def test_between_the_horizons_a_path_is_as_volatile_as_a_random_walk(panel: JointPanel) -> None:
    plain = np.broadcast_to(normal_quantiles(np.zeros(3), SIGMAS), (6, 3, 7))
    paths = scenario_paths(plain, model(panel), spec=SPEC)
    volatility = paths.std(axis=(0, 2)) / (SIGMA * np.sqrt(np.arange(1, LONGEST + 1)))
    assert volatility == pytest.approx(np.ones(LONGEST), abs=0.12)
    assert correlations(paths[:, 11] - paths[:, 9]).mean() == pytest.approx(0.6, abs=0.12)


def test_one_seed_gives_one_answer_and_another_seed_another(panel: JointPanel, quantiles: np.ndarray) -> None:
    again, other = SPEC, SPEC.model_copy(update={"seed": 1})
    one, same, different = (
        scenario_paths(quantiles, model(panel, spec=spec), spec=spec) for spec in (SPEC, again, other)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, different)


def test_no_later_outcome_changes_the_scenarios_of_a_day(panel: JointPanel, quantiles: np.ndarray) -> None:
    whole = scenario_returns(quantiles, model(panel, day=300), spec=SPEC)
    known = panel.forecasts.filter(pl.col("label_end") < panel.days[300].astype(object))
    truncated = panel._replace(forecasts=known)
    assert np.array_equal(whole, scenario_returns(quantiles, model(truncated, day=300), spec=SPEC))


def test_tickers_of_a_part_are_those_of_the_whole(panel: JointPanel) -> None:
    whole = model(panel)
    part = whole.of(np.array([4, 1]))
    assert np.array_equal(part.past.scores, whole.past.scores[:, [4, 1]])
    assert np.array_equal(part.shocks, whole.shocks[:, [4, 1]])


def test_only_the_latest_days_are_followed(panel: JointPanel) -> None:
    few = model(panel, spec=SPEC.model_copy(update={"past_days": 50}))
    assert few.past.own.shape[0] == 50
    assert few.shocks[:, :, 0] == pytest.approx(few.past.scores[:, :, 0], abs=1e-5)


def test_fewer_scenarios_than_days_follow_the_latest_of_them(panel: JointPanel, quantiles: np.ndarray) -> None:
    few, followed = SPEC.model_copy(update={"scenarios": 100, "blend": 1e-3}), model(panel)
    latest = followed.past.scores[-100:, :, 0]
    kept = followed.past._replace(renewed=0 * followed.past.renewed)  # nothing drawn anew
    found = scenario_returns(quantiles, followed._replace(past=kept), spec=few)
    ranks = np.array([np.argsort(np.argsort(of)) for of in (latest[:, 0], found[0, 0])])
    assert correlations(ranks)[0] > 0.999


def test_too_few_matured_days_are_an_error_that_says_how_many(panel: JointPanel) -> None:
    with pytest.raises(BadInput, match="have matured of 30 forecast days, at least 60 are needed"):
        model(panel, spec=ScenarioSpec(), day=50)
    with pytest.raises(BadInput, match="have matured of 0 forecast days"):
        model(panel, spec=ScenarioSpec(), day=0)


def test_the_smallest_value_goes_where_the_score_is_smallest() -> None:
    assert ordered(np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, -9.0, 4.0]])).tolist() == [[2.0, 1.0, 3.0]]
