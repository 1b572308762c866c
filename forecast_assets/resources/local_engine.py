"""The engine that runs tasks in this process."""

from collections.abc import Iterable, Iterator
from functools import partial

from forecast_assets.resources.engine import MessageHandler, Needs, R, T, Work
from forecast_assets.resources.worker_engine import WorkerEngine


class LocalEngine:
    """Runs tasks in this process, one after the other; those that may take some time only, in another one."""

    def each(
        self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, on_message: MessageHandler
    ) -> Iterator[tuple[int, R]]:
        """See ``Engine``."""
        if needs.seconds is not None:
            yield from WorkerEngine(1).each(work, tasks, needs=needs, on_message=on_message)
            return
        for position, task in enumerate(tasks):
            yield position, work(task, partial(on_message, position))
