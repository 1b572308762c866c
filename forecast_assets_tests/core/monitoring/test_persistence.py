import numpy as np

from forecast_assets.core.monitoring.persistence import stays_on
from forecast_assets_tests.helpers.scores import persistent


def on(firing: str, *, confirm: int = 2, release: int = 3) -> str:
    states = persistent(np.array([state == "x" for state in firing]), confirm=confirm, release=release)
    return "".join("x" if state else "." for state in states)


def test_an_episode_opens_after_enough_firing_and_closes_after_enough_quiet_nights() -> None:
    assert on("x.xx..x...x.xx") == "...xxxxxx....x"


def test_one_night_is_enough_where_one_is_asked_for() -> None:
    assert on("x.x..", confirm=1, release=1) == "x.x.."


def test_fewer_nights_than_asked_for_change_nothing() -> None:
    assert not stays_on([True], on=False, confirm=2, release=2)
    assert stays_on([False], on=True, confirm=2, release=2)
