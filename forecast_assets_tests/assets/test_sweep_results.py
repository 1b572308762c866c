"""Which trial a search chooses."""

from itertools import count
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, create_trial

from forecast_assets.assets.tuning.results import cheapest, network_settings

SPACE: dict[str, list[Any]] = {
    "model": ["b1_tft", "b2_tft_ticker"],
    "hidden": [16, 32],
    "learning_rate": [0.001, 0.003],
    "lookback": [60, 120],
}


def trials(*rows: tuple[Any, ...]) -> list[FrozenTrial]:
    """Trials of ``(model, hidden, learning_rate, lookback, loss)``."""
    distributions: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(values) for name, values in SPACE.items()
    }
    found = []
    for (*values, loss), number in zip(rows, count(), strict=False):
        params = dict(zip(SPACE, values, strict=True))
        trial = create_trial(params=params, distributions=distributions, value=loss)
        trial.number = number
        found.append(trial)
    return found


@pytest.mark.parametrize(("tolerance", "chosen"), [(0.0, 0), (0.0005, 1), (0.001, 2), (0.01, 3)])
def test_a_cheaper_trial_is_chosen_as_far_as_the_tolerance_goes(tolerance: float, chosen: int) -> None:
    tried = trials(
        ("b1_tft", 32, 0.003, 120, 1.0),
        ("b1_tft", 16, 0.003, 120, 1.0004),
        ("b1_tft", 32, 0.001, 60, 1.0009),
        ("b1_tft", 16, 0.001, 60, 1.009),
    )
    assert cheapest(tried, tolerance=tolerance).number == chosen


def test_of_trials_that_cost_the_same_the_best_is_chosen() -> None:
    tried = trials(("b1_tft", 16, 0.003, 60, 1.0005), ("b1_tft", 16, 0.001, 60, 1.0))
    assert cheapest(tried, tolerance=0.001).number == 1


def test_each_network_has_its_own_settings_and_all_have_one_lookback() -> None:
    tried = trials(
        ("b1_tft", 32, 0.003, 120, 1.0),
        ("b2_tft_ticker", 16, 0.001, 60, 1.01),
        ("b2_tft_ticker", 32, 0.003, 60, 1.0105),
    )
    assert network_settings(tried, tolerance=0.001) == {
        "windows.lookback": 120,
        "b1_tft.hidden": 32,
        "b1_tft.learning_rate": 0.003,
        "b2_tft_ticker.hidden": 16,
        "b2_tft_ticker.learning_rate": 0.001,
    }
