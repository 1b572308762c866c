"""The filter against a plain, slow one, written from its definition."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.filtering import Evidence, blocks, filter_days
from forecast_assets.core.panel.announcements.model import EVERYWHERE, Parameters, lags
from forecast_assets.core.panel.announcements.state import State
from forecast_assets.core.panel.announcements.surprises import EVIDENCE
from forecast_assets.core.panel.announcements.weekdays import HALF, QUARTER, shortest_lag

YEARS = np.repeat([2019, 2020, 2021], [110, 150, 140])
REGIONS = ["Americas", "Europe", "Elsewhere"]
FLOOR, UNIFORM = 0.1 / 65, 1 / 65


def parameters(seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    size = len(lags()) + 1
    weights = {name: rng.exponential(0.02, size) for name in (EVERYWHERE, "Americas", "Europe")}
    return Parameters(weights, np.r_[-3.0, rng.normal(0.4, 0.3, EVIDENCE)])


SCHEDULE = {2020: parameters(1), 2021: parameters(2)}


@pytest.fixture
def evidence() -> Evidence:
    """Three tickers: one from the first day on, one that lists later, one with a hole and rows without evidence."""
    rng = np.random.default_rng(0)
    days = len(YEARS)
    first = np.array([0.0, 137.0, 20.0])
    quoted = (np.arange(days)[:, None] >= first) & (rng.random((days, 3)) < 0.96)
    quoted[200:240, 2] = False
    known = quoted & (rng.random((days, 3)) < 0.95)
    values = rng.exponential(0.7, (days, 3, EVIDENCE)) * known[..., None]
    ahead = np.stack([rng.integers(h, h + 5, (days, 3)) for h in HORIZONS], axis=-1)
    return Evidence(0, values, known, quoted, first, ahead, REGIONS)


def expected_on(day: int, posterior: Mapping[int, float], weights: NDArray[np.float64]) -> float:
    """The expectation of one day from the posteriors of earlier ones."""
    total = FLOOR + UNIFORM * weights[-1]
    for lag, weight in zip(lags(), weights[:-1], strict=True):
        total += weight * posterior.get(day - lag, 0.0)
    return float(total)


def share_on(day: int, first: float) -> float:
    """How much of the quarter around a day lies in the ticker's history."""
    quarter = range(day - HALF, day + HALF + 1)
    return sum(u >= first for u in quarter) / QUARTER if day >= first else 0.0


def slow(evidence: Evidence, k: int, schedule: Mapping[int, Parameters], years: Sequence[int]) -> list[list[float]]:
    """Per day of ticker ``k``: announced, expected ahead per horizon, posterior of ``HALF`` days earlier."""
    first, region, days = evidence.first[k], evidence.regions[k], len(years)
    joint: dict[int, float] = {}
    posterior: dict[int, float] = {}
    found: list[list[float]] = []

    def weights_of(year: int) -> NDArray[np.float64]:
        of = schedule[year].weights
        return of.get(region, of[EVERYWHERE])

    def likelihood(day: int, year: int) -> float:
        score = schedule[year].score
        return float(np.exp(np.clip(score[0] + evidence.values[day, k] @ score[1:], -6, 8)))

    def weighed(day: int, expected: float, ratio: float) -> float:
        if not evidence.quoted[day, k]:
            return 0.0 if day >= first else UNIFORM
        return expected * ratio if evidence.known[day, k] else expected

    for day in range(days):
        year = int(years[day])
        begins = min(schedule)
        if year == begins and day and years[day - 1] < begins:
            # The days before the first parameters: all days alike, then twice with what that expects.
            early, expected = range(day), dict.fromkeys(range(day), 1.0)
            for _ in range(3):
                product = {u: expected[u] * likelihood(u, year) if evidence.known[u, k] else 0.0 for u in early}
                posterior = {}
                for u in early:
                    around = sum(product.get(v, 0.0) for v in range(u - HALF, u + HALF + 1))
                    posterior[u] = product[u] / around * share_on(u, first) if around > 0 else 0.0
                expected = {u: expected_on(u, posterior, weights_of(year)) for u in early}
            posterior = {u: p for u, p in posterior.items() if u < day - HALF}
        if year in schedule:
            of_day = expected_on(day, posterior, weights_of(year))
            joint[day] = weighed(day, of_day, likelihood(day, year))
            middle = day - HALF
            around = sum(joint.get(u, UNIFORM) for u in range(middle - HALF, day + 1))
            posterior[middle] = joint.get(middle, UNIFORM) / around * share_on(middle, first) if around > 0 else 0.0
            coming = [expected_on(u, posterior, weights_of(year)) for u in range(day + 1, day + HALF + 1)]
        else:
            joint[day] = weighed(day, UNIFORM, 1.0)
            coming = [UNIFORM] * HALF
        total = sum(joint.get(u, UNIFORM) for u in range(day - HALF - 1, day + 1)) + sum(coming)
        announced = joint[day] / total if evidence.quoted[day, k] else np.nan
        ahead = [sum(coming[: evidence.ahead[day, k, h]]) / total for h in range(len(HORIZONS))]
        found.append([announced, *ahead, posterior.get(day - HALF, 0.0)])
    return found


