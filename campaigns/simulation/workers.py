"""What the processes of the campaign do; not in ``__main__``, which they don't import."""

import logging
import time
from typing import Any

from campaigns.simulation.history import events_of, run
from campaigns.simulation.mutants import MUTANTS, Found, find

MUTANT_SEEDS = range(10**6, 10**6 + 2500)
"""Histories of which one has to break under a mutant; none of them is among the first million steps."""


def simulate(seed: int) -> dict[str, Any]:
    """Run a history; return its line of the journal."""
    started = time.perf_counter()
    outcome = run(events_of(seed))
    return {
        "seed": seed,
        "steps": outcome.steps,
        "broken": [f"{broken.invariant}: {broken.what}" for broken in outcome.broken],
        "counts": dict(sorted(outcome.counts.items())),
        "seconds": round(time.perf_counter() - started, 2),
    }


def be_quiet() -> None:
    """Log nothing: what goes wrong here is meant to."""
    logging.disable(logging.CRITICAL)


def find_mutant(place: int) -> Found | None:
    """Seed a mutant, and return how it was found."""
    return find(MUTANTS[place], seeds=MUTANT_SEEDS)
