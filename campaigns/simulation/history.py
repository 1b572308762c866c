"""Histories of a simulated deployment: made from a seed, run step by step, shrunk where one breaks an invariant."""

import gc
import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from campaigns.simulation.clock import Clock, determined
from campaigns.simulation.deployment import BEGIN, REFUSED, Deployment
from campaigns.simulation.disk import KINDS, Death, Fault
from campaigns.simulation.invariants import Broken, Observer, given_up, rolled_back
from forecast_assets.store.asset_keys import SERVING_MODEL
from forecast_assets.store.names import CURRENT, WHOLE

STEPS = 80
WEIGHTS = {
    "work": 76,
    "deliver": 4,
    "odd_date": 1,
    "move_clock": 2,
    "rollback": 3,
    "skip": 3,
    "damage": 2,
    "retrain": 3,
    "rename_ticker": 1,
    "click": 3,
    "sweep": 1,
    "prune": 0.5,
    "replay": 0.5,
}
"""Kinds of events, and how often they come; "work" is the daemon's."""
MEANWHILE = ("rollback", "retrain", "skip", "deliver", "rename_ticker", "commit_too", "commit_too")
"""What others may do while an asset is being made."""
FAULT_SHARE, MEANWHILE_SHARE = {"work": 0.1}, 0.1
ELSE = 0.3  # share of the other kinds' events at which a fault strikes: they are rarer
IN_A_RACE = 0.5  # share of faults where somebody else acts meanwhile; they strike after that
FARTHEST, FARTHEST_READ = 45, 200  # a fault strikes at one of so many changes, or reads; most steps make fewer
FARTHEST_IN_A_RACE = 60
CALM_TICKS, MOST_CALM_STEPS = 2, 600
MEMORY = Path("/dev/shm")  # where there is one: a disk that costs nothing
DEAD = "dead"


@dataclass(frozen=True)
class Event:
    """A step: what happens, a number from which it draws what it needs, and what goes wrong."""

    kind: str
    number: int
    fault: Fault | None = None
    meanwhile: str = ""


@dataclass
class Outcome:
    """How a history went."""

    steps: int = 0
    broken: list[Broken] = field(default_factory=list)
    trace: str = ""  # digest of everything that happened and of every byte that is left
    counts: Counter[str] = field(default_factory=Counter)  # kind of event or fault -> how often


def events_of(seed: int, *, steps: int = STEPS) -> list[Event]:
    """Return the history of a seed."""
    rng = random.Random(seed)
    kinds = rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=steps)
    return [_event(kind, rng) for kind in kinds]


def _event(kind: str, rng: random.Random) -> Event:
    fault = None
    alone = kind == "replay"  # what others change meanwhile is no part of it
    meanwhile = rng.choice(MEANWHILE) if rng.random() < MEANWHILE_SHARE and not alone else ""
    if rng.random() < (IN_A_RACE if meanwhile else FAULT_SHARE.get(kind, ELSE)):
        struck = rng.choice(KINDS)
        read = FARTHEST_IN_A_RACE if meanwhile else FARTHEST_READ
        at = int((read if struck == "unreadable" else FARTHEST) * rng.random() ** 2)
        fault = Fault(struck, at, rng.random() < 0.5, rng.getrandbits(32))
    return Event(kind, rng.getrandbits(32), fault, meanwhile)


def run(events: Sequence[Event], *, calm: bool = True) -> Outcome:
    """Run a history until an invariant breaks; at the end, with ``calm``, all goes well for a while, and no night may be
    left that could be made.
    """
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=memory) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        return _History(root).run(events, calm=calm)


