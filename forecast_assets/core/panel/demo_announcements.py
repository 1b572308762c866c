"""When the companies of a synthetic panel announce their quarter, and how prices and volume move then.

A company announces 91 days apart, on the same weekday of the same week or a day or two from it; one in twelve is moved
by a week or two. Nine of ten move the price, the median one by a multiple of the volatility of a quiet session, most of it
overnight and with volume; the others pass unseen.
"""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

JUMP_SPREAD = 0.5  # s.d. of the log of a move
OVERNIGHT = 0.8  # share of a move that is in the gap
UNSEEN = 0.1  # share of announcements without a move
MOVED = 1 / 12  # share of them a week or two from their week
MORE_VOLUME = 0.8  # in logs, on the day; half of it on the next
QUARTER_WEEKS = 13


def announcement_sessions(rng: np.random.Generator, days: pl.Series) -> NDArray[np.int64]:
    """Return the numbers of the sessions ``days`` on which a company announces, ascending."""
    return np.array(sorted(_announcements(rng, days)), dtype=np.int64)


def _announcements(rng: np.random.Generator, days: pl.Series) -> Iterator[int]:
    first, usual = days[0], int(rng.integers(0, QUARTER_WEEKS * 7))
    usual -= max((usual + first.weekday()) % 7 - 4, 0)  # no company announces on a weekend
    for quarter in range(-1, (days[-1] - first).days // 91 + 2):
        move = int(rng.choice([0, 0, 0, 0, 0, 0, 0, -1, 1, -2]))
        if rng.random() < MOVED:
            move = 7 * int(rng.choice([-2, -1, 1, 2]))
        day = first + dt.timedelta(days=91 * quarter + usual)
        weekday = min(max(day.weekday() + move, 0), 4) if abs(move) < 7 else day.weekday()
        day += dt.timedelta(days=(move if abs(move) >= 7 else weekday - day.weekday()))
        at = days.search_sorted(day)
        if days[0] <= day <= days[-1] and at < len(days):
            yield int(at)


def announcement_moves(
    seed: int, days: pl.Series, is_open: NDArray[np.bool_], *, size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by session and ticker, (T, N), the moves of announcements and what they add to log volume.

    A move is in units of the volatility of a quiet session, the median one ``size``. ``days`` (T,): all sessions;
    ``is_open`` (T, N): those of each ticker. Random numbers of their own: a panel without announcements does not change.
    """
    moves, volume = np.zeros(is_open.shape), np.zeros(is_open.shape)
    for ticker in range(is_open.shape[1] if size else 0):
        rng = np.random.default_rng([seed, 1, ticker])
        own = np.flatnonzero(is_open[:, ticker])
        on = announcement_sessions(rng, days.gather(own))
        on = on[rng.random(len(on)) >= UNSEEN]
        moves[own[on], ticker] = size * np.exp(rng.normal(0, JUMP_SPREAD, len(on))) * rng.choice([-1, 1], len(on))
        volume[own[on], ticker] += MORE_VOLUME
        volume[own[np.minimum(on + 1, len(own) - 1)], ticker] += MORE_VOLUME / 2
    return moves, volume
