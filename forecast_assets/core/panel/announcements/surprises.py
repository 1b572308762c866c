"""What of a row points to an announcement: returns without the market's and the sector's part, in units of their own size.

Means of the market are those of all tickers that close at the same instant, so that no later close enters an earlier row.
"""

from dataclasses import dataclass

import numpy as np

from forecast_assets.core.panel.announcements.observations import NO_SECTOR, Bools, Grid, Observations
from forecast_assets.core.panel.announcements.state import State
from forecast_assets.core.panel.announcements.sums import Floats, GroupSums, lagged

LARGEST_RETURN = 0.25  # a larger one enters means and betas as this
BETA_DECAY, BETA_PRIOR, LARGEST_BETA = 0.99, 2e-3, 3.0  # the prior: as much squared market return with a beta of 1
PEERS = 4.0  # tickers without a common move that a sector's mean is shrunk by
SIZE_DECAY, FIRST_SIZES, LARGEST_SIZE = 0.97, 5, 3.0
"""Decay of the mean size of a move; while a history of k moves is short, 1 - 1 / (k + 5); a move enters as at most three."""
SMALLEST = 1e-4
LARGE = 4.0  # size from which a move counts as large
VOLUME_DECAY, LARGEST_VOLUME = 0.95, 1.5

RETURNS = ("log_return", "gap", "intraday")
SIZED = (*RETURNS, "range")
EVIDENCE = 10  # numbers that describe a row to the likelihood


@dataclass(frozen=True)
class Market:
    """Means over the tickers of a closing, and what is left of returns in each of its sectors."""

    returns: dict[str, GroupSums]
    volume: GroupSums
    sectors: dict[str, GroupSums]
    level: GroupSums  # squared return without the market's part
    large: GroupSums  # whether a move is large

    @classmethod
    def empty(cls, *, closings: int, sectors: int) -> "Market":
        """Return sums to be filled: first returns and volume, then sectors and level, then large."""
        of_sectors = {name: GroupSums(closings * max(sectors, 1)) for name in RETURNS}
        by_return = {name: GroupSums(closings) for name in RETURNS}
        return cls(by_return, GroupSums(closings), of_sectors, GroupSums(closings), GroupSums(closings))

    def add_returns(self, rows: Observations, volume: Floats) -> None:
        """Add the returns of ``rows``, and their unusual ``volume``."""
        for name, sums in self.returns.items():
            sums.add(_limited(getattr(rows, name)), rows.closing, counts=rows.member)
        self.volume.add(volume, rows.closing, counts=rows.member)

    def add_residuals(self, rows: Observations, residuals: dict[str, Floats]) -> None:
        """Add what is left of the returns of ``rows`` without the market's part; needs all ``returns``."""
        inside = rows.member & (rows.sector != NO_SECTOR)
        for name, values in residuals.items():
            self.sectors[name].add(_limited(values), np.maximum(rows.sector, 0), counts=inside)
        self.level.add(residuals["log_return"] ** 2, rows.closing, counts=rows.member)

    def add_moves(self, rows: Observations, found: "Surprises") -> None:
        """Add which moves of ``rows`` are large; needs all ``sectors``."""
        self.large.add((found.size > LARGE).astype(float), rows.closing, counts=rows.member & found.sized)


@dataclass(frozen=True)
class Surprises:
    """What stands out in N rows."""

    evidence: Floats  # (N, EVIDENCE)
    start: Floats  # (N,) log odds that the likelihood is begun with
    sized: Bools  # (N,) there is a return
    known: Bools  # (N,) and a company may report
    residual: Floats  # (N,) log return without the market's and the sector's part
    volume: Floats  # (N,) log volume less its own average and the market's part, 0 where not known
    size: Floats  # (N,) |residual| in units of its mean size, 0 where not known
    gap_size: Floats  # (N,) the same of the gap


def _limited(values: Floats) -> Floats:
    return np.clip(values, -LARGEST_RETURN, LARGEST_RETURN)


def own_volume(rows: Observations, grid: Grid, state: State) -> Floats:
    """Return log volume less its average up to the row before, (N,); updates ``state``."""
    volume = grid.spread(rows.log_volume)
    found, average = np.full_like(volume, np.nan), state["volume"]
    for day, today in enumerate(volume):
        known = np.isfinite(today)
        found[day] = today - average
        step = (1 - VOLUME_DECAY) * np.clip(np.nan_to_num(found[day]), -LARGEST_VOLUME, LARGEST_VOLUME)
        average = np.where(known, np.where(np.isnan(average), today, average + step), average)
    state["volume"] = average
    return grid.gather(found)


