"""Engines that run independent tasks, such as the fits of a fold or the trials of a sweep: the interface.

Work is a function of a task and of ``report``, which sends a message to the caller of the engine while the task runs and
returns the caller's answer; so a long task can be monitored and stopped. Results, their order and the error of a failed
task are the same on every engine.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware

T = TypeVar("T")
R = TypeVar("R")

ProgressCallback = Callable[[Any], Any]  # sends a message from a running task; returns the answer to it
MessageHandler = Callable[[int, Any], Any]
"""Takes the position of a task and its message, which a restarted task sends again; returns the answer."""

Work = Callable[[T, ProgressCallback], R]


@dataclass(frozen=True)
class Needs:
    """What one task takes of a machine."""

    cpus: int = 1
    gpus: int = 0
    memory_bytes: int = 0
    seconds: float | None = None  # from its first message on, after which its process is killed


FIT_BYTES = 3 * 2**28
"""Memory of a fit beside the panel: libraries and the network; measured 0.62 GiB (benchmarks/results/fold.json)."""


def fit_needs(hardware: "Hardware", *, tensor_bytes: int) -> Needs:
    """Return what one fit takes on ``hardware``, its panel being ``tensor_bytes`` on disk: torch's threads, a GPU, memory
    (measured 1.06 times the panel and FIT_BYTES; rounded up).
    """
    import torch

    gpus = int(hardware.accelerator == "cuda")
    return Needs(cpus=torch.get_num_threads(), gpus=gpus, memory_bytes=tensor_bytes * 5 // 4 + FIT_BYTES)


class ProcessEnded(RuntimeError):
    """A process that ended by itself in the middle of a task, and that task's position."""

    def __init__(self, position: int, exit_code: int | None) -> None:
        super().__init__(position, exit_code)
        self.position, self.exit_code = position, exit_code

    def __str__(self) -> str:
        return (
            f"the process of task {self.position + 1} ended with exit code {self.exit_code}; where that is -9, memory may "
            "have run out: FORECAST_WORKERS=1 runs one task at a time. A fit continues from its last finished epoch."
        )


class Engine(Protocol):
    """See the module."""

    def each(
        self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, on_message: MessageHandler
    ) -> Iterator[tuple[int, R]]:
        """Yield position and result of every task as it ends. The first error ends all, as OutOfTime does where a task takes
        longer than ``needs.seconds``.

        The next task is taken from ``tasks`` only when there is room for it, so it may depend on earlier results.
        """


def in_order(
    engine: Engine, work: Work[T, R], tasks: Sequence[T], *, needs: Needs, on_message: MessageHandler
) -> Iterator[R]:
    """Yield the results of ``tasks`` in their order, each as soon as those before it are there."""
    waiting: dict[int, R] = {}
    position = 0
    for ended, result in engine.each(work, tasks, needs=needs, on_message=on_message):
        waiting[ended] = result
        while position in waiting:
            yield waiting.pop(position)
            position += 1
