"""Faults at a durable step of this very process, and the count of its steps."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

DURABLE = ("mkdir", "fsync", "link", "replace", "rename")
"""Calls of ``os`` after which a crash finds something else on the disk."""


def at_each_step(action: Callable[[int, bool], None]) -> None:
    """From now on, call ``action(step, late)`` before and after every durable step."""
    passed = 0

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal passed
            step, passed = passed, passed + 1
            action(step, False)
            try:
                return real(*arguments, **options)
            finally:  # a folder that is there already is a step too
                action(step, True)

        return call

    for name in DURABLE:
        setattr(os, name, watched(getattr(os, name)))


def die_at(step: int, *, late: bool) -> None:
    """Kill this process right before its step number ``step`` from now, or right after it."""

    def action(now: int, after: bool) -> None:
        if (now, after) == (step, late):
            os.kill(os.getpid(), signal.SIGKILL)

    at_each_step(action)


def count_steps(path: Path) -> None:
    """Keep the number of steps so far in a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

    def action(now: int, after: bool) -> None:
        if after:
            os.pwrite(descriptor, str(now + 1).encode(), 0)

    at_each_step(action)
