"""The rows that a function is audited on, the days they are cut at, and how what lies after a cut is changed."""

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import polars as pl

from forecast_assets.core.panel.comparison import KEY
from forecast_assets.core.panel.demo import EXCHANGES, demo_panel
from forecast_assets.core.panel.rows import COLUMNS
from forecast_assets.core.panel.sessions import closes
from forecast_assets.core.specs import DemoSpec

MARKET = DemoSpec(tickers=16, start=dt.date(2018, 1, 2), end=dt.date(2020, 12, 31), seed=11)
NULL_SHARE = 0.01  # of the volumes of the synthetic panel
EARLY_SESSION = 12  # the first cut: what is filled backwards into a warm-up shows there alone
AFTER_LISTING = 2  # rows after a ticker's first one, for the same reason
BEFORE_END = 5
EVEN = (0.9, 0.35, 0.65, 0.2, 0.5, 0.8)
"""Shares of the sessions up to evenly spaced cuts, in the order in which they are taken."""
FIXED = (*KEY, "exchange", "region", "segment", "known_at")
"""Columns that a row keeps when what lies after a cut is shuffled."""


def synthetic_rows() -> pl.DataFrame:
    """Return the rows of the synthetic market, (raw panel columns), the same ones each time.

    Three exchanges with their own holidays; among 16 tickers a late listing, a delisting, a halt, a hole and one without a
    sector; 1 % of the volumes are missing.
    """
    rows = demo_panel(MARKET)
    missing = pl.Series(np.random.default_rng(0).random(rows.height) < NULL_SHARE)
    exchange = pl.coalesce(
        *(pl.when(pl.col("Ticker").str.ends_with(suffix)).then(pl.lit(mic)) for mic, suffix in EXCHANGES if suffix),
        pl.lit(EXCHANGES[0][0]),
    )
    return rows.select(
        date="Date",
        ticker="Ticker",
        exchange=exchange,
        sector="Sector",
        open="Opening Price",
        high="High",
        low="Low",
        close="Closing Price",
        volume=pl.when(~missing).then(pl.col("Volume").cast(pl.Float64)),
    ).select(COLUMNS)


