"""Runs that a command executes in its own process, recorded as runs of the code location.

The UI's Overview, its Jobs page and the daemon leave out a run that belongs to no code location, which is what Dagster's
``execute_in_process`` makes. These are like those that the UI launches, but for one thing: the daemon starts none of them
again, since whoever typed the command sees how it ended.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run
from dagster._core.execution.execute_in_process import merge_run_tags
from dagster._core.execution.execution_result import ExecutionResult
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import MAX_RETRIES_TAG

from forecast_assets.resources import environment


def origin_of(job: str) -> RemoteJobOrigin:
    """Return where the UI finds a job: in the code location that FORECAST_CODE_LOCATION names."""
    location = RegisteredCodeLocationOrigin(environment.code_location())
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), job)


def execute(
    job: dg.JobDefinition,
    *,
    instance: dg.DagsterInstance,
    assets: Iterable[str],
    partition: str | None,
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> ExecutionResult:
    """Execute some assets of a job, one step after the other. A step that fails does not raise."""
    keys = [dg.AssetKey(asset) for asset in assets]
    whole = job.as_ephemeral_job(resource_defs={}, input_values={})  # with Dagster's executor for one process
    run = instance.create_run_for_job(
        job_def=whole.get_subset(asset_selection=frozenset(keys)),
        run_config=run_config,
        tags=merge_run_tags(
            job_def=job,
            partition_key=partition,
            tags={**tags, MAX_RETRIES_TAG: "0"},
            asset_selection=keys,
            instance=instance,
            run_config=run_config,
        ),
        asset_selection=frozenset(keys),
        remote_job_origin=origin_of(job.name),
    )
    return execute_run(InMemoryJob(whole), run, instance)
