"""What a process sets for itself: while it loads its definitions, and before it trains or forecasts."""

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = (-1, 1 << 28), (-3, 1 << 25)
"""Parameters of glibc's ``mallopt`` and their values in bytes; the second is the largest that it takes."""


def set_up(*, threads: int) -> None:
    """Set torch's number of threads (0: leave its own choice), and keep some freed memory for the next tensor.

    glibc gives the memory of a large tensor back to the system as soon as it is free, and the next one's pages are zeroed
    and mapped again: a tenth of a training step.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    if platform.libc_ver()[0] == "glibc":
        allocator = ctypes.CDLL(None)
        for parameter, value in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            allocator.mallopt(parameter, value)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Have torch use ``threads`` inside (0: its own choice), whether it is loaded already or by what runs inside.

    A sum depends on how it is split: a result must not depend on what its process did before, or on the machine's cores.
    """
    if not threads:
        yield
        return
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when it is loaded
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Do without Python's search for unreachable cycles inside, and leave out later what was made: it stays, all of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