class _History:
    """One run of a history."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outcome = Outcome()
        self.digest = hashlib.sha256()
        self.names = random.Random(0)

    def run(self, events: Sequence[Event], *, calm: bool) -> Outcome:
        with ExitStack() as stack:
            stack.callback(gc.unfreeze)
            gc.freeze()  # so that what a death leaves behind is found quickly
            deployment = self._begin(stack)
            self.observer = Observer(deployment)
            for event in events:
                self._step(deployment, event)
                if self.outcome.broken:
                    break
            else:
                if calm:
                    self._calm(deployment)
            self._note(self._left(deployment))
        self.outcome.trace = self.digest.hexdigest()
        return self.outcome

    def _begin(self, stack: ExitStack) -> Deployment:
        clock = Clock(BEGIN, BEGIN)
        stack.enter_context(determined(clock, self.names))
        deployment = Deployment(self.root, clock)
        stack.enter_context(deployment.disk.installed())
        return deployment

    def _step(self, deployment: Deployment, event: Event) -> None:
        """Let one event happen, and judge."""
        rng = random.Random(event.number)
        self.names.seed(event.number)
        self.outcome.steps += 1
        self.outcome.counts[event.kind] += 1
        if event.meanwhile:
            other = random.Random(event.number + 1)
            deployment.pending = lambda: getattr(deployment, event.meanwhile)(other)
        judge = self._judge_of(deployment, event)
        said, broken, result = "", list[Broken](), None
        with deployment.disk.step(event.fault):
            try:
                result = getattr(deployment, event.kind)(rng)
            except REFUSED as error:
                said = type(error).__name__
            except Death:
                said = DEAD
            except Exception as error:  # a boundary: a bug of what is simulated is a finding
                said = f"{type(error).__name__}: {error}"
                broken.append(Broken("errors are one sentence", said))
        deployment.pending = None
        if said == DEAD:
            gc.collect()
            deployment.reboot()
        if said:
            self.outcome.counts["dead" if said == DEAD else "refused"] += 1
        self._note(f"{event.kind} {said}")
        try:
            broken += self.observer.after(deployment.disk.touched)
        except REFUSED as error:
            broken.append(Broken("the store can be read", f"{type(error).__name__}: {error}"))
        self.outcome.broken += broken
        if said != DEAD and not self.outcome.broken:
            self.outcome.broken += judge(result, said)

    def _judge_of(self, deployment: Deployment, event: Event) -> Callable[[Any, str], list[Broken]]:
        """Return what judges the result of an event, and how it was refused, by what was there before it."""
        pointer = deployment.root / "store" / SERVING_MODEL / WHOLE / CURRENT
        if event.kind == "replay":
            return lambda changed, _: [Broken("a replay touches nothing live", name) for name in changed or []]
        if event.kind == "skip":
            missing = self.observer.missing()
            return lambda days, _: given_up(self.observer, missing, days or [])
        current = pointer.read_text().strip() if pointer.exists() else ""
        if event.kind == "rollback" and event.fault is None and current and current not in deployment.damaged:
            expected = self.observer.expected_rollback()
            return lambda result, said: rolled_back(self.observer, expected, result)
        return lambda *_: []

    def _calm(self, deployment: Deployment) -> None:
        """Repair what is damaged, and let some days pass without a fault: all that is left is due for a reason."""
        ticks = 0
        for number, kind in enumerate(chain(("retrain", "repair"), repeat("work", MOST_CALM_STEPS))):
            ticks += kind == "work" and deployment.daemon.run is None
            if ticks > CALM_TICKS:
                break
            self._step(deployment, Event(kind, number))
            if self.outcome.broken:
                return
        self.outcome.broken += self.observer.after_all()
        self.outcome.broken += self.observer.unmade()

    def _left(self, deployment: Deployment) -> str:
        digest = hashlib.sha256()
        for name, content in sorted(deployment.contents().items()):
            digest.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()

    def _note(self, what: str) -> None:
        self.digest.update(f"{what}\n".encode())


def shrunk(events: Sequence[Event], invariant: str) -> list[Event]:
    """Return a short part of a history that still breaks an invariant: none of its events, and no fault, can be left out."""
    calm = not _breaks(events, invariant, calm=False)

    def breaks(candidate: Sequence[Event]) -> bool:
        return _breaks(candidate, invariant, calm=calm)

    kept = _without_pieces(list(events), breaks)
    for place in range(len(kept)):
        for plainer in (replace(kept[place], fault=None), replace(kept[place], meanwhile="")):
            candidate = [*kept[:place], plainer, *kept[place + 1 :]]
            if plainer != kept[place] and breaks(candidate):
                kept = candidate
    return _without_pieces(kept, breaks)


def _breaks(events: Sequence[Event], invariant: str, *, calm: bool) -> bool:
    return any(broken.invariant == invariant for broken in run(events, calm=calm).broken)


def _without_pieces(kept: list[Event], breaks: Callable[[Sequence[Event]], bool]) -> list[Event]:
    """Leave out ever smaller pieces for as long as the rest still breaks (ddmin)."""
    size = max(1, len(kept) // 2)
    while kept:
        shorter = next((rest for rest in _rests(kept, size) if breaks(rest)), None)
        if shorter is not None:
            kept, size = shorter, min(size, max(1, len(shorter) // 2))
        elif size == 1:
            break
        else:
            size //= 2
    return kept


def _rests(events: list[Event], size: int) -> Iterator[list[Event]]:
    """Yield the events without each piece of a size in turn, the last piece first."""
    for start in reversed(range(0, len(events), size)):
        yield events[:start] + events[start + size :]
