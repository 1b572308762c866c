"""Typical changes of the product, as edits of the package's own text: what each costs is the number of files it touches."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Change:
    """A change, by files under ``forecast_assets``; ``check`` is Python code that fails where the change does not work."""

    name: str
    what: str
    check: str
    added: Mapping[str, str] = field(default_factory=dict)
    """File -> its text."""
    edited: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """File -> (old text, which stands there exactly once, new text)."""


CHANGES: tuple[Change, ...] = ()
