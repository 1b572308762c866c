"""Tasks on a Ray cluster: placed by what they need, begun again elsewhere when their machine dies.

The work is sent once and stays with a worker process from one task to the next. What it reads it opens by itself, where it
runs: the store's root has to mean the same on every machine (an object store's URL, a shared folder). Ray pickles what
passes between live processes of one cluster; no pickle is ever written to the store or read from it.
"""

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, cast

import click

from forecast_assets.core.errors import BadSetting
from forecast_assets.resources.engine import Hear, Needs, R, T, Work

RETRIES = 3
"""How often a task is begun again after its process or machine died. An error of its own is final."""


class Mailbox:
    """What tasks say and what they are answered; an actor beside the process that asked for the work."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[tuple[int, int, Any]] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def say(self, position: int, message: Any) -> Any:
        """The answer to ``message``, once there is one."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._said.put_nowait((number, position, message))
        return await answer

    async def heard(self) -> tuple[int, int, Any]:
        """The next message that was not taken yet: its number, the task's position, what it said."""
        return await self._said.get()

    async def answer(self, number: int, answer: Any) -> None:
        """Answer message ``number``."""
        waiting = self._answers.pop(number)
        if not waiting.done():  # cancelled, where the task's process died in the meantime
            waiting.set_result(answer)


_kept: tuple[str, Any] = ("", None)
"""The work that this worker process was sent last."""


def _run(work: list[Any], task: Any, position: int, mailbox: Any, threads: int) -> Any:
    """One task, in a worker process. ``work`` is a reference in a list, since Ray would open it for every task."""
    import ray
    import torch

    global _kept
    torch.set_num_threads(threads)  # as many as where the work was asked for: a sum depends on how it is split
    if _kept[0] != work[0].hex():
        _kept = ("", None)  # two panels need not be held at once
        _kept = (work[0].hex(), ray.get(work[0]))

    def say(message: Any) -> Any:
        # Not by ray.get, during which Ray would lend this task's core to another one.
        return mailbox.say.remote(position, message).future().result()

    return _kept[1](task, say)


class RayEngine:
    """See ``Engine``. Connects on first use; ``address`` None starts a cluster of this machine alone, on loopback."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    @cached_property
    def _ray(self) -> Any:
        """The library, connected. Raises BadSetting where there is no cluster at the address."""
        import ray

        if ray.is_initialized():
            return ray
        options: dict[str, Any] = {"configure_logging": False, "log_to_driver": False, "namespace": "forecast_assets"}
        if self.address is None:
            options |= {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        else:
            options["address"] = self.address
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().split("\n")[0]
            raise BadSetting(f"RAY_ADDRESS: no Ray cluster answers at {self.address} ({first[:200]})") from error
        return ray

    def each(self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, hear: Hear) -> Iterator[tuple[int, R]]:
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
        asked = enumerate(tasks)
        running: dict[Any, int] = {}
        heard = mailbox.heard.remote()
        try:
            while True:
                for position, task in itertools.islice(asked, max(0, self._room(needs) - len(running))):
                    running[run.remote(sent, task, position, mailbox, torch.get_num_threads())] = position
                if not running:
                    return
                (first, *_), _ = ray.wait([heard, *running], num_returns=1)
                if first == heard:
                    number, position, message = ray.get(heard)
                    mailbox.answer.remote(number, hear(position, message))
                    heard = mailbox.heard.remote()
                else:
                    position = running.pop(first)
                    yield position, cast(R, self._result(first))
        finally:
            for task in running:
                ray.cancel(task, force=True)
            ray.kill(mailbox)

    def _room(self, needs: Needs) -> int:
        """How many such tasks the cluster holds at once; 1 at least, which then waits for a machine that holds it."""
        there = self._ray.cluster_resources()
        asked = {"CPU": needs.cpus, "GPU": needs.gpus, "memory": needs.memory_bytes}
        return max(1, int(min(there.get(kind, 0) // much for kind, much in asked.items() if much)))

    def _result(self, task: Any) -> Any:
        """What a task returned; raises what it raised, as if it had run here."""
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            cause.add_note(f"Raised in a Ray task:\n{click.unstyle(str(error))}")
        raise cause
