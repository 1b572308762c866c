"""Hysteresis of an alert: it starts after several firing nights and ends after several quiet ones."""

from collections.abc import Sequence


def stays_on(firing: Sequence[bool], *, on: bool, confirm: int, release: int) -> bool:
    """Return whether an episode is on after these evaluations, oldest first, given whether it was ``on`` before the last.

    It opens once the last ``confirm`` evaluations all fired, and closes once the last ``release`` were all quiet. Fewer
    evaluations than that change nothing.
    """
    if on:
        return len(firing) < release or any(firing[-release:])
    return len(firing) >= confirm and all(firing[-confirm:])
