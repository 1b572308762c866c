"""Micro-batching of computed forecasts: requests that arrive while the model runs share its next run."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from forecast_assets.serving.http_error import HttpError
from forecast_assets.serving.schemas import Answer
from forecast_assets.serving.snapshot import PendingForecast, Snapshot

Result = TypeVar("Result")

_Job = tuple[Snapshot, list[PendingForecast], asyncio.Future[list[Answer]]]


class Batcher:
    """One thread that runs the model, and its queue. No timer: a batch fills while the one before it runs."""

    def __init__(self, *, batch_size: int, queue_size: int) -> None:
        """At most ``batch_size`` forecasts per run (a single request is never split), ``queue_size`` waiting requests."""
        self._batch_size = batch_size
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(queue_size)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._deferred: _Job | None = None  # the first job that did not fit into the last batch
        self._calls = 0
        self.runs = 0
        self.forecasts = 0

    async def answers(self, snapshot: Snapshot, wanted: list[PendingForecast]) -> list[Answer]:
        """Compute ``wanted``, in that order. Raises HttpError (503) at once where the queue is full."""
        if not wanted:
            return []
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((snapshot, wanted, future))
        except asyncio.QueueFull as error:
            sentence = "Too many forecasts wait to be computed; try again soon."
            raise HttpError(503, "overloaded", sentence) from error
        return await future

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run another function of the model in the same thread. Raises HttpError (503) where too many wait."""
        if self._calls >= self._queue.maxsize:
            raise HttpError(503, "overloaded", "Too many requests wait for the model; try again soon.")
        self._calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._calls -= 1

    async def run(self) -> None:
        """Serve the queue until cancelled."""
        try:
            while True:
                await self._compute(await self._next_batch())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _next_batch(self) -> list[_Job]:
        """Return the next job and those behind it that fit into the same run and have the same snapshot."""
        first = self._deferred or await self._queue.get()
        self._deferred = None
        jobs, size = [first], len(first[1])
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                job = self._queue.get_nowait()
                if job[0] is not first[0] or size + len(job[1]) > self._batch_size:
                    self._deferred = job
                    break
                jobs.append(job)
                size += len(job[1])
        return [job for job in jobs if not job[2].done()]  # without the requests that timed out

    async def _compute(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        wanted = [one for job in jobs for one in job[1]]
        self.runs += 1
        self.forecasts += len(wanted)
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._thread, jobs[0][0].compute, wanted)
        except Exception as error:
            # A boundary: these requests fail, the queue goes on.
            for _, _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            return
        at = 0
        for _, job, future in jobs:
            if not future.done():
                future.set_result(made[at : at + len(job)])
            at += len(job)
