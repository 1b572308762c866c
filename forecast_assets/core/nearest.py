"""The names that somebody may have meant."""

import difflib
from collections.abc import Iterable


def nearest_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three ``known`` names most like ``name``, in any case of letters."""
    upper = {other.upper(): other for other in known}
    return tuple(upper[other] for other in difflib.get_close_matches(name.upper(), upper, n=3, cutoff=0.5))
