"""The real graph in a folder of its own: definitions, store and Dagster instance, for tests that materialise."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import dagster as dg
import polars as pl

from forecast_assets.automation.pipeline import Outcome, Plan, run_pipeline
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

DEMO_ROOT = {"FORECAST_DATA_DIR": "data/demo"}
"""Where the reader of a page has the demo's panel, which the smoke panel stands for."""
PANEL = (
    *("raw_panel", "calendar_panel", "announcements", "macro_series", "covariates"),
    *("feature_panel", "windowed_tensors"),
)
"""The stages from the raw rows to tensors."""


class Graph:
    """``run`` materialises as ``forecast-assets run`` does, in this process; on the smoke profile by default."""

    def __init__(self, root: Path, *, data: str | None = None, profile: str = "smoke") -> None:
        self.profile = profile
        self.root = root
        self.data = data or str(root)  # a local folder or an fsspec URL
        self.store = Store(f"{self.data}/store")
        self.wandb_mode = "disabled"  # a run takes a second, and tracking has tests of its own

    def __enter__(self) -> Self:
        # In memory: SQLite's commits to disk took most of the time of a run that computes nothing. The tests of the
        # command line, the server and the run storage use Dagster's files on disk.
        self.instance = dg.DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.instance.dispose()

    def run(
        self,
        *select: str,
        years: Sequence[str] = (),
        overrides: Sequence[str] = (),
        panel: Path | None = None,
        as_of: str | None = None,
        arrived: str | None = None,
    ) -> Outcome:
        from forecast_assets.definitions import defs

        plan = Plan(select, tuple(years), {"profile": self.profile, "overrides": list(overrides)})
        with environment(
            FORECAST_DATA_DIR=self.data,
            FORECAST_PROFILE=self.profile,
            FORECAST_PANEL=panel,
            FORECAST_AS_OF=as_of,
            FORECAST_ARRIVED=arrived,
            WANDB_MODE=self.wandb_mode,
        ):
            return run_pipeline(defs, instance=self.instance, store=self.store, root=self.data, plan=plan)

    def version(self, asset: str, partition: str | None = None) -> Version:
        return self.store.current(asset, partition)

    def table(self, asset: str, partition: str | None = None) -> pl.DataFrame:
        return pl.read_parquet(self.version(asset, partition).path(TABLE))

    def ids(self) -> dict[tuple[str, str | None], str]:
        """Return the current version of every slot."""
        return {
            (asset, partition): self.store.current(asset, partition).id
            for asset in self.store.assets()
            for partition in self.store.slots(asset)
        }


@contextmanager
def copied(made: Path, root: Path) -> Iterator[Graph]:
    """Copy what another graph has materialised to the folder ``root``, which may exist, and open it.

    Dagster has none of its years before ``raw_panel`` has run again, which computes nothing.
    """
    shutil.copytree(made, root, dirs_exist_ok=True)
    with Graph(root) as graph:
        yield graph


@contextmanager
def environment(**variables: object) -> Iterator[None]:
    """Set environment variables for a while; None leaves one unset."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = str(value)
        yield
    finally:
        for name, old in before.items():
            os.environ.pop(name, None)
            if old is not None:
                os.environ[name] = old
