"""Tasks for the tests of the engines, in a module that worker processes can import."""

import itertools
import os
import signal
import time

from forecast_assets.core.errors import BadInput
from forecast_assets.resources.engine import ProgressCallback


def squared(task: int, report: ProgressCallback) -> int:
    """Return the square, or -1 where an answer is to stop."""
    for step in range(3):
        if not report((task, step)):
            return -1
    return task**2


def slow_first(task: int, report: ProgressCallback) -> str:
    """Report the process id and return the node; task 0 takes longest."""
    import ray

    report(os.getpid())
    time.sleep(1.0 if task == 0 else 0.1)
    return str(ray.get_runtime_context().get_node_id())


def failing(task: int, report: ProgressCallback) -> int:
    raise BadInput(f"task {task} has no rows; give it some")


def until_stopped(task: int, report: ProgressCallback) -> tuple[int, str]:
    """Report the node until the answer is to stop."""
    import ray

    while not report(str(ray.get_runtime_context().get_node_id())):
        time.sleep(0.05)
    return task, str(ray.get_runtime_context().get_node_id())


def until_told(task: int, report: ProgressCallback) -> int:
    """Report the process id until the answer is to stop."""
    while not report(os.getpid()):
        time.sleep(0.02)
    return task


def process_of(task: int, report: ProgressCallback) -> int:
    return os.getpid()


def report_and_sleep(task: int, report: ProgressCallback) -> None:
    report(os.getpid())
    time.sleep(task)


def hangs_if_odd(task: int, report: ProgressCallback) -> int:
    """Return an even task; for an odd one compute for ever in C, deaf to every signal that can be ignored."""
    report(os.getpid())
    if task % 2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sum(itertools.repeat(1))
    return task


class OwnError(Exception):
    """An error that no pickle can make again: its constructor asks for more than it passes on."""

    def __init__(self, number: int, kind: str) -> None:
        super().__init__(f"{number} is {kind}")


def own_error(task: int, report: ProgressCallback) -> None:
    raise OwnError(task, "odd")
