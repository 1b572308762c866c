"""The names a store accepts and the folders they stand for.

Partition keys, tickers and dates may come from outside, and every one of them ends in a path. One alphabet, no leading
dot: what passes here can't leave its folder and can't collide with the store's own files (``.locks``, temporaries).
"""

import re

from forecast_assets.core.errors import BadInput

WHOLE = "all"
"""Folder of an asset without partitions; for that reason not a partition name."""

CURRENT = "CURRENT"
MANIFEST = "manifest.json"
DAMAGED = ".damaged-"
"""What the folder of a version that was set aside begins with."""

VERSION_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
"""First 16 digits of the input key, then 8 random ones: writers never collide, and look-up by key is a listing."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LONGEST = 200


def is_name(text: str) -> bool:
    """Whether `text` may be an asset, partition or file name."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def checked_name(text: str, *, what: str) -> str:
    """`text` itself; raises BadInput (`what` says which kind of name it is) where it could not be a safe file name."""
    if not is_name(text):
        raise BadInput(
            f"{what} {text!r} can't be a name in the store: use 1 to {_LONGEST} of A-Z a-z 0-9 . _ -, no dot first."
        )
    return text


def checked_file(name: str) -> str:
    """`name` as the name of a data file of a version; raises BadInput for unsafe and for reserved names."""
    if name == MANIFEST:
        raise BadInput(f"file {name!r} is the store's own; give the data file another name.")
    return checked_name(name, what="file")


def folder(asset: str, partition: str | None = None) -> str:
    """Key of the folder that holds the versions of one asset and partition, below the root of the store."""
    checked_name(asset, what="asset")
    if partition is None:
        return f"{asset}/{WHOLE}"
    if partition == WHOLE:
        raise BadInput(
            f"partition {WHOLE!r} of {asset} stands for no partition at all; name it otherwise or leave it out."
        )
    return f"{asset}/{checked_name(partition, what=f'partition of {asset}')}"


def label(asset: str, partition: str | None = None) -> str:
    """How messages, and the `parents` of a manifest, call an asset and partition: ``asset`` or ``asset/partition``."""
    return asset if partition is None else f"{asset}/{partition}"
