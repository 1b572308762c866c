"""The engine that runs tasks on a Ray cluster: placed by their needs, restarted elsewhere when their machine dies.

The work is sent once and cached by each worker process. It opens its inputs on the machine where it runs, so the store's
root must be valid on every machine (an object store's URL, a shared folder). Ray pickles messages between live processes of
one cluster; no pickle is ever written to the store or read from it.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, cast

import click

from forecast_assets.core.errors import BadSetting, OutOfTime
from forecast_assets.resources.engine import MessageHandler, Needs, R, T, Work

RETRIES = 3  # restarts of a task whose process or machine died; an error that it raises is final


class Mailbox:
    """Messages of tasks and the answers to them: an actor on the machine of the process that called the engine."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[int, int, Any]] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def send(self, position: int, message: Any) -> Any:
        """Send a message of the task at ``position`` and return the answer once there is one."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._messages.put_nowait((number, position, message))
        return await answer

    async def receive(self) -> tuple[int, int, Any]:
        """Return the next message: its number, the task's position, its content."""
        return await self._messages.get()

    async def answer(self, number: int, answer: Any) -> None:
        """Answer message ``number``."""
        waiting = self._answers.pop(number)
        if not waiting.done():  # cancelled, where the task's process died in the meantime
            waiting.set_result(answer)


_cached_work: tuple[str, Any] = ("", None)  # the last work sent to this worker process, by its reference's id


def _run(work: list[Any], task: Any, position: int, mailbox: Any, threads: int) -> Any:
    """Run one task in a worker process. ``work`` is a reference in a list, since Ray would load it for every task."""
    import ray
    import torch

    global _cached_work
    torch.set_num_threads(threads)  # as many as in the calling process: a sum depends on how it is split
    if _cached_work[0] != work[0].hex():
        _cached_work = ("", None)  # free one panel before the next is loaded
        _cached_work = (work[0].hex(), ray.get(work[0]))

    def report(message: Any) -> Any:
        # Not by ray.get, during which Ray would lend this task's core to another one.
        return mailbox.send.remote(position, message).future().result()

    return _cached_work[1](task, report)


class RayEngine:
    """See ``Engine``. Connects on first use; ``address`` None starts a cluster on this machine alone, on loopback."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    @cached_property
    def _ray(self) -> Any:
        """Return the ray module, connected. Raises BadSetting where there is no cluster at the address."""
        import ray

        if ray.is_initialized():
            return ray
        alone: dict[str, Any] = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        place = alone if self.address is None else {"address": self.address}
        try:
            ray.init(configure_logging=False, log_to_driver=False, namespace="forecast_assets", **place)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().split("\n")[0]
            raise BadSetting(f"RAY_ADDRESS: no Ray cluster answers at {self.address} ({first[:200]})") from error
        return ray

    def each(
        self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, on_message: MessageHandler
    ) -> Iterator[tuple[int, R]]:
        """See ``Engine``. As many tasks at a time as the cluster has room for."""
        import torch
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ray = self._ray
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        run = ray.remote(_run).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=needs.memory_bytes or None,
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
        )
        sent = [ray.put(work)]
        numbered = enumerate(tasks)
        running: dict[Any, int] = {}
        ends: dict[int, float] = {}  # position -> end of the task's time, monotonic
        incoming = mailbox.receive.remote()
        try:
            while True:
                for position, task in itertools.islice(numbered, max(0, self._room(needs) - len(running))):
                    running[run.remote(sent, task, position, mailbox, torch.get_num_threads())] = position
                if not running:
                    return
                late = min(ends, key=ends.__getitem__, default=None)
                left = None if late is None else max(0.0, ends[late] - time.monotonic())
                ready, _ = ray.wait([incoming, *running], num_returns=1, timeout=left)
                if late is not None and needs.seconds is not None and not ready:
                    raise OutOfTime(late, needs.seconds)
                first = ready[0]
                if first == incoming:
                    number, position, message = ray.get(incoming)
                    if needs.seconds is not None:
                        ends.setdefault(position, time.monotonic() + needs.seconds)
                    mailbox.answer.remote(number, on_message(position, message))
                    incoming = mailbox.receive.remote()
                else:
                    position = running.pop(first)
                    ends.pop(position, None)
                    yield position, cast(R, self._result(first))
        finally:
            for task in running:
                ray.cancel(task, force=True)
            ray.kill(mailbox)

    def _room(self, needs: Needs) -> int:
        """Return how many such tasks fit on the cluster at once; at least 1, which then waits for a large enough machine."""
        available = self._ray.cluster_resources()
        needed = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory_bytes}
        return max(1, int(min(available.get(kind, 0) // amount for kind, amount in needed.items() if amount)))

    def _result(self, task: Any) -> Any:
        """Return what a task returned; raise what it raised, as if it had run here."""
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            cause.add_note(f"Raised in a Ray task:\n{click.unstyle(str(error))}")
        raise cause
