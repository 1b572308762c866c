"""Device, precision and threads of training, the lock on the GPU, the engine of fits and the executor of steps."""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field

from forecast_assets.resources import environment
from forecast_assets.resources.engine import Engine
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.process_setup import set_up
from forecast_assets.resources.worker_engine import WorkerEngine
from forecast_assets.store.locks import Lock

if TYPE_CHECKING:
    from forecast_assets.core.training.fit import Hardware

STEP_CPUS = 0.1
"""Cores that a step reserves on the cluster. Its fits reserve their own: if steps reserved whole cores, they could hold all
of them while their fits wait.
"""


class ComputeResource(dg.ConfigurableResource):
    """Device, precision and threads of training and inference."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: CUDA where there is one")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(default="auto", description="auto: bf16 on CUDA only")
    threads: int = Field(default=1, ge=0, description="CPU threads of torch; 0 leaves torch's own choice")

    def hardware(self) -> "Hardware":
        """Resolve ``auto`` on this machine and set this process up."""
        import torch

        from forecast_assets.core.training.fit import Hardware

        # One thread by default: beside any other load on two cores, a second one made training ten times slower.
        set_up(threads=self.threads)
        device = self.device if self.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
        precision = self.precision if self.precision != "auto" else ("bf16-mixed" if device == "cuda" else "32-true")
        return Hardware(accelerator=device, precision=precision)

    def workers(self) -> int:
        """Return how many processes fit networks at the same time: one per ``threads`` cores, on a GPU one in all.

        Dagster runs one step that trains at a time, on all runs of its instance, so their number is not multiplied.
        """
        if (named := environment.workers()) is not None:
            return named
        if not self.threads or self.hardware().accelerator != "cpu":
            return 1
        return max(1, len(os.sched_getaffinity(0)) // self.threads)

    def device_lock(self, *, on_wait: Callable[[str], object]) -> AbstractContextManager[Any]:
        """Lock the GPU for one step of this user on this machine; nothing to lock on a CPU.

        Dagster frees its pool when a run is declared dead; a step that outlived its run may still use the GPU.
        """
        if self.hardware().accelerator != "cuda":
            return nullcontext()
        import torch

        device = torch.cuda.get_device_properties(torch.cuda.current_device())
        folder = Path(tempfile.gettempdir()) / f"forecast_assets-{os.getuid()}"
        return Lock(folder / f"{device.uuid}.lock", what=f"{device.name}", on_wait=on_wait)

    def engine(self) -> Engine:
        """Return the engine that ``FORECAST_ENGINE`` names. Raises BadSetting where it is unknown or not installed."""
        if environment.engine_name() == "local":
            workers = self.workers()
            return WorkerEngine(workers) if workers > 1 else LocalEngine()
        from forecast_assets.resources.ray_engine import RayEngine

        return RayEngine(environment.ray_address())


def step_executor() -> dg.ExecutorDefinition | None:
    """Return dagster-ray's executor, each step a Ray job, or None for Dagster's own, as ``FORECAST_ENGINE`` says."""
    if environment.engine_name() == "local":
        return None
    return _ray_executor(tuple(environment.shared_settings()))


@lru_cache(maxsize=1)  # the panels of a deployment share one
def _ray_executor(variables: tuple[str, ...]) -> dg.ExecutorDefinition:
    from dagster_ray import ray_executor

    reserved = {"num_cpus": STEP_CPUS, "env_vars": list(variables)}
    return ray_executor.configured({"ray": reserved}, name="ray")
