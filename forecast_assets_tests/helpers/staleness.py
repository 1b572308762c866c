"""What the UI calls stale, held against what a run changes, step by step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.observe import observe
from dagster._core.loader import LoadingContextForTest

from forecast_assets.assets.framework.inputs import StageResources
from forecast_assets.assets.framework.materialise import Stage
from forecast_assets.assets.framework.output import SKIPPED
from forecast_assets.assets.framework.stage import STAGES
from forecast_assets.assets.framework.staleness import with_code_versions
from forecast_assets.resources.panel_names import FIRST
from forecast_assets.resources.settings import compose_settings
from forecast_assets.resources.store_io import Prepared
from forecast_assets_tests.helpers.graph import Graph, environment


@dataclass(frozen=True)
class Step:
    """A step of a run."""

    asset: str
    partition: str | None
    stale: bool  # stale or missing, as the UI showed it just before
    changed: bool  # whether another version is current afterwards


class Ui:
    """The UI's view of a graph, with the code as it is now and the settings of a profile."""

    def __init__(self, graph: Graph, overrides: Sequence[str] = ()) -> None:
        from forecast_assets.definitions import ASSETS, NOT_MADE, defs

        assets = with_code_versions(ASSETS, STAGES, compose_settings(graph.profile, list(overrides)))
        self.assets = dg.Definitions(assets=[*assets, *NOT_MADE], resources=defs.resources).resolve_asset_graph()
        self.instance = graph.instance

    def status(self, asset: str, partition: str | None) -> StaleStatus:
        resolver = CachingStaleStatusResolver(self.instance, self.assets, LoadingContextForTest(self.instance))
        return resolver.get_status(dg.AssetKey(asset), partition)


@contextmanager
def watched(graph: Graph, monkeypatch: pytest.MonkeyPatch, overrides: Sequence[str] = ()) -> Iterator[list[Step]]:
    """Collect the steps that ``graph`` runs inside; the UI is one that was loaded with ``overrides``."""
    ui, steps, materialise = Ui(graph, overrides), list[Step](), Stage.materialise

    def watch(
        self: Stage,
        dagster: dg.AssetExecutionContext,
        config: Any,
        parents: Mapping[str, Any],
        resources: StageResources,
    ) -> Any:
        slot = self.asset, dagster.partition_key if self.partitioned else None
        before = graph.version(*slot) if graph.store.has(*slot) else None
        status = ui.status(*slot)
        result = materialise(self, dagster, config, parents, resources)
        if before is not None and SKIPPED in before.manifest.facts:
            assert status is StaleStatus.MISSING  # whatever a run does: it made nothing before
            return result
        changed = isinstance(result.value, Prepared) or before is None or graph.version(*slot).id != before.id
        steps.append(Step(*slot, stale=status is not StaleStatus.FRESH, changed=changed))
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Stage, "materialise", watch)
        yield steps


def observe_files(graph: Graph, *, panel: Path) -> None:
    """Let Dagster look at the panel's files, as the button "Observe" does."""
    from forecast_assets.assets.panel.panel_files import panel_files
    from forecast_assets.definitions import defs

    settings = {"config": {"profile": graph.profile}}
    with environment(FORECAST_DATA_DIR=graph.data, FORECAST_PROFILE=graph.profile, FORECAST_PANEL=panel):
        observe(
            [panel_files(FIRST)],
            instance=graph.instance,
            resources=defs.resources,
            run_config={"resources": {"settings": settings}},
        )


def disagreements(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that the UI called stale and that changed nothing, or the other way round."""
    return [step for step in steps if step.stale != step.changed]
