"""Where the steps of a run that Dagster launched are executed: processes of this machine, or jobs of a Ray cluster."""

import dagster as dg

from forecast_assets.resources import environment

STEP_CPUS = 0.1
"""What a step asks of the cluster. Its fits are tasks with needs of their own: were a step to ask for a whole core, steps
could hold all cores while their fits wait for one.
"""


def step_executor() -> dg.ExecutorDefinition | None:
    """``FORECAST_ENGINE``: each step a Ray job by dagster-ray, or Dagster's own executor (None)."""
    if environment.engine_name() == "local":
        return None
    from dagster_ray import ray_executor

    return ray_executor.configured(
        {"ray": {"num_cpus": STEP_CPUS, "env_vars": environment.shared_settings()}},
        name="ray",
    )