def test_the_filter_is_that_of_its_definition(evidence: Evidence) -> None:
    filtered = filter_days(evidence, SCHEDULE, State.initial(REGIONS), years=YEARS)
    for k in range(3):
        wanted = np.array(slow(evidence, k, SCHEDULE, YEARS.tolist()))
        found = np.column_stack([filtered.announced[:, k], filtered.ahead[:, k], filtered.posterior[:, k]])
        np.testing.assert_allclose(found[:, :-1], wanted[:, :-1], rtol=1e-9, atol=1e-12)
        late = YEARS > 2019  # before, no posterior is claimed
        np.testing.assert_allclose(found[late, -1], wanted[late, -1], rtol=1e-9, atol=1e-12)
    assert np.nanmax(filtered.announced) > 0.3  # twenty times what it is where nothing is known


def test_the_days_of_a_filter_may_come_in_any_pieces(evidence: Evidence) -> None:
    whole_state, state = State.initial(REGIONS), State.initial(REGIONS)
    whole = filter_days(evidence, SCHEDULE, whole_state, years=YEARS)
    borders = [0, 110, 117, 180, 260, 300, 301, 400]
    pieces = []
    for begin, end in pairwise(borders):
        schedule = {year: p for year, p in SCHEDULE.items() if begin or year < 2020}
        if begin == 110:  # what a first fit knows of the days before it
            state["posterior"] = _before(evidence)
        pieces.append(filter_days(evidence.days(begin, end), schedule, state, years=YEARS[begin:end]))
    for name in ("announced", "ahead", "expected", "log_likelihood"):
        assert np.array_equal(np.concatenate([getattr(p, name) for p in pieces]), getattr(whole, name), equal_nan=True)
    assert np.array_equal(state["joint"], whole_state["joint"])
    assert np.array_equal(state["posterior"], whole_state["posterior"])


def _before(evidence: Evidence) -> NDArray[np.float64]:
    from forecast_assets.core.panel.announcements.filtering import past_posterior

    found = State.initial(REGIONS)["posterior"]
    found[-110:] = past_posterior(evidence.days(0, 110), SCHEDULE[2020])
    return found


def test_a_later_day_changes_no_earlier_one(evidence: Evidence) -> None:
    plain = filter_days(evidence, SCHEDULE, State.initial(REGIONS), years=YEARS)
    for cut in (180, 255, 300, 331):
        values = evidence.values.copy()
        values[cut:] = np.random.default_rng(cut).exponential(3.0, values[cut:].shape)
        other = filter_days(replace(evidence, values=values), SCHEDULE, State.initial(REGIONS), years=YEARS)
        for name in ("announced", "ahead", "expected", "log_likelihood", "posterior"):
            before, after = getattr(plain, name), getattr(other, name)
            assert np.array_equal(before[:cut], after[:cut], equal_nan=True)
        assert not np.array_equal(plain.announced[cut:], other.announced[cut:], equal_nan=True)


def test_one_announcement_a_quarter_is_expected_where_nothing_is_known() -> None:
    """A uniform calendar: of 65 weekdays 33 have passed, and a session has one chance in 65."""
    days = 200
    none = np.zeros((days, 1), dtype=bool)
    ahead = np.tile(np.array([1, 5, 20]), (days, 1, 1))
    evidence = Evidence(0, np.zeros((days, 1, EVIDENCE)), none, ~none, np.zeros(1), ahead, ["Americas"])
    found = filter_days(evidence, {}, State.initial(["A"]), years=np.full(days, 2020))
    np.testing.assert_allclose(found.ahead[100, 0], np.array([1, 5, 20]) / 66, rtol=1e-12)
    np.testing.assert_allclose(found.announced[100, 0], 1 / 66, rtol=1e-12)


def test_blocks_never_reach_over_the_turn_of_a_year() -> None:
    found = list(blocks(YEARS))
    assert [begin for begin, _, _ in found[1:]] == [end for _, end, _ in found[:-1]]
    assert found[-1][1] == len(YEARS)
    assert all(set(YEARS[begin:end].tolist()) == {year} and end - begin <= HALF for begin, end, year in found)


def test_the_shortest_lag_is_a_quarter() -> None:
    assert min(lags()) == shortest_lag() == QUARTER
    assert max(lags()) == 1052
