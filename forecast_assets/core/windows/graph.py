"""Rolling correlation graph of a panel: the most correlated tickers of each row, as known at its close.

An edge into a row of ticker i on session t comes from one of the k tickers whose returns had the largest absolute
correlation with i's over the last sessions of i's exchange, t included; its weight is that correlation, sign kept. Returns
are taken from one forecast origin of i's exchange to the next, from the log prices known then, so they add up what
another exchange did while i's was closed. What is known depends on closing times (``core.windows.clock``): a ticker of the
same exchange is known up to t itself, a ticker of another one up to its last close at or before the origin.

A ticker with no new quote since the exchange's previous session has no return on t: it is missing from that session's
pairs, and no edge on t comes from it. Nor does one come from a ticker that is not in the universe on its known row.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.reads import GraphSettings, Reads
from forecast_assets.core.windows.clock import Times, exchange_times
from forecast_assets.core.windows.tensors import Graph, PanelTensors

BLOCK = 1 << 20  # about how many correlations, and how many numbers of their windows, are computed at a time
FLAT = 1e-5  # share of a sum of squares below which the rest around the mean is rounding: the series is constant


def with_graph_if_read(reads: Reads, panel: PanelTensors, *, ends: Tensor, lookback: int) -> PanelTensors:
    """Return ``panel`` with the graph that ``reads`` asks for, if any, for forecasts at rows ``ends`` (M,)."""
    if reads.graph is None:
        return panel
    first = (ends - lookback + 1).clamp(min=0)  # of each window; it lies in the ticker of its end
    return with_graph(panel, reads.graph, since=int(panel.date[first].min()), until=int(panel.date[ends].max()))


def with_graph(
    panel: PanelTensors, spec: GraphSettings, *, since: int | None = None, until: int | None = None
) -> PanelTensors:
    """Return ``panel`` with the graph of ``spec``; rows outside ``since`` to ``until`` (days since 1970-01-01), where they
    are given, get no edges.
    """
    inside = torch.ones(panel.rows, dtype=torch.bool)
    if since is not None:
        inside &= panel.date >= since
    if until is not None:
        inside &= panel.date <= until
    rows = torch.nonzero(inside).squeeze(1)
    found = Correlations(panel, spec).of(rows)
    neighbour = torch.full((panel.rows, spec.neighbours), -1, dtype=torch.int32).index_copy_(0, rows, found.neighbour)
    weight = torch.zeros(panel.rows, spec.neighbours).index_copy_(0, rows, found.weight)
    return replace(panel, graph=Graph(neighbour, weight))


class Correlations:
    """Computes the edges into given rows of a panel; an ``Edges``.

    Needs the feature ``log_return``. A pair counts with at least ``min_pairs`` returns in common.
    """

    def __init__(self, panel: PanelTensors, spec: GraphSettings) -> None:
        self.panel, self.spec, self.times = panel, spec, exchange_times(panel)
        self._histories = _Histories(panel)

    def to(self, device: torch.device | str) -> "Correlations":
        """Return itself; raises ValueError for a device that the panel is not on."""
        if torch.device(device) != self.panel.features.device:
            raise ValueError(f"correlations are computed where the panel is; make a graph before it moves to {device}")
        return self

    def of(self, rows: Tensor) -> Graph:
        """Return the edges into ``rows`` (...): tensors (..., k)."""
        asked, place = torch.unique(rows, return_inverse=True)
        neighbour = torch.full((len(asked), self.spec.neighbours), -1, dtype=torch.int32)
        weight = torch.zeros(len(asked), self.spec.neighbours)
        exchange = self.panel.exchange[asked]
        for code in exchange.unique().tolist():
            here = torch.nonzero(exchange == code).squeeze(1)
            self._fill(code, asked[here], here, neighbour, weight)
        return Graph(neighbour, weight) if torch.equal(asked, rows) else Graph(neighbour, weight).of(place)

    def _fill(self, code: int, rows: Tensor, place: Tensor, neighbour: Tensor, weight: Tensor) -> None:
        """Write the edges into ``rows`` (M,) of exchange ``code`` to their ``place`` (M,) in the two tensors."""
        day, window = self.times[code].day, self.spec.window_sessions
        at = torch.from_numpy(np.searchsorted(day, self.panel.date[rows].numpy()))  # session of each row
        first = max(0, int(at.min()) - window)  # the one before the first window's first return
        known = torch.from_numpy(self._histories.known(self.times, code=code, sessions=slice(first, int(at.max()) + 1)))
        # A window may begin before the exchange does: such sessions have no returns.
        returns = torch.full((window - 1 + len(known), known.shape[1]), float("nan"))
        returns[window - 1 :] = torch.from_numpy(self._histories.returns(known.numpy()))
        sessions, of_session = torch.unique(at, return_inverse=True)
        members, of_member = torch.unique(self.panel.ticker[rows].long(), return_inverse=True)
        size = max(1, BLOCK // (max(len(members), window) * known.shape[1]))
        order = torch.argsort(of_session, stable=True)
        borders = torch.searchsorted(of_session[order], torch.arange(0, len(sessions) + size, size))
        for start, begin, end in zip(
            range(0, len(sessions), size), borders[:-1].tolist(), borders[1:].tolist(), strict=True
        ):
            block = sessions[start : start + size] - first  # (B,)
            seen = returns[block[:, None] + torch.arange(window)].mT  # (B, window, N) -> (B, N, window)
            found = _correlations(seen, members, least=self.spec.min_pairs)  # (B, n, N)
            found *= self.panel.member[known[block].clamp(min=0)][:, None]
            strength, chosen = found.abs().topk(min(self.spec.neighbours, found.shape[-1]), dim=-1)  # (B, n, k)
            source = known[block][:, None].expand_as(found).gather(-1, chosen)
            source = torch.where(strength > 0, source, -1).int()
            asked = order[begin:end]
            here = (of_session[asked] - start, of_member[asked])
            neighbour[place[asked], : source.shape[-1]] = source[here]
            weight[place[asked], : source.shape[-1]] = found.gather(-1, chosen)[here]


def _correlations(seen: Tensor, members: Tensor, *, least: int) -> Tensor:
    """Correlations of ``members`` (n,) with all N tickers over the windows ``seen`` (B, N, window) of returns, (B, n, N).

    0 stands for no edge: with itself, with fewer than ``least`` pairs, with a flat series or one without a return on the
    window's last session.
    """
    is_there = torch.isfinite(seen)
    y, my = torch.where(is_there, seen, 0.0), is_there.float()
    x, mx = y[:, members], my[:, members]  # (B, n, window)
    # Sums over the sessions that both have, as products of the window's values with the other's indicator.
    n = mx @ my.mT  # (B, n, N)
    sum_x, sum_y = x @ my.mT, mx @ y.mT
    square_x, square_y = x.square() @ my.mT, mx @ y.square().mT
    count = n.clamp(min=1.0)
    spread_x, spread_y = square_x - sum_x.square() / count, square_y - sum_y.square() / count
    varies = (spread_x > FLAT * square_x) & (spread_y > FLAT * square_y)
    covariance = x @ y.mT - sum_x * sum_y / count
    counts = (n >= least) & varies & is_there[:, None, :, -1]
    found = torch.where(counts, covariance * spread_x.rsqrt() * spread_y.rsqrt(), 0.0).clamp_(-1.0, 1.0)
    found[:, torch.arange(len(members)), members] = 0.0
    return found


class _Histories:
    """Each ticker's quoted rows with their cumulative log price."""

    def __init__(self, panel: PanelTensors) -> None:
        codes = panel.ticker.numpy()
        count = len(panel.tickers)
        self._begin, self._end = (np.searchsorted(codes, np.arange(count), side=side) for side in ("left", "right"))
        self._date = panel.date.numpy().astype(np.int64)
        exchange = panel.exchange.numpy()
        present = self._end > self._begin
        self.exchange = np.where(present, exchange[np.minimum(self._begin, len(codes) - 1)], -1)  # (N,)
        change = panel.column("log_return").double().numpy()
        is_quote = panel.observed.numpy()
        breaks = panel.segment_start.numpy() | (is_quote & ~np.isfinite(change))
        change = np.where(is_quote & np.isfinite(change), change, 0.0)
        self._quotes = [np.flatnonzero(is_quote[b:e]) + b for b, e in zip(self._begin, self._end, strict=True)]
        # Of each ticker by itself: another ticker's future must not change it, not even by rounding.
        self._price, self._block = np.zeros(len(codes)), np.zeros(len(codes), dtype=np.int64)
        for b, e in zip(self._begin, self._end, strict=True):
            self._price[b:e] = np.cumsum(change[b:e])
            self._block[b:e] = np.cumsum(breaks[b:e])

    def known(self, times: list[Times], *, code: int, sessions: slice) -> NDArray[np.int64]:
        """Return the row of each ticker's last quote known at the origins of exchange ``code``, (S, N); -1 without one."""
        own = times[code]
        origin, day = own.origin[sessions], own.day[sessions]
        found = np.full((len(day), len(self.exchange)), -1, dtype=np.int64)
        for ticker, quotes in enumerate(self._quotes):
            if not len(quotes):
                continue
            other = int(self.exchange[ticker])
            dates = self._date[quotes]
            if other == code:
                count = np.searchsorted(dates, day, side="right")
            else:
                known = times[other].known[np.searchsorted(times[other].day, dates)]
                count = np.searchsorted(known, origin, side="right")
            found[:, ticker] = np.where(count > 0, quotes[np.maximum(count - 1, 0)], -1)
        return found

    def returns(self, known: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log returns from each session's known price to the next one's, (S, N); NaN without a new quote."""
        found = np.full(known.shape, np.nan, dtype=np.float32)
        last, now = known[:-1], known[1:]
        moved = (now > last) & (last >= 0)
        moved &= self._block[now] == self._block[last]
        found[1:][moved] = self._price[now[moved]] - self._price[last[moved]]
        return found
