"""What the recursions carry from one day to the next, by ticker."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.panel.announcements.weekdays import HALF, QUARTER

OLDEST = 1052  # weekdays back that an expectation reads
JOINT = 2 * HALF + 2
USUAL_JUMP, JUMP_PRIOR = 2.2, 3.0
LONG_AGO = 80.0
NEVER = float(1 << 40)  # weekday of a ticker that has not been quoted yet

INITIAL: Mapping[str, tuple[tuple[int, ...], float]] = {
    "volume": ((), np.nan),  # average log volume
    "volume_before": ((), 0.0),  # unusual volume of the last row
    "beta": ((2,), 0.0),  # sums of own times market return, and of squared market return
    "size": ((4,), 0.01),  # mean sizes of the moves
    "size_count": ((4,), 0.0),
    "first": ((), NEVER),  # weekday of the first row
    "posterior": ((OLDEST,), 0.0),  # of the last weekdays
    "joint": ((JOINT,), 1.0 / QUARTER),  # expectation times likelihood of the last weekdays
    "jump": ((2,), 0.0),  # weighted sum of the sizes of announcements, and of the weights
    "since": ((), LONG_AGO),  # sessions since the last announcement
}
"""Name -> shape before the tickers' axis, and value of a ticker that begins."""


class State(dict[str, NDArray[np.float64]]):
    """Arrays by name, the last axis of each is that of ``tickers``."""

    def __init__(self, tickers: Sequence[str], values: Mapping[str, NDArray[np.float64]]) -> None:
        super().__init__(values)
        self.tickers = tuple(tickers)

    @classmethod
    def initial(cls, tickers: Sequence[str]) -> "State":
        """Return the state before the first row."""
        count = len(tickers)
        return cls(tickers, {name: np.full((*shape, count), value) for name, (shape, value) in INITIAL.items()})

    def of(self, tickers: Sequence[str]) -> "State":
        """Return the state of ``tickers``, initial for one that it has not met."""
        place = {name: k for k, name in enumerate(self.tickers)}
        known = [k for k, name in enumerate(tickers) if name in place]
        taken = [place[tickers[k]] for k in known]
        found = State.initial(tickers)
        for name, values in self.items():
            found[name][..., known] = values[..., taken]
        return found

    @staticmethod
    def joined(parts: Sequence["State"]) -> "State":
        """Return the states of several parts as one."""
        tickers = [name for part in parts for name in part.tickers]
        return State(tickers, {name: np.concatenate([part[name] for part in parts], axis=-1) for name in INITIAL})
