"""The executor of the steps that Dagster launches: processes on this machine, or jobs on a Ray cluster."""

import dagster as dg

from forecast_assets.resources import environment

STEP_CPUS = 0.1
"""Cores that a step reserves on the cluster. Its fits reserve their own: if steps reserved whole cores, they could hold all
of them while their fits wait.
"""


def step_executor() -> dg.ExecutorDefinition | None:
    """Return dagster-ray's executor, each step a Ray job, or None for Dagster's own, as ``FORECAST_ENGINE`` says."""
    if environment.engine_name() == "local":
        return None
    from dagster_ray import ray_executor

    return ray_executor.configured(
        {"ray": {"num_cpus": STEP_CPUS, "env_vars": environment.shared_settings()}},
        name="ray",
    )
