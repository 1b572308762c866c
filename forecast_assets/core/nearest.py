"""The names that somebody may have meant."""

import difflib
from collections.abc import Iterable


def nearest_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three ``known`` names most like ``name``, in any case of letters."""
    upper = {other.upper(): other for other in known}
    return tuple(upper[other] for other in difflib.get_close_matches(name.upper(), upper, n=3, cutoff=0.5))


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the one of the ``known`` names, of which there is at least one, that is most like ``name``."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0)[0]
