"""The columns that the feature panel takes: announcements expected ahead, past ones, and variances without them.

Each is declared with its formula, as the other features are; p in a formula is the probability at the row's close that the
row is the quarter's announcement, and V the one-session variance.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.filtering import Filtered
from forecast_assets.core.panel.announcements.observations import Bools, Grid, Observations
from forecast_assets.core.panel.announcements.state import JUMP_PRIOR, LONG_AGO, USUAL_JUMP, State
from forecast_assets.core.panel.announcements.sums import Floats, Ints, lagged, trailing_sum
from forecast_assets.core.panel.announcements.surprises import LARGE, Market, Surprises
from forecast_assets.core.panel.indicators import FLOOR

QUIET = (1, 5, 22, 66)  # sessions of the variances without announcements
RESIDUALS = (5, 22, 66)
VOLUMES = (1, 5, 22)
PAST = (5, 22)
LONGEST = 66  # sessions that a column reads
LARGEST_JUMP, SMALLEST_JUMP = 8.0, 0.05
JUMP_MEMORY = 0.999
AFTERMATH = 1.3
"""Variance of the sessions around an announcement, in units of its own: what it moves after the day, and what is spread."""
CERTAIN = 0.4  # probability from which a row counts as an announcement


@dataclass(frozen=True)
class Column:
    """One of the columns, for people."""

    formula: str
    unit: str
    source: str = "Patell, Wolfson (1981); Dubinsky, Johannes (2006)"


def declare_columns() -> dict[str, Column]:
    """Return the columns by name, in order."""
    log = "log variance per session"
    without, of_row = "weighted by 1 - p", "sum over the last {} sessions of p"
    return {
        **{f"announcement_{h}d": Column(f"announcements expected in the next {h} sessions", "-") for h in HORIZONS},
        **{
            f"announcement_variance_{h}d": Column(
                f"log(1 + min(announcement_{h}d, 1) / {h} x ({AFTERMATH} x max(jump, 1)^2 - 1))", "log ratio"
            )
            for h in HORIZONS
        },
        "announcement_jump": Column(
            f"log of the mean of min(sqrt(V / quiet variance), {LARGEST_JUMP:g}) over past rows, weighted by p, "
            f"with {USUAL_JUMP} {JUMP_PRIOR:g} times",
            "log ratio",
        ),
        **{f"announced_{n}": Column(of_row.format(n), "-") for n in PAST},
        **{f"surprise_{n}": Column(of_row.format(n) + " x log sqrt(V / quiet variance)", "log ratio") for n in PAST},
        "announced_since": Column(f"sessions since p was above {CERTAIN}, at most {LONG_AGO:g}", "sessions"),
        **{f"quiet_variance_{n}": Column(f"log of the mean of V over {n} sessions, {without}", log) for n in QUIET},
        **{
            f"residual_variance_{n}": Column(
                f"log of the mean over {n} sessions of e^2, the return without the market's and the sector's part",
                log,
                "Campbell, Lettau, Malkiel, Xu (2001)",
            )
            for n in RESIDUALS
        },
        **{
            f"unusual_volume_{n}": Column(
                f"mean over {n} sessions of log volume less its average and the market's part", "log ratio", "-"
            )
            for n in VOLUMES
        },
        "residual_level": Column(
            "log of the mean squared return without the market's part, of the tickers that close with it", log, "-"
        ),
        "large_moves": Column(
            f"share of the tickers that close with it whose |e| is above {LARGE:g} times its mean size", "share", "-"
        ),
    }


NAMES = tuple(declare_columns())
TAIL = (
    "position",
    "quiet",
    "quiet_variance",
    "announced",
    "surprise",
    "residual",
    "residual_known",
    "volume",
    "lagging",
)
"""What the columns of later rows read of a row."""


@dataclass(frozen=True)
class Tail:
    """The last rows of each ticker before a day: ``ticker`` and the values of ``TAIL`` by name, (M,) each."""

    ticker: Ints
    values: dict[str, Floats]

    @classmethod
    def empty(cls) -> "Tail":
        return cls(np.zeros(0, dtype=np.int64), {name: np.zeros(0) for name in TAIL})


def feature_columns(
    rows: Observations, grid: Grid, found: Surprises, filtered: Filtered, market: Market, state: State, tail: Tail
) -> tuple[pl.DataFrame, Tail]:
    """Return the columns of ``rows``, and their tail for later ones; updates ``state``.

    ``market`` holds the sums of all tickers, ``tail`` is that of the rows before these.
    """
    # A row outside the week is no candidate, and expects what the row before it did.
    announced = np.nan_to_num(grid.gather(filtered.announced))
    ahead = [_carried(grid.gather(filtered.ahead[..., k]), rows) for k in range(len(HORIZONS))]
    known = np.isfinite(rows.variance)
    quiet = np.where(known, 1.0 - announced, 0.0)
    residual_known = np.isfinite(found.residual).astype(float)
    fresh = {
        "position": rows.position.astype(float),
        "quiet": quiet,
        "quiet_variance": quiet * np.nan_to_num(rows.variance),
        "announced": announced,
        "residual": np.nan_to_num(found.residual) ** 2,
        "residual_known": residual_known,
        "volume": found.volume,
    }
    order, own = _after(tail, rows)
    joined = {name: np.concatenate([tail.values[name], values])[order] for name, values in fresh.items()}
    position = joined["position"].astype(np.int64)

    def mean(total: str, count: str, sessions: int) -> Floats:
        number = trailing_sum(joined[count], sessions, position=position)
        return trailing_sum(joined[total], sessions, position=position) / np.maximum(number, 1e-9)

    variances = {n: np.maximum(mean("quiet_variance", "quiet", n), FLOOR**2) for n in QUIET}
    earlier = np.concatenate([tail.values["lagging"], np.zeros(len(rows))])[order]
    joined["lagging"] = np.where(own, variances[LONGEST], earlier)
    usual = lagged(joined["lagging"], 1, position=position, fill=np.nan)[own]
    sized = known & np.isfinite(usual)
    jump = np.where(sized, np.sqrt(np.nan_to_num(rows.variance) / np.where(sized, usual, 1.0)), 0.0)
    jump = np.minimum(jump, LARGEST_JUMP)
    surprise = announced * np.log(np.maximum(jump, SMALLEST_JUMP)) * sized
    joined["surprise"] = np.concatenate([tail.values["surprise"], surprise])[order]
    size = _carried(_jump_sizes(grid, jump, np.where(sized, announced, 0.0), sized, state), rows, empty=USUAL_JUMP)
    extra = [
        np.log1p(np.minimum(e, 1.0) / h * (AFTERMATH * np.maximum(size, 1.0) ** 2 - 1.0))
        for e, h in zip(ahead, HORIZONS, strict=True)
    ]
    columns = [
        *ahead,
        *extra,
        np.log(size),
        *(trailing_sum(joined["announced"], n, position=position)[own] for n in PAST),
        *(trailing_sum(joined["surprise"], n, position=position)[own] for n in PAST),
        _sessions_since(rows, announced, state),
        *(np.log(values[own]) for values in variances.values()),
        *(np.log(np.maximum(mean("residual", "residual_known", n), FLOOR**2))[own] for n in RESIDUALS),
        *(_mean_of_rows(joined["volume"], n, position)[own] for n in VOLUMES),
        np.log(np.maximum(np.nan_to_num(market.level.mean(rows.closing)), FLOOR**2)),
        np.nan_to_num(market.large.mean(rows.closing)),
    ]
    table = pl.DataFrame(dict(zip(NAMES, columns, strict=True)))
    return table, _last_rows(joined, np.concatenate([tail.ticker, rows.ticker])[order])


def _carried(values: Floats, rows: Observations, *, empty: float = 0.0) -> Floats:
    """Return ``values`` (N,) with the ticker's last known one where there is none."""
    row = np.arange(len(values))
    last = np.maximum.accumulate(np.where(np.isfinite(values), row, -1))
    first = np.maximum.accumulate(np.where(np.diff(rows.ticker, prepend=-1) != 0, row, 0))
    return np.where(last >= first, values[np.maximum(last, 0)], empty)


