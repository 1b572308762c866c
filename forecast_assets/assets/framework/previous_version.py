"""The previous version of a stage, for stages that need not compute everything again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecast_assets.core.errors import CorruptArtefact, MissingArtefact
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version


@dataclass(frozen=True)
class PreviousVersion:
    """The current version of an asset, and what it was made from as far as that is still there."""

    version: Version
    parents: Mapping[str, Version]


def find_previous(
    store: Store, asset: str, partition: str | None, *, code_version: str, config: Mapping[str, Any]
) -> PreviousVersion | None:
    """Return the current version where its bytes are as published and code and settings are the same: only its parents have
    changed since. None otherwise: the stage computes everything.
    """
    try:
        current = store.current(asset, partition)
        current.check()
    except (MissingArtefact, CorruptArtefact):
        return None
    if current.manifest.code_version != code_version or current.manifest.config != config:
        return None
    parents = {}
    for label, seen in current.manifest.parents.items():
        made = [v for v in store.versions(*label.split("/")) if v.data_version == seen and v.is_whole()]
        if made:
            parents[label] = made[-1]
    return PreviousVersion(current, parents)
