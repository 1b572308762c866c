"""The engine that runs tasks in further processes of this machine, each with as many threads as this process has.

Processes are started anew, since torch's threads don't survive a fork, and kept for later tasks, since starting one takes
seconds. They end with this process, however it ends, and with a task that is given up.
"""

import copy
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forecast_assets.core.errors import OutOfTime
from forecast_assets.resources.engine import MessageHandler, Needs, ProcessEnded, R, T, Work
from forecast_assets.resources.process_setup import set_up

WAITING_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""OpenMP's threads sleep while they wait: beside other load, spinning ones cost up to ten times the work."""


@dataclass(frozen=True, eq=False)
class _Worker:
    """A process that runs one task at a time, and what it was started with."""

    process: BaseProcess
    connection: Connection
    surroundings: tuple[Any, ...]

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


_idle: list[_Worker] = []


class WorkerEngine:
    """See ``Engine``. ``workers`` processes at most, and no more than free memory holds."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def each(
        self, work: Work[T, R], tasks: Iterable[T], *, needs: Needs, on_message: MessageHandler
    ) -> Iterator[tuple[int, R]]:
        """See ``Engine``. Raises ProcessEnded where a process ended by itself."""
        numbered, room = enumerate(tasks), min(self.workers, _room(needs))
        free: list[_Worker] = []
        busy: dict[_Worker, int] = {}
        ends: dict[_Worker, float] = {}  # of its task's time, monotonic
        try:
            while True:
                while len(busy) < room and (following := next(numbered, None)) is not None:
                    worker = free.pop() if free else _with_work(work)
                    busy[worker] = following[0]
                    worker.connection.send((following[1],))
                    ends[worker] = inf
                if not busy:
                    return
                first = min(ends[worker] for worker in busy)
                # Also of a process that ended: it is at its end.
                ready = wait(
                    [worker.connection for worker in busy], timeout=None if first == inf else first - time.monotonic()
                )
                for worker in [worker for worker in busy if worker.connection in ready]:
                    done, content = _received(worker, position=busy[worker])
                    if not done:
                        if needs.seconds is not None and ends[worker] == inf:
                            ends[worker] = time.monotonic() + needs.seconds
                        worker.connection.send(on_message(busy[worker], content))
                        continue
                    free.append(worker)
                    yield busy.pop(worker), content
                _check_time(busy, ends, needs)
        finally:
            for worker in busy:
                worker.end()
            for worker in free:
                worker.connection.send(None)  # lets go of the work and its inputs
                _idle.append(worker)


def _check_time(busy: Mapping[_Worker, int], ends: Mapping[_Worker, float], needs: Needs) -> None:
    """Raise OutOfTime where a task's time is over and nothing that it has sent is waiting."""
    for worker, position in busy.items():
        if needs.seconds is not None and ends[worker] <= time.monotonic() and not worker.connection.poll():
            raise OutOfTime(position, needs.seconds)


def _room(needs: Needs) -> int:
    """Return how many tasks the free memory holds, at least 1."""
    return max(1, free_bytes() // needs.memory_bytes) if needs.memory_bytes else os.cpu_count() or 1


def free_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return the memory that new processes may take without swapping; where the system doesn't say, half of it all."""
    if not meminfo.exists():  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _with_work(work: Any) -> _Worker:
    """Return an idle process that was started in today's surroundings, or a new one, and send it ``work``."""
    import torch

    surroundings = (os.getpid(), torch.get_num_threads(), os.getcwd(), dict(os.environ))
    while _idle:
        worker = _idle.pop()
        if worker.surroundings == surroundings and worker.process.is_alive():
            break
        if worker.surroundings[0] == os.getpid():  # not one of the process that this one was forked from
            worker.end()
    else:
        worker = _started(surroundings, threads=torch.get_num_threads())
    worker.connection.send(work)
    return worker


def _started(surroundings: tuple[Any, ...], *, threads: int) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
    added = {name: value for name, value in WAITING_THREADS.items() if name not in os.environ}
    os.environ.update(added)  # read when the process loads OpenMP, so they have to be there when it starts
    try:
        process.start()
    finally:
        for name in added:
            del os.environ[name]
    theirs.close()
    return _Worker(process, ours, surroundings)


def _received(worker: _Worker, *, position: int) -> tuple[bool, Any]:
    """Return whether a task has ended and its result, or else its message. Raises what the task raised."""
    try:
        kind, content = worker.connection.recv()
    except (EOFError, ConnectionResetError) as error:
        worker.process.join()
        raise ProcessEnded(position, worker.process.exitcode) from error
    if kind == "error":
        raise content
    return kind == "result", content


def _serve(connection: Connection, threads: int) -> None:
    """Run tasks until the other end is closed: a work, its tasks in a tuple each, None; another work, and so on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_up(threads=threads)  # as many as in the parent: a sum depends on how it is split
    report = partial(_report, connection)
    try:
        while True:
            work = connection.recv()
            while (given := connection.recv()) is not None:
                connection.send(_outcome(work, given[0], report))
            del work
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone


def _outcome(work: Any, task: Any, report: Callable[[Any], Any]) -> tuple[str, Any]:
    """Run a task: its result, or its error with the trace, which is lost on the way, as a note."""
    try:
        return "result", work(task, report)
    except Exception as error:  # raised again in the parent
        error.add_note(f"Raised in a worker process:\n{traceback.format_exc()}")
        try:
            copy.copy(error)  # made again as it will be at the other end
        except Exception as reason:  # an error's own constructor may ask for more than its message
            return "error", RuntimeError(f"{type(error).__name__}: {error} ({reason})\n{error.__notes__[-1]}")
        return "error", error


def _report(connection: Connection, message: Any) -> Any:
    connection.send(("message", message))
    return connection.recv()


def _end_with_parent() -> None:
    """End this process at once when its parent has ended, even in the middle of a long computation."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
