"""A data root of its own for replays: what nights need to begin, without the panel and without later nights."""

import os
import shutil
from pathlib import Path

from forecast_assets.core.errors import BadSetting
from forecast_assets.store.asset_keys import CHALLENGER, DRIFT_CHECKS, NIGHTLY_FORECAST, RAW_PANEL, TARGET_POSITIONS
from forecast_assets.store.names import CURRENT
from forecast_assets.store.seals import OWN

BY_NIGHT = (CHALLENGER, NIGHTLY_FORECAST, TARGET_POSITIONS, DRIFT_CHECKS)
STORE, LEDGER = "store", "ledger"


def fork(root: str, target: Path, *, before: str) -> int:
    """Make ``target`` a data root with the versions of ``root``, and return how many.

    Left out are the raw panel, which a replay reads again, and nights from the day ``before`` (ISO) on. Files of versions
    are never written again, so both roots share them where the disk can (hard links); journals are copied, but for the
    seals: those are of the nights of ``root``. Raises BadSetting for a root that is no local folder with a store, and for
    a target that is not empty.
    """
    source = Path(root)
    if "://" in root or not (source / STORE).is_dir():
        raise BadSetting(f"fork: {root} is no local folder with a store; copy what is in a bucket with its own tools")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadSetting(f"fork: {target} is not empty; name a new folder")
    copied = 0
    for slot in sorted((source / STORE).glob("[!.]*/*/")):
        asset, partition = slot.parent.name, slot.name
        if asset == RAW_PANEL or (asset in BY_NIGHT and partition >= before) or not (slot / CURRENT).is_file():
            continue
        own = target / STORE / asset / partition
        for version in sorted(slot.glob("[!.]*/")):
            shutil.copytree(version, own / version.name, copy_function=_link)
            copied += 1
        shutil.copy2(slot / CURRENT, own / CURRENT)
    if (source / LEDGER).is_dir():
        shutil.copytree(source / LEDGER, target / LEDGER, ignore=shutil.ignore_patterns(f"{OWN}.jsonl"))
    return copied


def _link(source: str, target: str) -> str:
    """Link a file, or copy it where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
