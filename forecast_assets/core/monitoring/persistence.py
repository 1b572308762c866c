"""Hysteresis of an alert: it starts after several firing nights and ends after several quiet ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stays_on(firing: Sequence[bool], *, on: bool, confirm: int, release: int) -> bool:
    """Return whether an episode is on after these evaluations, oldest first, given whether it was ``on`` before the last.

    It opens once the last ``confirm`` evaluations all fired, and closes once the last ``release`` were all quiet. Fewer
    evaluations than that change nothing.
    """
    last = list(firing)
    if on:
        return len(last) < release or any(last[-release:])
    return len(last) >= confirm and all(last[-confirm:])


def persistent(firing: NDArray[np.bool_], *, confirm: int, release: int) -> NDArray[np.bool_]:
    """Return the evaluations (n,) at which an episode was on, by the rule of ``stays_on`` applied one by one."""
    on, states = False, np.zeros(len(firing), dtype=bool)
    for k in range(len(firing)):
        last = firing[max(0, k + 1 - max(confirm, release)) : k + 1].tolist()
        states[k] = on = stays_on(last, on=on, confirm=confirm, release=release)
    return states
