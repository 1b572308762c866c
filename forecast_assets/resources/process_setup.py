"""What a process that trains or forecasts sets for itself."""

import ctypes
import platform

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
