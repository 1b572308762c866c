"""A next-day signal in raw prices is found by the profiles that ship, from the user's file to the forecast table.

The panel and the code path are those of ``helpers.planted_panel``; ``benchmarks.planted_shipped`` records what is measured.
"""

from pathlib import Path

import pytest

from forecast_assets_tests.helpers.planted_panel import Found, best_share, shipped

ENOUGH = 0.8  # of the rank IC of a linear regression on the same inputs

pytestmark = pytest.mark.timeout(900)  # three fits, on a machine that may have other things to do


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the demo profile finds."""
    return shipped("demo", tmp_path_factory.mktemp("planted"), models=["b2_tft_ticker"])


def test_a_linear_regression_finds_the_planted_signal_in_a_networks_inputs(demo: Found) -> None:
    assert demo.ic["oracle"] == pytest.approx(0.25, abs=0.02)
    assert demo.ic["linear"] > 0.95 * demo.ic["oracle"]


def test_the_demo_profile_finds_a_planted_next_day_signal(demo: Found) -> None:
    assert best_share(demo.ic) >= ENOUGH
    assert all(slope[0] > 0.5 for slope in demo.slopes["b2_tft_ticker"])


def test_the_demo_profile_publishes_no_location_of_its_own_where_there_is_no_signal(tmp_path: Path) -> None:
    noise = shipped("demo", tmp_path, models=["b2_tft_ticker"], strength=0.0)
    assert noise.slopes["b2_tft_ticker"] == [[0.0, 0.0, 0.0]] * 3
    assert abs(noise.ic["b2_tft_ticker"]) < 2 * noise.error["b2_tft_ticker"]


@pytest.mark.real_panel
@pytest.mark.timeout(7200)
def test_the_full_profile_finds_a_planted_next_day_signal(tmp_path: Path) -> None:
    assert best_share(shipped("full", tmp_path).ic) >= ENOUGH
