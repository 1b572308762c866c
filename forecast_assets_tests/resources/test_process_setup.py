import os
import platform
import subprocess
import sys

import pytest
import torch

from forecast_assets.resources.process_setup import set_up, torch_threads

FAULTS = """
import resource, sys, torch
from forecast_assets.resources.process_setup import set_up
if sys.argv[1] == "set up":
    set_up(threads=1)
def step():
    return [torch.ones(1 << 20) for _ in range(20)]  # many at a time, as in a training step
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


# glibc moves its threshold as memory is freed, and whether it then keeps it depends on what lies behind it by chance.
FIXED = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    done = subprocess.run(command, env=os.environ | FIXED, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps freed memory in its own way")
def test_memory_that_a_tensor_freed_is_used_again_and_not_mapped_again() -> None:
    left, kept = page_faults("left alone"), page_faults("set up")
    assert left > 10 * 20  # 80 MiB a step
    assert kept < left / 5


def test_zero_threads_leave_torch_its_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    set_up(threads=0)
    set_up(threads=2)
    assert chosen == [2]


def test_torch_has_its_threads_whatever_the_process_did_before() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with torch_threads(1):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_torch_has_its_threads_where_it_is_loaded_later() -> None:
    loaded_inside = """
import os
from forecast_assets.resources.process_setup import torch_threads
with torch_threads(1):
    import torch
print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", loaded_inside], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.split() == ["1", "2"]