def _after(tail: Tail, rows: Observations) -> tuple[Ints, Bools]:
    """Return the order of tail and rows by ticker, and which of the ordered ones are ``rows``."""
    ticker = np.concatenate([tail.ticker, rows.ticker])
    order = np.argsort(ticker, kind="stable")
    return order, order >= len(tail.ticker)


def _last_rows(joined: dict[str, Floats], ticker: Ints) -> Tail:
    """Return the last ``LONGEST`` rows of each ticker."""
    ends = np.searchsorted(ticker, ticker, side="right")
    kept = ends - np.arange(len(ticker)) <= LONGEST
    return Tail(ticker[kept], {name: joined[name][kept] for name in TAIL})


def _mean_of_rows(values: Floats, sessions: int, position: Ints) -> Floats:
    return trailing_sum(values, sessions, position=position) / np.minimum(position + 1, sessions)


def _jump_sizes(grid: Grid, jump: Floats, weight: Floats, counts: Bools, state: State) -> Floats:
    """Return the mean size of a ticker's announcements up to each row, (N,); updates ``state``."""
    sizes, weights = grid.spread(jump * weight, empty=0.0), grid.spread(weight, empty=0.0)
    counted = grid.spread(counts, empty=0.0) > 0
    found = np.empty_like(sizes)
    total, mass = state["jump"]
    for day, update in enumerate(counted):
        total = np.where(update, JUMP_MEMORY * total + sizes[day], total)
        mass = np.where(update, JUMP_MEMORY * mass + weights[day], mass)
        found[day] = (total + JUMP_PRIOR * USUAL_JUMP) / (mass + JUMP_PRIOR)
    state["jump"] = np.stack([total, mass])
    return grid.gather(found)


def _sessions_since(rows: Observations, announced: Floats, state: State) -> Floats:
    """Return the sessions since the last row with a probability above ``CERTAIN``, (N,); updates ``state``."""
    row = np.arange(len(rows))
    first = np.maximum.accumulate(np.where(np.diff(rows.ticker, prepend=-1) != 0, row, 0))
    last = np.maximum.accumulate(np.where(announced > CERTAIN, row, -1))
    earlier = state["since"][rows.ticker] + row - first + 1.0
    since = np.minimum(np.where(last >= first, row - last, earlier), LONG_AGO)
    ends = np.flatnonzero(np.diff(rows.ticker, append=-1) != 0)
    updated = state["since"].copy()
    updated[rows.ticker[ends]] = since[ends]
    state["since"] = updated
    return since