def market_residuals(rows: Observations, grid: Grid, state: State, market: Market) -> dict[str, Floats]:
    """Return the returns without beta times the market's, (N,) each; beta as of the row before. Updates ``state``."""
    of_market = {name: sums.mean(rows.closing) for name, sums in market.returns.items()}
    own, common = grid.spread(_limited(rows.log_return)), grid.spread(of_market["log_return"])
    known = np.isfinite(own) & np.isfinite(common)
    own, common = np.where(known, own, 0.0), np.where(known, common, 0.0)
    beta = np.empty_like(own)
    product, square = state["beta"]
    for day, update in enumerate(known):
        beta[day] = np.clip((product + BETA_PRIOR) / (square + BETA_PRIOR), 0.0, LARGEST_BETA)
        product = np.where(update, BETA_DECAY * product + own[day] * common[day], product)
        square = np.where(update, BETA_DECAY * square + common[day] ** 2, square)
    state["beta"] = np.stack([product, square])
    betas = grid.gather(beta)
    return {name: getattr(rows, name) - betas * of_market[name] for name in RETURNS}


def surprises(rows: Observations, grid: Grid, state: State, market: Market) -> Surprises:
    """Return what stands out in ``rows``; updates ``state``. ``market`` holds the sums of all tickers."""
    volume = own_volume(rows, grid, state) - market.volume.mean(rows.closing)
    volume = np.where(np.isfinite(volume), volume, 0.0)
    residuals = market_residuals(rows, grid, state, market)
    inside = rows.member & (rows.sector != NO_SECTOR)
    for name, values in residuals.items():
        group = np.maximum(rows.sector, 0)
        common = market.sectors[name].of_others(_limited(values), group, counts=inside, prior=PEERS)
        residuals[name] = values - np.where(rows.sector == NO_SECTOR, 0.0, common)
    moves = np.stack([np.abs(grid.spread(v)) for v in (*residuals.values(), rows.range)], axis=1)  # (D, 4, T)
    sizes = _in_units_of_their_size(moves, state)
    z = [grid.gather(sizes[:, k]) for k in range(len(SIZED))]
    sized = np.isfinite(z[0])
    returned, gap, intraday, spread = (np.nan_to_num(each) for each in z)
    before = _volume_before(rows, grid, state, volume)
    r, g = np.log1p(np.minimum(returned, 15.0)), np.log1p(np.minimum(gap, 40.0))
    v = np.clip(volume, -1.0, 3.0)
    evidence = [
        *(r, g, np.log1p(np.minimum(intraday, 12.0)), v, np.clip(volume - before, -2.0, 3.0)),
        *(r**2, g**2, np.clip(volume, 0.0, 3.0) ** 2, g * v, np.log1p(np.minimum(spread, 6.0))),
    ]
    start = 0.8 * np.minimum(gap, 6.0) + 0.5 * np.minimum(returned, 6.0) + v
    return Surprises(
        np.stack(evidence, axis=1), start, sized, sized & rows.counts, residuals["log_return"], volume, returned, gap
    )


def _in_units_of_their_size(moves: Floats, state: State) -> Floats:
    """Return ``moves`` (D, K, T) in units of their mean size up to the row before."""
    found, size, count = np.empty_like(moves), state["size"], state["size_count"]
    for day, today in enumerate(moves):
        known = np.isfinite(today)
        found[day] = today / np.maximum(size, SMALLEST)
        decay = np.minimum(SIZE_DECAY, 1.0 - 1.0 / (count + FIRST_SIZES))
        move = np.minimum(np.where(known, today, 0.0), LARGEST_SIZE * size)
        size = np.where(known, decay * size + (1.0 - decay) * move, size)
        count = count + known
    state["size"], state["size_count"] = size, count
    return found


def _volume_before(rows: Observations, grid: Grid, state: State, volume: Floats) -> Floats:
    """Return the unusual volume of the row before, (N,): of the same segment, else 0."""
    first = np.diff(rows.ticker, prepend=-1) != 0
    before = np.where(first, state["volume_before"][rows.ticker], lagged(volume, 1))
    last = np.flatnonzero(np.diff(rows.ticker, append=-1) != 0)
    latest = state["volume_before"].copy()
    latest[rows.ticker[last]] = volume[last]
    state["volume_before"] = latest
    return np.where(rows.position == 0, 0.0, before)
