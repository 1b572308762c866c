"""A monitor that looks at overlapping windows every night changes its mind often; a message needs more than one look."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stays_on(firing: Sequence[bool], *, on: bool, confirm: int, release: int) -> bool:
    """Whether an episode is on after these looks, oldest first, given whether it was ``on`` before the last one.

    It opens once the last ``confirm`` looks all fired, and closes once the last ``release`` looks were all quiet.
    Fewer looks than that change nothing.
    """
    last = list(firing)
    if on:
        return len(last) < release or any(last[-release:])
    return len(last) >= confirm and all(last[-confirm:])


def persistent(firing: NDArray[np.bool_], *, confirm: int, release: int) -> NDArray[np.bool_]:
    """Looks (n,) at which an episode was on, by the rule of ``stays_on`` applied one look after the other."""
    on, states = False, np.zeros(len(firing), dtype=bool)
    for look in range(len(firing)):
        reach = max(confirm, release)
        seen = firing[max(0, look + 1 - reach) : look + 1].tolist()
        on = stays_on(seen, on=on, confirm=confirm, release=release)
        states[look] = on
    return states
