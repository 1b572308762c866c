"""Subjects of the trials, a writer to the store or a part of the graph: how each starts and how its recovery is checked."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.faults import invariants, writer
from campaigns.faults.graph_parts import GRAPH_PARTS, GraphPart, lay_out
from campaigns.faults.injected import count_steps
from campaigns.faults.worker import Worker, as_command, fork, start
from forecast_assets.store.store import Store

Before = Callable[[], None]


@dataclass
class Subject:
    """A process below ``root``; ``seconds``, durable ``steps`` and ``memory`` (bytes, 0: unknown) of one without."""

    name: str
    root: Path
    seconds: float = 0.0
    steps: int = 0
    memory: int = 0

    def begin(self, *, shared: bool = True) -> None:
        """Make the files that it starts from; ``shared``: as hard links where nothing is altered."""
        raise NotImplementedError

    def start(self, log: str, before: Before | None = None) -> Worker:
        raise NotImplementedError

    def differences(self) -> list[str]:
        """Return what differs from the state after a run without faults."""
        raise NotImplementedError

    def calibrate(self) -> None:
        """Measure a run without faults, and check that it gives the same result."""
        self.begin()
        counted = self.root / "steps"
        started = time.perf_counter()
        worker = self.start("calibrate", lambda: count_steps(counted))
        code = worker.wait()
        self.seconds = time.perf_counter() - started
        problems = self.differences()
        if code != 0 or problems:
            raise SystemExit(f"{self.name}: without a fault it ends with {code} and {problems}; see {worker.log}")
        self.steps = int(counted.read_text())
        print(f"{self.name}: {self.seconds:.1f} s, {self.steps} durable steps", flush=True)

    def versions(self) -> dict[str, int]:
        """Count the versions of each slot of the store."""
        store = Store(self.root / "data" / "store")
        return {
            f"{asset}/{partition or 'all'}": len(store.versions(asset, partition))
            for asset in store.assets()
            for partition in store.slots(asset)
        }


@dataclass
class Writer(Subject):
    """The writer: `writer.work`."""

    expected: dict[str, object] = field(default_factory=dict)

    def begin(self, *, shared: bool = True) -> None:
        writer.empty(self.root)

    def start(self, log: str, before: Before | None = None) -> Worker:
        return fork(as_command(lambda: writer.work(self.root)), root=self.root, log=log, before=before)

    def differences(self) -> list[str]:
        problems = [*invariants.store_problems(self.root), *invariants.litter(self.root)]
        found = writer.state(self.root)
        problems += [
            f"{key} is {value}, not {self.expected[key]}" for key, value in found.items() if value != self.expected[key]
        ]
        return problems


@dataclass
class Part(Subject):
    """A part of the graph."""

    part: GraphPart = GRAPH_PARTS["panel"]
    reference: Path = Path()

    def begin(self, *, shared: bool = True) -> None:
        lay_out(self.reference, self.root, shared=shared)
        self.part.remove(self.root)

    def start(self, log: str, before: Before | None = None) -> Worker:
        return start(self.part.arguments, root=self.root, log=log, before=before)

    def differences(self) -> list[str]:
        return invariants.after_rerun(self.root, self.reference)


def subjects(reference: Path, root: Path) -> tuple[Subject, list[Subject]]:
    """Return the writer and the parts of the graph, measured now or, for the same reference, before."""
    file = reference / "measured.json"
    measured = json.loads(file.read_text()) if file.exists() else {}
    written = Writer("store", root, expected=writer.without_faults(root))
    parts: list[Subject] = [Part(name, root, part=part, reference=reference) for name, part in GRAPH_PARTS.items()]
    for subject in (written, *parts):
        if subject.name in measured:
            subject.seconds, subject.steps = measured[subject.name]
        else:
            subject.calibrate()
            measured[subject.name] = [subject.seconds, subject.steps]
            file.write_text(json.dumps(measured))
    return written, parts
