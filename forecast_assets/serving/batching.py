"""Computed forecasts in micro-batches: whoever asks while the model is busy shares its next run."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.schemas import Answer
from forecast_assets.serving.snapshot import Pending, Snapshot

UNAVAILABLE = 503

Result = TypeVar("Result")

_Job = tuple[Snapshot, list[Pending], asyncio.Future[list[Answer]]]


class Batcher:
    """One thread that asks the model; no timer, since a batch gathers by itself while the one before it runs."""

    def __init__(self, *, most: int, waiting: int) -> None:
        """At most ``most`` decisions in one run (a single request is never split), ``waiting`` requests in line."""
        self._most = most
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._held: _Job | None = None
        self._others = 0
        self.runs = 0
        self.decisions = 0

    async def answers(self, snapshot: Snapshot, wanted: list[Pending]) -> list[Answer]:
        """In the order of ``wanted``. Raises HttpError (503) at once where the line is full."""
        if not wanted:
            return []
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((snapshot, wanted, future))
        except asyncio.QueueFull as error:
            raise HttpError(
                UNAVAILABLE, "overloaded", "Too many forecasts wait to be computed; ask again soon."
            ) from error
        return await future

    async def alone(self, ask: Callable[[], Result]) -> Result:
        """One other question to the model, in the same thread. Raises HttpError (503) where too many wait."""
        if self._others >= self._queue.maxsize:
            raise HttpError(UNAVAILABLE, "overloaded", "Too many requests wait for the model; ask again soon.")
        self._others += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        finally:
            self._others -= 1

    async def run(self) -> None:
        """Serve the line until cancelled."""
        try:
            while True:
                await self._serve(await self._gather())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _gather(self) -> list[_Job]:
        """The next job and those behind it that fit into the same run: same snapshot, still waited for."""
        first = self._held or await self._queue.get()
        self._held = None
        jobs, size = [first], len(first[1])
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                job = self._queue.get_nowait()
                if job[0] is not first[0] or size + len(job[1]) > self._most:
                    self._held = job
                    break
                jobs.append(job)
                size += len(job[1])
        return [job for job in jobs if not job[2].done()]  # who gave up is not computed for

    async def _serve(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        wanted = [one for job in jobs for one in job[1]]
        self.runs += 1
        self.decisions += len(wanted)
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._thread, jobs[0][0].compute, wanted)
        except Exception as error:
            # A boundary: the failure belongs to those who asked, the line goes on.
            for _, _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            return
        at = 0
        for _, asked, future in jobs:
            if not future.done():
                future.set_result(made[at : at + len(asked)])
            at += len(asked)
