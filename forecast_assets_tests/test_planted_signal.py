"""A next-day signal in raw prices is found by the profiles that ship, from the user's file to the forecast table.

The panel and the code path are those of ``helpers.planted_panel``; ``benchmarks.planted_shipped`` records what is measured.
"""

from pathlib import Path

import pytest

from forecast_assets_tests.helpers.planted_panel import best_share, shipped_ic

ENOUGH = 0.8  # of the rank IC of a linear regression on the same inputs

pytestmark = pytest.mark.timeout(900)  # three fits, on a machine that may have other things to do

missed = pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="the shipped settings shrink and undertrain the location: a known defect"
)


@pytest.fixture(scope="module")
def demo_ic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The demo profile's rank ICs."""
    return shipped_ic("demo", tmp_path_factory.mktemp("planted"), models=["b2_tft_ticker"])


def test_a_linear_regression_finds_the_planted_signal_in_a_networks_inputs(demo_ic: dict[str, float]) -> None:
    assert demo_ic["oracle"] == pytest.approx(0.25, abs=0.02)
    assert demo_ic["linear"] > 0.95 * demo_ic["oracle"]


@missed
def test_the_demo_profile_finds_a_planted_next_day_signal(demo_ic: dict[str, float]) -> None:
    assert best_share(demo_ic) >= ENOUGH


@missed
@pytest.mark.real_panel
@pytest.mark.timeout(7200)
def test_the_full_profile_finds_a_planted_next_day_signal(tmp_path: Path) -> None:
    ic = shipped_ic("full", tmp_path)
    assert best_share(ic) >= ENOUGH
