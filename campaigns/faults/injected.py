"""Kill this process at one of its durable steps, or count them; a durable step is a call that changes the disk."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

DURABLE = ("mkdir", "fsync", "link", "replace", "rename")
"""Functions of ``os`` that change what a crash leaves on the disk."""


def at_each_step(action: Callable[[int, bool], None]) -> None:
    """Call ``action(step, late)`` before and after every durable step from now on."""
    passed = 0

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal passed
            step, passed = passed, passed + 1
            action(step, False)
            try:
                return real(*arguments, **options)
            finally:  # a folder that exists already is a step too
                action(step, True)

        return call

    for name in DURABLE:
        setattr(os, name, watched(getattr(os, name)))


def die_at(step: int, *, late: bool) -> None:
    """Kill this process right before its step number ``step`` from now, or right after it (``late``)."""

    def action(now: int, after: bool) -> None:
        if (now, after) == (step, late):
            os.kill(os.getpid(), signal.SIGKILL)

    at_each_step(action)


def count_steps(path: Path) -> None:
    """Write the number of steps so far to a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

    def action(now: int, after: bool) -> None:
        if after:
            os.pwrite(descriptor, str(now + 1).encode(), 0)

    at_each_step(action)
