"""The order of the models."""

from typing import Any

import pytest

from forecast_assets.core.report.leaderboard import leaderboard


def score(model: str, horizon: int, ratio: float | None, coverage: float = 0.95) -> dict[str, Any]:
    return {
        "model": model,
        "horizon": horizon,
        "pinball_ratio": ratio,
        "coverage_95": coverage,
        "coverage_90": 0.9,
        "rank_ic": 0.02 * horizon,
    }


SUMMARY = {
    "forecasts": [
        score("a", 1, 0.99),
        score("a", 5, 0.97, coverage=0.93),
        score("best", 1, 0.98),
        score("best", 5, 0.96),
        score("half", 5, 0.5),
        score("undefined", 1, None),
        score("undefined", 5, 0.9),
    ],
    "strategies": [
        {"strategy": "a", "sharpe": 1.5, "turnover": 0.1},
        {"strategy": "equal_weight", "sharpe": 0.4, "turnover": 0.0},
    ],
}


def test_the_best_mean_ratio_comes_first_and_a_model_without_one_last() -> None:
    rows = leaderboard(SUMMARY)
    assert [row["model"] for row in rows] == ["best", "a", "half", "undefined"]
    assert [row["ratio"] for row in rows] == [pytest.approx(0.97), pytest.approx(0.98), None, None]
    assert rows[2]["ratios"] == {1: None, 5: 0.5}


def test_a_row_holds_means_over_horizons_and_the_book_of_the_same_name() -> None:
    best, second, *_ = leaderboard(SUMMARY)
    assert second["coverage_95"] == pytest.approx(0.94)
    assert second["rank_ic"] == pytest.approx(0.06)
    assert (second["sharpe"], second["turnover"]) == (1.5, 0.1)
    assert (best["sharpe"], best["turnover"]) == (None, None)
