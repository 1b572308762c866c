"""What is disturbed, and how one sees that it has recovered: a writer to the store, or a part of the graph."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.faults import invariants, writer
from campaigns.faults.chains import CHAINS, Chain, lay_out
from campaigns.faults.injected import count_steps
from campaigns.faults.worker import Worker, fork, start
from forecast_assets.store.store import Store

Before = Callable[[], None]


@dataclass
class Subject:
    """What runs in a process of its own below ``root``; ``seconds`` and durable ``steps`` of one that is left alone."""

    name: str
    root: Path
    seconds: float = 0.0
    steps: int = 0

    def begin(self, *, shared: bool = True) -> None:
        """Lay out what it starts from; ``shared``: as hard links where nothing is altered."""
        raise NotImplementedError

    def start(self, log: str, before: Before | None = None) -> Worker:
        raise NotImplementedError

    def differences(self) -> list[str]:
        """What is not as after an undisturbed run."""
        raise NotImplementedError

    def calibrate(self) -> None:
        """Measure it, and see that it gives the same again when it is left alone."""
        self.begin()
        counted = self.root / "steps"
        started = time.perf_counter()
        worker = self.start("calibrate", lambda: count_steps(counted))
        code = worker.wait()
        self.seconds = time.perf_counter() - started
        problems = self.differences()
        if code != 0 or problems:
            raise SystemExit(f"{self.name}: undisturbed, it ends with {code} and {problems}; see {worker.log}")
        self.steps = int(counted.read_text())
        print(f"{self.name}: {self.seconds:.1f} s, {self.steps} durable steps", flush=True)

    def versions(self) -> dict[str, int]:
        """How many versions each slot of the store has."""
        store = Store(self.root / "data" / "store")
        return {
            f"{asset}/{partition or 'all'}": len(store.versions(asset, partition))
            for asset in store.assets()
            for partition in store.slots(asset)
        }


@dataclass
class Writer(Subject):
    """`writer.work`."""

    expected: dict[str, object] = field(default_factory=dict)

    def begin(self, *, shared: bool = True) -> None:
        writer.empty(self.root)

    def start(self, log: str, before: Before | None = None) -> Worker:
        return fork(lambda: writer.work(self.root), root=self.root, log=log, before=before)

    def differences(self) -> list[str]:
        problems = [*invariants.store_problems(self.root), *invariants.litter(self.root)]
        found = writer.state(self.root)
        problems += [
            f"{key} is {value}, not {self.expected[key]}" for key, value in found.items() if value != self.expected[key]
        ]
        return problems


@dataclass
class Part(Subject):
    """A chain of the graph."""

    chain: Chain = CHAINS["panel"]
    reference: Path = Path()

    def begin(self, *, shared: bool = True) -> None:
        lay_out(self.reference, self.root, shared=shared)
        self.chain.remove(self.root)

    def start(self, log: str, before: Before | None = None) -> Worker:
        return start(self.chain.arguments, root=self.root, log=log, before=before)

    def differences(self) -> list[str]:
        return invariants.after_rerun(self.root, self.reference)


def subjects(reference: Path, root: Path) -> tuple[Subject, list[Subject]]:
    """The writer, and the parts of the graph, all measured; what was measured before for this reference is taken."""
    known = reference / "measured.json"
    measured = json.loads(known.read_text()) if known.exists() else {}
    written = Writer("store", root, expected=writer.undisturbed(root))
    parts: list[Subject] = [Part(name, root, chain=chain, reference=reference) for name, chain in CHAINS.items()]
    for subject in (written, *parts):
        if subject.name in measured:
            subject.seconds, subject.steps = measured[subject.name]
        else:
            subject.calibrate()
            measured[subject.name] = [subject.seconds, subject.steps]
            known.write_text(json.dumps(measured))
    return written, parts
