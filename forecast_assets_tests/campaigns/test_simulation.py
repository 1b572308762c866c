"""A few histories of the simulated deployment, and that it finds mistakes of the orchestration."""

import logging
from collections.abc import Iterator

import pytest

from campaigns.simulation.history import Event, events_of, run, shrunk
from campaigns.simulation.mutants import MUTANTS, Mutant, seeded
from forecast_assets.automation import nights

QUICKLY_FOUND = {
    "skips_the_night_behind_a_later_one": 0,
    "counts_the_forecast_alone": 0,
    "gives_up_any_night": 0,
    "rolls_back_to_a_damaged_champion": 2,
    "revokes_before_it_promotes": 13,
    "sweeps_published_versions": 0,
    "rewrites_a_journal": 0,
    "forecasts_a_night_in_sample": 14,
}
"""Mutants, each with a seed whose history finds it; the campaign finds the others too, in more steps."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log: what goes wrong here is meant to."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def by_name(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def test_no_history_breaks_an_invariant_and_each_replays_to_the_last_byte() -> None:
    events = events_of(4)
    first, again = run(events), run(events_of(4))
    assert first.broken == []
    assert first.counts["dead"] > 0  # faults did strike
    assert first.counts["refused"] > 0
    assert (first.trace, first.steps) == (again.trace, again.steps)
    assert run(events[:-1]).trace != first.trace


@pytest.mark.parametrize("name", QUICKLY_FOUND)
def test_the_simulator_finds_a_mutant_of_the_orchestration(name: str) -> None:
    with seeded(by_name(name)):
        assert run(events_of(QUICKLY_FOUND[name])).broken


def test_a_broken_history_is_shrunk_to_the_events_that_break_it() -> None:
    with seeded(by_name("rolls_back_to_a_damaged_champion")):
        broken = run(events_of(2)).broken[0]
        short = shrunk(events_of(2), broken.invariant)
        assert run(short).broken[0].invariant == broken.invariant
        assert all(not run(short[:place] + short[place + 1 :], calm=False).broken for place in range(len(short)))
    assert 0 < len(short) < 8
    assert "damage" in {event.kind for event in short}
    assert run(short).broken == []


def test_mutants_are_as_many_as_asked_for_and_leave_the_code_as_it_was() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 15
    before = {mutant.name: mutant.function.__code__ for mutant in MUTANTS}
    for mutant in MUTANTS:
        with seeded(mutant):
            assert mutant.function.__code__ != before[mutant.name]
        assert mutant.function.__code__ is before[mutant.name]


def test_a_mutant_whose_text_is_gone_is_an_error_and_not_a_find() -> None:
    gone = Mutant("gone", "", nights.due_nights, "no such text", "")
    with pytest.raises(ValueError, match="stands 0 times"), seeded(gone):
        pass


def test_events_are_made_from_the_seed_alone() -> None:
    assert events_of(7) == events_of(7) != events_of(8)
    assert {event.kind for seed in range(20) for event in events_of(seed)} >= {"work", "rollback", "damage", "replay"}
    assert all(isinstance(event, Event) for event in events_of(7))
