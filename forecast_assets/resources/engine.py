"""Where independent pieces of work run - the fits of a fold, the trials of a sweep - and how they are heard from.

A piece of work is a function of a task and of ``say``, which reports to whoever asked for the work and returns the answer,
so that a long task can be followed and told to stop. An engine runs one function over many tasks. What comes back, and in
which order it is handed on, is the same on every engine; so is the error of a task that failed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware

T = TypeVar("T")
R = TypeVar("R")

Say = Callable[[Any], Any]
"""Tells the asker something while a task runs; returns its answer."""

Hear = Callable[[int, Any], Any]
"""Takes the position of a task and what it said; what it returns is the answer.

A task that was begun again on another machine says again what it said before.
"""

Work = Callable[[T, Say], R]


@dataclass(frozen=True)
class Needs:
    """What one task takes of a machine."""

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0


FIT_BYTES = 3 * 2**28
"""What a fit takes beside the panel: libraries and a network at work; measured 0.62 GiB (benchmarks/results/fold.json)."""


def fit_needs(hardware: "Hardware", *, tensor_bytes: int) -> Needs:
    """What one fit takes on ``hardware``, its panel being ``tensor_bytes`` on disk: torch's threads, a GPU, memory
    (measured 1.06 times the panel and FIT_BYTES; rounded up).
    """
    import torch

    gpus = int(hardware.accelerator == "cuda")
    return Needs(cpus=torch.get_num_threads(), gpus=gpus, memory_bytes=tensor_bytes * 5 // 4 + FIT_BYTES)


class Engine(Protocol):
    """See the module."""

    def each(self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, hear: Hear) -> Iterator[tuple[int, R]]:
        """Position and result of every task, as they come to an end; ``tasks`` is asked for the next one where there is
        room for it, so that it may depend on what ended before. The first error ends all.
        """
        ...


def in_order(engine: Engine, work: Work[T, R], tasks: Sequence[T], *, needs: Needs, hear: Hear) -> Iterator[R]:
    """The results of ``tasks`` in their order, each as soon as those before it are there."""
    waiting: dict[int, R] = {}
    position = 0
    for ended, result in engine.each(work, tasks, needs=needs, hear=hear):
        waiting[ended] = result
        while position in waiting:
            yield waiting.pop(position)
            position += 1


class LocalEngine:
    """In this process, one task after the other."""

    def each(self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, hear: Hear) -> Iterator[tuple[int, R]]:
        """See ``Engine``."""
        for position, task in enumerate(tasks):

            def say(message: Any, position: int = position) -> Any:
                return hear(position, message)

            yield position, work(task, say)
