"""Processes that open one Dagster instance at the same moment and run a job each: ``python -m ... COUNT``.

They are forks of one interpreter, so that each need not load Dagster for itself; nothing is open when they part.
"""

import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier

import dagster as dg
import dagster_postgres  # noqa: F401  - loaded once, for all
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus


@dg.op
def rest() -> None:
    """Nothing to do."""


@dg.job
def short_job() -> None:
    rest()


def run(start: Barrier) -> None:
    start.wait()
    with dg.DagsterInstance.get() as instance:
        instance.create_tick(
            TickData(
                "origin", "nightly", InstigatorType.SCHEDULE, TickStatus.SKIPPED, time.time(), selector_id="nightly"
            )
        )
        short_job.execute_in_process(instance=instance)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(int(sys.argv[1]))
    crowd = [context.Process(target=run, args=(barrier,)) for _ in range(barrier.parties)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    sys.exit(sum(process.exitcode != 0 for process in crowd))
