"""Checks of asset, partition and file names, and the folders they map to.

Partition keys, tickers and dates may come from outside, and all of them become parts of paths. One alphabet and no leading
dot: an accepted name can't leave its folder or collide with the store's own files (``.locks``, temporaries).
"""

import re

from forecast_assets.core.errors import BadInput

WHOLE = "all"  # folder of an asset without partitions, hence no partition name
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
CHANGED = ".changed"  # at the root of the store: a new random text after each move of a ``CURRENT``
DAMAGED = ".damaged-"  # prefix of the folder of a version that was set aside

VERSION_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")
"""First 16 digits of the input key, then 8 random ones: writers never collide, and a listing finds a key."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LONGEST = 200


def is_name(text: str) -> bool:
    """Whether `text` may be an asset, partition or file name."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def checked_name(text: str, *, what: str) -> str:
    """Return `text`. Raises BadInput where it is no safe file name; `what` is the kind of name in the message."""
    if not is_name(text):
        raise BadInput(
            f"{what} {text!r} can't be a name in the store: use 1 to {_LONGEST} of A-Z a-z 0-9 . _ -, no dot first."
        )
    return text


def checked_file(name: str) -> str:
    """Return `name`, a data file of a version. Raises BadInput for unsafe and for reserved names."""
    if name == MANIFEST:
        raise BadInput(f"file {name!r} is the store's own; give the data file another name.")
    return checked_name(name, what="file")


def folder(asset: str, partition: str | None = None) -> str:
    """Return the key of the folder with the versions of one asset and partition, below the root of the store."""
    checked_name(asset, what="asset")
    if partition is None:
        return f"{asset}/{WHOLE}"
    if partition == WHOLE:
        raise BadInput(
            f"partition {WHOLE!r} of {asset} stands for no partition at all; name it otherwise or leave it out."
        )
    return f"{asset}/{checked_name(partition, what=f'partition of {asset}')}"


def label(asset: str, partition: str | None = None) -> str:
    """Return ``asset`` or ``asset/partition``, as in messages and the `parents` of a manifest."""
    return asset if partition is None else f"{asset}/{partition}"
