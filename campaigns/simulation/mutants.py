"""Mutants of the orchestration: mistakes that somebody could make in good faith, as edits of a function's own text.

Each replaces the code of a function in this process for the length of a block. A simulator that finds one of them broken
shows that it would have found the mistake.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from campaigns.simulation.history import Outcome, events_of, run
from forecast_assets.assets import nightly_forecast
from forecast_assets.assets.framework import replays
from forecast_assets.automation import nights
from forecast_assets.champion import promotion
from forecast_assets.cli import prune
from forecast_assets.core.panel import days_to_come
from forecast_assets.store import durable
from forecast_assets.store.disk import LocalDisk
from forecast_assets.store.journal import Journal
from forecast_assets.store.store import Store


@dataclass(frozen=True)
class Mutant:
    """One wrong edit of a function; ``old`` stands in it exactly once."""

    name: str
    what: str
    function: Callable[..., Any]
    old: str
    new: str


MUTANTS = (
    Mutant(
        "skips_the_night_behind_a_later_one",
        "only nights after the last one are missing",
        nights.Nights.missing,
        "min(days) < day and",
        "max(days) < day and",
    ),
    Mutant(
        "drops_the_oldest_of_many_nights",
        "of the nights that are due, the last three are",
        nights.due_nights,
        "[*nights.missing(sessions)]",
        "[*nights.missing(sessions)][-3:]",
    ),
    Mutant(
        "counts_the_forecast_alone",
        "a night without its positions and checks is done",
        nights.Nights.missing,
        "for asset, days in self.done.items()",
        "for asset, days in [*self.done.items()][:1]",
    ),
    Mutant(
        "runs_a_night_that_was_given_up",
        "a night that was given up is due again",
        nights.Nights.missing,
        "{*sessions} - self.skipped",
        "{*sessions}",
    ),
    Mutant(
        "gives_up_any_night",
        "a night that is not missing can be given up",
        nights.skip_nights,
        "if odd := [day for day in chosen",
        "if odd := [day for day in chosen[1:]",
    ),
    Mutant(
        "rolls_back_to_a_revoked_champion",
        "the newest sound champion serves, revoked or not",
        promotion._newest_sound,
        "if revocation(version.manifest.parents) not in without and",
        "if",
    ),
    Mutant(
        "promotes_a_revoked_champion_again",
        "the night after a rollback makes the revoked champion again",
        promotion.find_next_champion,
        "if revocation(seen) in _revoked(data_root):",
        "if False:",
    ),
    Mutant(
        "makes_a_revoked_champion_again_where_no_other_is_sound",
        "a night goes on with a revoked champion rather than fail",
        promotion.find_next_champion,
        "if revocation(seen) in _revoked(data_root):",
        "if champion is not None and revocation(seen) in _revoked(data_root):",
    ),
    Mutant(
        "rolls_back_to_a_damaged_champion",
        "the newest champion serves, sound or not",
        promotion._newest_sound,
        "if not any(version.flaws(digests={}))",
        "if True",
    ),
    Mutant(
        "serves_a_damaged_champion",
        "a champion is served without hashing its files",
        promotion.current_champion,
        "champion.check()",
        "pass",
    ),
    Mutant(
        "serves_nothing_where_the_champion_is_damaged",
        "a damaged champion has no substitute",
        promotion.current_champion,
        "return _newest_sound(store, without=_revoked(data_root))",
        "return None",
    ),
    Mutant(
        "revokes_before_it_promotes",
        "a rollback records first, so that one killed in between revokes what goes on serving",
        promotion.roll_back,
        """    store.promote(before)
    Journal(data_root, REVOKED).append([{"id": own, "version": current.id}])""",
        """    Journal(data_root, REVOKED).append([{"id": own, "version": current.id}])
    store.promote(before)""",
    ),
    Mutant(
        "rolls_back_to_the_oldest",
        "the oldest sound champion serves after a rollback",
        promotion._newest_sound,
        "for version in reversed(bundles)",
        "for version in bundles",
    ),
    Mutant(
        "overwrites_a_first_commit",
        "a night that another machine committed meanwhile is replaced",
        Store.commit,
        "before = self._intact_current(asset, partition) if first else None",
        "before = None",
    ),
    Mutant(
        "promotes_before_it_publishes",
        "CURRENT names a version before its manifest is there",
        Store.commit,
        'self._place.replace(f"{own_key}/{MANIFEST}", manifest.to_bytes())',
        'self._point(asset, partition, staging.version); self._place.replace(f"{own_key}/{MANIFEST}", manifest.to_bytes())',
    ),
    Mutant(
        "follows_the_clock_back",
        "a version made after the clock was set back counts as older",
        Store._after,
        "return now if now > newest else",
        "return now if True else",
    ),
    Mutant(
        "takes_an_unreadable_version_for_a_damaged_one",
        "one read that fails sets a sound version aside",
        Store._load,
        "except FileNotFoundError as error:",
        "except OSError as error:",
    ),
    Mutant(
        "sweeps_published_versions",
        "a sweep takes what is not current for what a killed writer left",
        LocalDisk._sweep_folder,
        " or (path / MANIFEST).exists()",
        "",
    ),
    Mutant(
        "prunes_champions",
        "old champions are removed, and a rollback has nowhere to go",
        prune.prunable,
        "if asset == SERVING_MODEL:",
        "if False:",
    ),
    Mutant(
        "publishes_files_that_are_not_flushed",
        "a power cut empties files of a version that is published",
        LocalDisk.settle,
        "fsync(workspace / name)",
        "pass",
    ),
    Mutant(
        "does_not_flush_a_rename",
        "a power cut undoes a promotion that later steps rely on",
        durable.replace_bytes,
        "    fsync(path.parent)",
        "    pass",
    ),
    Mutant(
        "writes_behind_a_torn_line",
        "a record is written into the line that a crash cut off, and is lost with it",
        Journal.append,
        'seal = b"\\n" if size',
        'seal = b"" if size',
    ),
    Mutant(
        "rewrites_a_journal",
        "an append writes the journal anew, without the first record",
        Journal.append,
        "data = seal +",
        "os.ftruncate(descriptor, size // 2); data = seal +",
    ),
    Mutant(
        "reads_rows_dated_ahead",
        "a row of a day to come makes a session",
        days_to_come.reject_far,
        "(seen.astimezone(dt.UTC) + FIRST).date()",
        "dt.date(2100, 1, 1)",
    ),
    Mutant(
        "forecasts_a_night_in_sample",
        "a champion forecasts a night that it was trained on",
        nightly_forecast.require_out_of_sample,
        "if str(cutoff) >= day:",
        "if False:",
    ),
    Mutant(
        "forecasts_a_night_before_its_promotion",
        "a champion forecasts a night whose outcomes promoted it",
        nightly_forecast.require_out_of_sample,
        "if promoted > day:",
        "if False:",
    ),
    Mutant(
        "replays_on_the_live_root",
        "a replay makes an older panel current",
        replays.require_own_root,
        "if as_of is None or not store.has(RAW_PANEL):",
        "if True:",
    ),
)


@contextmanager
def seeded(mutant: Mutant) -> Iterator[None]:
    """Let the mutant's code run for the length of a block. Raises ValueError where its text is not there exactly once."""
    function: Any = mutant.function
    assert isinstance(function, FunctionType)
    source = textwrap.dedent(inspect.getsource(function))
    found = source.count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} stands {found} times in {function.__qualname__}")
    made: dict[str, Any] = {}
    exec(compile(source.replace(mutant.old, mutant.new), inspect.getfile(function), "exec"), function.__globals__, made)
    before, function.__code__ = function.__code__, made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


@dataclass(frozen=True)
class Found:
    """How a mutant was found: the seed whose history broke, and after how many steps in all."""

    seed: int
    steps: int
    outcome: Outcome


def find(mutant: Mutant, *, seeds: range) -> Found | None:
    """Return the first history of ``seeds`` that breaks an invariant under a mutant; None where none does."""
    steps = 0
    with seeded(mutant):
        for seed in seeds:
            outcome = run(events_of(seed))
            steps += outcome.steps
            if outcome.broken:
                return Found(seed, steps, outcome)
    return None
