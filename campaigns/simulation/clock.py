"""The simulated time, and everything else that differs from run to run, replaced for the length of a history."""

import datetime as dt
import random
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from forecast_assets.assets.framework import materialise
from forecast_assets.automation import nights
from forecast_assets.resources import source
from forecast_assets.store import store

CLOCKED: tuple[ModuleType, ...] = (nights, source, store)
"""Modules whose clock is the simulated one."""


@dataclass
class Clock:
    """The machine's clock: it can be set back, and ``latest`` is the latest time that it has shown."""

    now: dt.datetime
    latest: dt.datetime

    def move_to(self, moment: dt.datetime) -> None:
        self.now = moment
        self.latest = max(self.latest, moment)

    def tick(self) -> dt.datetime:
        """Return the time; the next call returns a later one."""
        self.move_to(self.now + dt.timedelta(milliseconds=1))
        return self.now


@contextmanager
def determined(clock: Clock, names: random.Random) -> Iterator[None]:
    """Make the time the clock's and random names those of a generator; durations are zero, the code is version 1.

    Digesting the code takes longer than a simulated night, and nobody edits it meanwhile.
    """

    class Datetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return clock.tick().astimezone(tz)

    shown = SimpleNamespace(**{**vars(dt), "datetime": Datetime})
    usage = SimpleNamespace(getrusage=lambda _: SimpleNamespace(ru_maxrss=0), RUSAGE_SELF=0)
    with ExitStack() as stack:
        for module in CLOCKED:
            stack.enter_context(mock.patch.object(module, "dt", shown))
        replaced: dict[str, Any] = {
            "time": SimpleNamespace(perf_counter=lambda: 0.0),
            "resource": usage,
            "code_version": lambda *_, **__: "1",
            "require_unedited": lambda *_, **__: None,
        }
        for name, value in replaced.items():
            stack.enter_context(mock.patch.object(materialise, name, value))
        stack.enter_context(mock.patch.object(secrets, "token_hex", lambda count: names.randbytes(count).hex()))
        yield
