"""Tasks for an engine; a module of their own, since a worker process imports what it is in."""

import os
import time

from forecast_assets.core.errors import BadInput
from forecast_assets.resources.engine import ProgressCallback


def squared(task: int, report: ProgressCallback) -> int:
    """The square, unless told to stop."""
    for step in range(3):
        if not report((task, step)):
            return -1
    return task**2


def slow_first(task: int, report: ProgressCallback) -> str:
    """Task 0 takes longest; says where it runs."""
    import ray

    report(os.getpid())
    time.sleep(1.0 if task == 0 else 0.1)
    return str(ray.get_runtime_context().get_node_id())


def failing(task: int, report: ProgressCallback) -> int:
    raise BadInput(f"task {task} has no rows; give it some")


def until_told(task: int, report: ProgressCallback) -> tuple[int, str]:
    """Goes on until it is answered that both tasks have been heard from."""
    import ray

    while not report(str(ray.get_runtime_context().get_node_id())):
        time.sleep(0.05)
    return task, str(ray.get_runtime_context().get_node_id())