def with_known_at(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` with ``known_at``: when their own exchange closes on their date, in UTC; sorted by ticker and date."""
    first, last = rows["date"].min(), rows["date"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    times = pl.concat(
        closes(exchange, first, last).select("date", pl.lit(exchange).alias("exchange"), known_at="close")
        for exchange in rows["exchange"].unique().sort()
    )
    end_of_day = pl.col("date").cast(pl.Datetime("us")) + pl.duration(hours=24)
    timed = rows.join(times, on=["date", "exchange"], how="left").with_columns(pl.col("known_at").fill_null(end_of_day))
    return timed.sort(KEY)


def cut_days(rows: pl.DataFrame, *, count: int, after: dt.date | None = None) -> list[dt.date]:
    """Return at most ``count`` days at which to cut, ascending: where look-ahead of some kind shows, and evenly spaced ones.

    In turn: an early session; days in the middle of a week and a month; on which a ticker has no quote, or an exchange is
    closed; just after a listing; with a missing number; just before a ticker ends. All lie after ``after`` and before the
    panel's last day.
    """
    days = rows["date"].unique().sort()
    usable = set(days[:-1]) if after is None else {day for day in days[:-1] if day > after}
    kinds = (
        days[EARLY_SESSION : EARLY_SESSION + 1],
        _mid_week(days, sorted(usable)),
        _halts(rows),
        _holidays(rows, days),
        _listings(rows, days),
        _nulls(rows),
        _ends(rows, days),
    )
    chosen: list[dt.date] = []
    queues = [[day for day in kind if day in usable] for kind in kinds]
    while any(queues) and len(chosen) < count:
        for queue in queues:
            if queue and (day := queue.pop(0)) not in chosen and len(chosen) < count:
                chosen.append(day)
    return sorted(chosen)


def _mid_week(days: pl.Series, usable: list[dt.date]) -> list[dt.date]:
    """Return evenly spaced days whose next session is in the same week and month."""
    after = dict(pairwise(days))
    inner = [
        day for day in usable if after[day].month == day.month and after[day].isocalendar()[1] == day.isocalendar()[1]
    ]
    return [inner[int(share * (len(inner) - 1))] for share in EVEN] if inner else []


def _halts(rows: pl.DataFrame) -> list[dt.date]:
    """Return days without a quote of a ticker that was quoted before and after, on which its exchange was open."""
    quoted = rows.filter(~pl.col("is_missing")) if "is_missing" in rows.columns else rows
    spans = quoted.group_by("exchange", "ticker").agg(first=pl.min("date"), last=pl.max("date"))
    open_days = spans.join(quoted.select("exchange", "date").unique(), on="exchange")
    inside = open_days.filter(pl.col("date").is_between("first", "last", closed="none"))
    return _spread(inside.join(quoted, on=KEY, how="anti")["date"].unique().sort(), 4)


def _holidays(rows: pl.DataFrame, days: pl.Series) -> list[dt.date]:
    """Return days on which one exchange of the panel was open and another was not."""
    each = rows.select("exchange").unique().join(days.to_frame(), how="cross")
    return _spread(each.join(rows, on=["exchange", "date"], how="anti")["date"].unique().sort(), 4)


def _listings(rows: pl.DataFrame, days: pl.Series) -> list[dt.date]:
    first = (
        rows.sort(KEY)
        .group_by("ticker", maintain_order=True)
        .agg(pl.first("date"), after=pl.col("date").slice(AFTER_LISTING, 1).first())
    )
    late = first.filter(pl.col("date") > days[min(EARLY_SESSION, len(days) - 1)])
    return _spread(late["after"].drop_nulls().unique().sort(), 2)


def _nulls(rows: pl.DataFrame) -> list[dt.date]:
    numbers = [
        name for name, dtype in rows.schema.items() if dtype == pl.Float64 and rows[name].null_count() < rows.height
    ]
    return _spread(rows.filter(pl.any_horizontal(pl.col(numbers).is_null()))["date"].unique().sort(), 2)


def _ends(rows: pl.DataFrame, days: pl.Series) -> list[dt.date]:
    last = (
        rows.sort(KEY)
        .group_by("ticker", maintain_order=True)
        .agg(pl.last("date"), before=pl.col("date").tail(BEFORE_END).first())
    )
    return _spread(last.filter(pl.col("date") < days[-1])["before"].unique().sort(), 2)


def _spread(days: pl.Series, count: int) -> list[dt.date]:
    """Return at most ``count`` of ``days``, the middle one first."""
    places = dict.fromkeys(int((k + 0.5) * len(days) / count) for k in range(count)) if len(days) else {}
    return [days[place] for place in places]


def jitter(rows: pl.DataFrame, *, size: float) -> pl.DataFrame:
    """Return ``rows`` with numbers changed by a random share of at most ``size``: what rounding does to a result."""
    rng = np.random.default_rng(1)
    numbers = [name for name, dtype in rows.schema.items() if dtype == pl.Float64]
    return rows.with_columns(pl.col(name) * pl.Series(1 + rng.uniform(-size, size, rows.height)) for name in numbers)


def shuffle(rows: pl.DataFrame, *, later: pl.Expr) -> pl.DataFrame:
    """Return ``rows``, sorted by ticker and date, with the values of a ticker's ``later`` rows exchanged at random."""
    order = np.arange(rows.height)
    place = rows.with_row_index("place").filter(later).group_by("ticker", maintain_order=True).agg("place")["place"]
    rng = np.random.default_rng(2)
    for places in place:
        order[places.to_numpy()] = rng.permutation(places.to_numpy())
    moved = _without(rows.columns, FIXED)
    return rows.with_columns(rows.select(moved)[order]).select(rows.columns)


def _without(names: Iterable[str], left_out: Iterable[str]) -> list[str]:
    return [name for name in names if name not in set(left_out)]
