"""What Dagster learns that a version was made from, so that its UI calls stale what a run would compute, and nothing else.

Dagster compares the code version and the parents' data versions that a materialisation carries with those of today. An
input key holds more: the settings, and of a long table only the rows up to a fold's year. So the code version that Dagster
is shown holds the settings by value, and the parents of a fold are ``views``.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

from forecast_assets.core.settings import Settings
from forecast_assets.core.specs import Spec
from forecast_assets.resources.panel_names import PanelNames
from forecast_assets.store.keys import canonical_json, sha256_text
from forecast_assets.store.versions import Version


class HasCode(Protocol):
    """An asset of which is known what a run by some settings would record."""

    def shown_tags(self, settings: Settings) -> Mapping[str, str]:
        """Return the tags of a materialisation with ``settings``."""


def shown_tags(code_version: str, sections: Mapping[str, Spec]) -> dict[str, str]:
    """Return the tags of a materialisation by this code with these settings."""
    config = {name: spec.model_dump(mode="json") for name, spec in sections.items()}
    return {CODE_VERSION_TAG: sha256_text(canonical_json([code_version, config]))}


NO_MATERIALISATION = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
"""Metadata of a result that Dagster records no materialisation of: what depends on it runs all the same, which it does not
after an output that is left out. Dagster itself marks results with it that were observed and not made.
"""

BEFORE_ALL_EVENTS = 1  # a storage id that comes before any materialisation


def pointers_to_skipped(skipped: Iterable[Version], instance: dg.DagsterInstance, names: PanelNames) -> dict[str, str]:
    """Return tags by which a first materialisation of what was skipped counts as new."""
    tags = {}
    for version in skipped:
        key, partitions = names.key(version.asset), [version.partition or ""]
        made = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=partitions), limit=1)
        if not made.records:
            tags[get_input_event_pointer_tag(key)] = str(BEFORE_ALL_EVENTS)
    return tags


def observation(asset: str, data_version: str, names: PanelNames) -> tuple[dg.AssetObservation, dict[str, str]]:
    """Return the observation of an asset, and the tags of a materialisation that was made from it as it is."""
    tags = {DATA_VERSION_TAG: data_version, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    key = names.key(asset)
    made_from = {get_input_data_version_tag(key): data_version, get_input_event_pointer_tag(key): NULL_EVENT_POINTER}
    return dg.AssetObservation(key, tags=tags), made_from


def loads_for_the_ui() -> bool:
    """Return whether the definitions are being loaded for the UI and the daemon, rather than to run a step.

    Digesting the code takes longer than all other loading; a step digests its own, and records it whatever is declared.
    """
    is_set = DefinitionsLoadContext.is_set()
    return is_set and DefinitionsLoadContext.get().load_type is DefinitionsLoadType.INITIALIZATION


def with_code_versions(
    assets: Iterable[dg.AssetsDefinition], stages: Mapping[str, HasCode], settings: Settings
) -> list[dg.AssetsDefinition]:
    """Declare the code version of every asset in ``stages``, as a run with ``settings`` would record it."""

    def declared(spec: dg.AssetSpec) -> dg.AssetSpec:
        stage = stages.get(spec.key.path[-1])
        version = stage.shown_tags(settings).get(CODE_VERSION_TAG) if stage else None
        return spec.replace_attributes(code_version=version) if version else spec

    return [asset.map_asset_specs(declared) for asset in assets]
