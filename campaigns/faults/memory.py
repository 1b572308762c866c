"""A group of processes with a limit on their memory, as a container has one: beyond it the kernel kills one of them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONTROLLER = Path("/sys/fs/cgroup/memory")
"""Of control groups version 1. Needs root."""


class MemoryGroup:
    """A control group. ``join`` is called in a process that is to belong to it, with all that it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def join(self) -> None:
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def used(self) -> int:
        """Return the memory of its processes in bytes, without files that the kernel can drop."""
        lines = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return int(lines["total_rss"])

    def killed(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        lines = dict(line.split() for line in (self.folder / "memory.oom_control").read_text().splitlines())
        return int(lines["oom_kill"])


@contextmanager
def memory_group(name: str, *, limit: int | None = None) -> Iterator[MemoryGroup]:
    """Make a control group, of at most ``limit`` bytes; remove it once its processes have ended."""
    if not CONTROLLER.exists():
        raise SystemExit(f"{CONTROLLER}: trials without memory need control groups of version 1")
    group = MemoryGroup(CONTROLLER / name)
    group.folder.mkdir(exist_ok=True)
    try:
        if limit is not None:
            (group.folder / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        while (group.folder / "cgroup.procs").read_text():  # those that copied output end by themselves
            time.sleep(0.05)
        group.folder.rmdir()
