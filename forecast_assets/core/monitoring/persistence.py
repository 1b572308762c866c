"""Hysteresis of an alert: it starts after several firing nights and ends after several quiet ones."""

from collections.abc import Sequence


def stays_on(firing: Sequence[bool], *, on: bool, confirm: int, release: int) -> bool:
    """Return whether an episode is on after these evaluations, oldest first, given whether it was ``on`` before the last.

    It opens once the last ``confirm`` evaluations all fired, and closes once the last ``release`` were all quiet. Fewer
    evaluations than that change nothing.
    """
    last = list(firing)
    if on:
        return len(last) < release or any(last[-release:])
    return len(last) >= confirm and all(last[-confirm:])
