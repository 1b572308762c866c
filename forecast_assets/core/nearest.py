"""The names that somebody may have meant."""

import difflib
from collections.abc import Iterable


def nearest_names(name: str, candidates: Iterable[str], *, count: int = 3, cutoff: float = 0.5) -> tuple[str, ...]:
    """Return up to ``count`` of ``candidates`` most like ``name``, ignoring case, with a similarity from ``cutoff`` on."""
    upper = {other.upper(): other for other in candidates}
    return tuple(upper[other] for other in difflib.get_close_matches(name.upper(), upper, n=count, cutoff=cutoff))


def nearest_name(name: str, candidates: Iterable[str]) -> str:
    """Return the one of ``candidates``, of which there is at least one, that is most like ``name``."""
    return nearest_names(name, candidates, count=1, cutoff=0)[0]
