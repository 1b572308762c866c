"""Delistings that a panel of survivors lacks, planted by seed, and what they do to the coverage of its forecasts.

Nobody knows which tickers are missing. So tickers of the panel are delisted instead, at a declared rate: the more likely,
the more volatile a ticker is and the deeper it has fallen below its own high, which is what precedes failures (Campbell,
Hilscher and Szilagyi 2008). On the session after its last one a holder gets a declared share of the last price (Shumway
1997: stocks delisted from NYSE and AMEX for performance returned about -30 %, where data had left the return out).
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.scores.quantile import Floats
from forecast_assets.core.specs import SurvivorshipSpec

VOLATILITY_SESSIONS, HIGH_SESSIONS = 63, 252
LEAST_SESSIONS = 21  # of either, below which a ticker counts as the day's average one
DAYS_PER_YEAR = 365.25


class Delistings(NamedTuple):
    """The last session of each ticker in each of R rates x P plantings; NaT where it is not delisted. C recoveries."""

    tickers: tuple[str, ...]  # (N,) sorted
    rates: tuple[float, ...]  # (R,) expected share of the tickers that is delisted in a year
    last: NDArray[np.datetime64]  # (R, P, N)
    ticker_years: float  # over which the tickers could have been delisted
    recoveries: tuple[float, ...]  # (C,) shares of the last close that holders get
    is_real: bool = False  # those of a universe file, not planted

    @property
    def counts(self) -> NDArray[np.intp]:
        """Number of delistings of each rate and planting, (R, P)."""
        return np.asarray((~np.isnat(self.last)).sum(axis=2))

    def of(self, ticker: str) -> NDArray[np.datetime64]:
        """Return the last sessions of a ticker, (R * P,)."""
        column = self.tickers.index(ticker)
        return self.last[:, :, column].ravel()


class DelistedCoverage(NamedTuple):
    """Coverage of the 95 % band over H horizons."""

    horizons: tuple[int, ...]
    without: Floats  # (H,) delistings
    after: Floats  # (R, P, C, H) with each planting's


def planted(panel: pl.DataFrame, *, tickers: Sequence[str], first: dt.date, spec: SurvivorshipSpec) -> Delistings:
    """Plant delistings of ``tickers`` from the day ``first`` on, ``spec.plantings`` times at each of ``spec.rates``.

    ``panel``: date, ticker, close, is_missing, is_member. Each planting draws one exponential number per ticker, and the
    ticker is delisted where its cumulative hazard reaches it: so a higher rate delists the same tickers earlier, and others
    beside them. A ticker's draws depend on ``spec.seed`` and its name alone. Its last row in the panel is never one: what
    comes after it is not known.
    """
    hazards = _hazards(panel.filter(pl.col("ticker").is_in(list(tickers))), first=first, spec=spec)
    names, rates = tuple(sorted(tickers)), np.array(spec.rates)
    last = np.full((len(rates), spec.plantings, len(names)), "NaT", dtype="datetime64[D]")
    years = 0.0
    for (ticker,), own in hazards.group_by("ticker", maintain_order=True):
        total = own["hazard"].cum_sum().to_numpy()  # at a rate of one
        days = own["date"].to_numpy().astype("datetime64[D]")
        drawn = _generator(spec.seed, str(ticker)).standard_exponential(spec.plantings)
        row = np.searchsorted(total, drawn[None, :] / np.where(rates > 0, rates, np.inf)[:, None])  # (R, P)
        row = np.where((rates > 0)[:, None], row, len(days))
        found = np.append(days, np.datetime64("NaT"))[row]
        last[:, :, names.index(str(ticker))] = found
        years += float(own["years"].sum())
    return Delistings(names, spec.rates, last, years, spec.recoveries)


def real(
    panel: pl.DataFrame, *, tickers: Sequence[str], first: dt.date, silence_sessions: int, recoveries: Sequence[float]
) -> Delistings:
    """Return the tickers of a point-in-time panel whose quotes end from the day ``first`` on: one rate, one planting.

    ``panel``: as for ``planted``. A ticker has ended where it was a member on its last quote, and more than
    ``silence_sessions`` sessions of the panel follow. The rate is what it comes to by year.
    """
    quoted = panel.filter(~pl.col("is_missing") & pl.col("ticker").is_in(list(tickers)) & (pl.col("date") >= first))
    sessions = panel.filter(~pl.col("is_missing"))["date"].unique().sort().to_numpy().astype("datetime64[D]")
    ends = quoted.sort("ticker", "date").group_by("ticker", maintain_order=True).last()
    names = tuple(sorted(tickers))
    last = np.full((1, 1, len(names)), "NaT", dtype="datetime64[D]")
    for ticker, date, member in ends.select("ticker", "date", "is_member").iter_rows():
        day = np.datetime64(date, "D")
        if member and len(sessions) - np.searchsorted(sessions, day, side="right") > silence_sessions:
            last[0, 0, names.index(ticker)] = day
    spans = quoted.filter("is_member").group_by("ticker").agg(days=pl.col("date").max() - pl.col("date").min())
    years = float(spans["days"].dt.total_days().sum()) / DAYS_PER_YEAR
    rate = float((~np.isnat(last)).sum()) / years if years else 0.0
    return Delistings(names, (rate,), last, years, tuple(recoveries), is_real=True)


def hazard_ratios(quoted: pl.DataFrame, *, spec: SurvivorshipSpec) -> pl.DataFrame:
    """Return quoted rows (date, ticker, close) with ``ratio``: the hazard over that of the day's average ticker.

    ``spec.volatility_ratio`` and ``spec.drawdown_ratio`` to the power of the Normal scores of the ticker's ranks on the day:
    of its volatility over 63 sessions, and of its fall from the high of 252; each as known at the close.
    """
    from scipy.special import ndtri

    change = pl.col("close").log().diff().over("ticker")
    moved = quoted.sort("ticker", "date").with_columns(change=change)
    high = pl.col("close").rolling_max(HIGH_SESSIONS, min_samples=LEAST_SESSIONS)
    known = moved.with_columns(
        volatility=pl.col("change").rolling_std(VOLATILITY_SESSIONS, min_samples=LEAST_SESSIONS).over("ticker"),
        fall=(1.0 - pl.col("close") / high).over("ticker"),
    )
    ratio = np.ones(known.height)
    for column, base in (("volatility", spec.volatility_ratio), ("fall", spec.drawdown_ratio)):
        share = known.select((pl.col(column).rank() - 0.5).over("date") / pl.col(column).count().over("date"))
        ratio *= base ** ndtri(share.to_series().fill_null(0.5).to_numpy())
    of_day = pl.col("ratio") / pl.col("ratio").mean().over("date")
    return known.with_columns(ratio=pl.Series(ratio)).with_columns(ratio=of_day).drop("change", "volatility", "fall")


def delisted_coverage(forecasts: pl.DataFrame, panel: pl.DataFrame, delistings: Delistings) -> DelistedCoverage:
    """Return the coverage of the 95 % band with each planting's delistings, and without any.

    ``forecasts``: date, ticker, horizon, split, q025, q975, y (null until known) of one model, of which the test ones
    count; ``panel``: date, ticker, close, segment, filled rows included. A ticker has no forecast after its
    last session. One whose horizon reaches beyond it has the return up to there and the recovery for an outcome: log return
    minus infinity where nothing is recovered. Sessions are counted in the panel's rows of the ticker.
    """
    forecasts = forecasts.filter(pl.col("split") == "test")
    horizons = forecasts["horizon"].unique().sort().to_list()
    shape, recoveries = delistings.last.shape[:2], delistings.recoveries
    changes = np.zeros((shape[0] * shape[1], len(recoveries), len(horizons), 2))  # of inside and n
    paths = {str(ticker): own for (ticker,), own in panel.sort("ticker", "date").group_by("ticker")}
    with np.errstate(divide="ignore"):
        recovered = np.log(np.array(recoveries, dtype=np.float64))
    given = forecasts.filter(pl.col("ticker").is_in(list(delistings.tickers)))
    for (ticker, horizon), own in given.sort("ticker", "horizon", "date").group_by("ticker", "horizon"):
        when = delistings.of(str(ticker))
        if not np.isnat(when).all():
            path = _Path(paths[str(ticker)], own, horizon=int(horizon))
            for k, day in _dated(when):
                changes[k, :, horizons.index(horizon)] += path.change(day, recovered)
    known = forecasts.drop_nulls("y").with_columns(inside=pl.col("y").is_between("q025", "q975"))
    sums = known.group_by("horizon").agg(pl.col("inside").sum(), n=pl.len()).sort("horizon")
    if sums.height < len(horizons):
        raise BadInput(f"delistings: of the horizons {horizons} only {sums['horizon'].to_list()} have an outcome")
    before = sums.select("inside", "n").to_numpy().astype(np.float64)  # (H, 2)
    inside, n = np.moveaxis(before + changes, -1, 0)
    with np.errstate(invalid="ignore"):
        after = np.where(n > 0, inside / n, np.nan)
    by_planting = after.reshape(*shape, len(recoveries), len(horizons))
    return DelistedCoverage(tuple(horizons), before[:, 0] / before[:, 1], by_planting)


class _Path:
    """One ticker's forecasts over one horizon, by their places in its rows."""

    def __init__(self, rows: pl.DataFrame, forecasts: pl.DataFrame, *, horizon: int) -> None:
        self.horizon = horizon
        self.days = rows["date"].to_numpy().astype("datetime64[D]")
        self.log_close, self.segment = np.log(rows["close"].to_numpy()), rows["segment"].to_numpy()
        self.place = np.searchsorted(self.days, forecasts["date"].to_numpy().astype("datetime64[D]"))
        self.low, self.high = (forecasts[name].to_numpy() for name in ("q025", "q975"))
        y = forecasts["y"].fill_null(float("nan")).to_numpy()
        inside = (y >= self.low) & (y <= self.high)
        self.counted = np.stack([inside, np.isfinite(y)], axis=1).astype(np.float64)  # (n, 2)
        self.from_here = np.append(np.cumsum(self.counted[::-1], axis=0)[::-1], [[0.0, 0.0]], axis=0)

    def change(self, day: np.datetime64, recovered: Floats) -> Floats:
        """Return by how much inside and n change, (C, 2), where ``day`` is the last session; ``recovered`` (C,) in logs."""
        last = int(np.searchsorted(self.days, day))
        first, end = np.searchsorted(self.place, [last - self.horizon + 1, last + 1])
        reach = np.arange(first, end)
        reach = reach[self.segment[self.place[reach]] == self.segment[last]]
        return_to_last = self.log_close[last] - self.log_close[self.place[reach]]
        outcome = return_to_last[None, :] + recovered[:, None]  # (C, n)
        inside = ((outcome >= self.low[reach]) & (outcome <= self.high[reach])).sum(axis=1)
        gone = self.from_here[end] + self.counted[reach].sum(axis=0)
        return np.stack([inside - gone[0], np.full(len(recovered), len(reach) - gone[1])], axis=1)


def _hazards(panel: pl.DataFrame, *, first: dt.date, spec: SurvivorshipSpec) -> pl.DataFrame:
    """Return date, ticker, years (since the ticker's last quote), hazard at a rate of one, of rows that may be the last."""
    quoted = panel.filter(~pl.col("is_missing")).select("date", "ticker", "close", "is_member")
    rows = hazard_ratios(quoted, spec=spec)
    years = pl.col("date").diff().dt.total_days().over("ticker").fill_null(0) / DAYS_PER_YEAR
    possible = (pl.col("date") >= first) & pl.col("is_member") & (pl.col("date") < pl.col("date").max().over("ticker"))
    found = rows.with_columns(years=years, possible=possible).filter("possible")
    return found.select("date", "ticker", "years", hazard=pl.col("years") * pl.col("ratio")).sort("ticker", "date")


def _generator(seed: int, ticker: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(ticker.encode()).digest()[:8])])


def _dated(when: NDArray[np.datetime64]) -> Iterator[tuple[int, np.datetime64]]:
    """Yield the places that have a day, with it."""
    for k in np.flatnonzero(~np.isnat(when)):
        yield int(k), when[k]
