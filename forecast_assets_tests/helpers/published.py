"""Publish small versions of text files to a store."""

from pathlib import Path
from typing import Any

from forecast_assets.store.manifest import ManifestFields
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

KEY_A = "a" * 64
KEY_B = "b" * 64
KEY_C = "c" * 64
NEVER = 10**9  # seconds


def fields(**more: Any) -> ManifestFields:
    base: ManifestFields = {"parents": {}, "config": {}, "code_version": "v1"}
    base.update(more)  # type: ignore[typeddict-item]
    return base


def publish(
    store: Store,
    files: dict[str, str],
    *,
    asset: str = "panel",
    partition: str | None = None,
    key: str = KEY_A,
    **more: Any,
) -> Version:
    with store.stage(asset, partition, input_key=key) as staging:
        write(staging.path, files)
        return store.commit(staging, fields(**more))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
