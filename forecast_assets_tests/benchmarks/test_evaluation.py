"""The parts that the benchmarks of the evaluation rest on can fail."""

import numpy as np
import pytest

from benchmarks.evaluation import simulated_returns, unverified
from forecast_assets.core.scores.trading import sharpe

METRICS = {"rows": [{"ratio": 0.99827, "coverage": 0.9522, "days": 661}], "claim": "the 95 % band", "gone": None}


def test_a_number_that_no_metric_rounds_to_is_found() -> None:
    text = "| `b2_tft` | 0.9983 | 95.2 % | 661 | 95 % | [`a/40.json`](a/40.json)"
    assert unverified(text, METRICS) == ([], 4)
    assert unverified(text.replace("0.9983", "0.9982").replace("661", "662"), METRICS) == (["0.9982", "662"], 4)


@pytest.mark.parametrize("rho", [0.05, 0.25])
def test_the_true_sharpe_of_the_simulated_returns_is_what_a_long_series_has(rho: float) -> None:
    returns, true = simulated_returns(rho, sessions=400_000, rng=np.random.default_rng(0))
    assert sharpe(returns, sessions_per_year=252.0) == pytest.approx(true, abs=0.07)
