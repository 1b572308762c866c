import pytest

from forecast_assets.core.evaluation.differences import first_difference

SUMMARY = {"strategies": [{"sharpe": 0.5, "n": 3}, {"sharpe": None, "n": 0}], "partial": False, "model": "ensemble"}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (SUMMARY, None),
        ({**SUMMARY, "strategies": [{"sharpe": 0.5 + 1e-12, "n": 3.0}, {"sharpe": None, "n": 0}]}, None),
        (
            {**SUMMARY, "strategies": [{"sharpe": 0.51, "n": 3}, {"sharpe": 1.0, "n": 0}]},
            "strategies[0].sharpe is 0.51, derived 0.5",
        ),
        (
            {**SUMMARY, "strategies": [{"sharpe": 0.5, "n": 3}, {"sharpe": 0.0, "n": 0}]},
            "strategies[1].sharpe is 0.0, derived None",
        ),
        ({**SUMMARY, "strategies": []}, "strategies has 0 entries, derived 2"),
        ({**SUMMARY, "partial": 0}, "partial is 0, derived False"),
        ({**SUMMARY, "extra": 1}, "extra is not derived from anything"),
        ({"strategies": SUMMARY["strategies"], "model": "ensemble"}, "partial is missing"),
    ],
)
def test_the_first_difference_is_named(stored: dict[str, object], expected: str | None) -> None:
    assert first_difference(stored, SUMMARY) == expected
