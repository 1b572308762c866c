"""The exchange of each ticker: what its name says, confirmed or contradicted by the dates of its first quotes.

A ticker's first ``FIRST_QUOTES`` quoted days decide, once: rows after them never change the exchange of those before. What
was published before there were so many stays too, where it is handed on as ``published``. A
name that says it (a column, a suffix, a symbol) is kept or, where the dates contradict it, the ticker is refused; one
that is New York by default, or that says nothing, is assigned to the one calendar that its dates fit. Every
such decision shows its evidence: quotes on days the exchange is closed, and its sessions without a quote.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.panel.exchange_names import COINS, COINS_CALENDAR, declaration
from forecast_assets.core.panel.sessions import calendar_bounds, closed_days, sessions, time_zone
from forecast_assets.core.specs import PanelSpec

FIRST_QUOTES = 120  # quoted days that decide: half a year shows two or three holidays of every exchange
FEWEST_QUOTES = 5  # from which on the days between quotes say whether they are daily
WEEKLY_GAP = 5  # median days between quotes from which on they are weekly bars
MONTHLY_GAP = 20
FEWEST_TO_TELL = 15  # quotes of three weeks: fewer show no two holidays, by which calendars differ
EXAMPLES = "with its exchange (XTKS: Tokyo, XBOM: India, XSHG: China, 24/7: a coin)"
CLOSED_SHARE = 0.05  # of the first quotes on closed days, beyond which no calendar fits
MARGIN = 2  # mismatches that the best calendar must have fewer than the next: one missing quote decides nothing
MISSING_SHARE = 0.1  # of a calendar's sessions that may be without a quote where a calendar is assigned by dates
WEAK = ("default", "guess", "none")  # what a name says that the dates may overrule

PLACED = {
    "ticker": pl.String,
    "exchange": pl.String,  # null where the ticker is refused
    "assigned_by": pl.String,
    "named": pl.String,  # exchange that the name says; null: none
    "settled": pl.Date,  # day of the quote that made up the first ones; null: there are fewer
    "evidence": pl.String,  # of an assignment that rests on the dates, or that they do not bear out
    "refusal": pl.String,  # null: not refused
}


@dataclass
class FirstQuotes:
    """Collects the first quoted days of each ticker from blocks of rows in any order."""

    _quotes: pl.DataFrame | None = field(default=None, init=False)

    def add(self, rows: pl.DataFrame) -> None:
        """Add usable rows by ticker and date: exchange, assigned_by, numbers; not those before the named calendar."""
        starts = {mic: calendar_bounds(mic)[0] for mic in rows["exchange"].drop_nulls().unique()}
        if any(starts[mic] > day for mic, day in _first_days(rows).iter_rows()):
            start = pl.col("exchange").replace_strict(starts, default=None, return_dtype=pl.Date)
            rows = rows.filter((pl.col("date") >= start).fill_null(True))
        new = _first_of_each(rows)
        flat = pl.all_horizontal((pl.col(name) == pl.col("close")).fill_null(True) for name in ("open", "high", "low"))
        still = flat & (pl.col("volume").fill_null(0) == 0)
        new = new.select("ticker", "date", "exchange", "assigned_by", "close", still=still)
        both = new if self._quotes is None else pl.concat([self._quotes, new])
        self._quotes = _first_of_each(both.sort("ticker", "date", maintain_order=True))

    def quotes(self) -> pl.DataFrame:
        """Return ticker, date, exchange, assigned_by and ``news``, by ticker and date; none: an empty frame.

        ``news`` is false where a feed only carried a price on: one flat price as on the day before, without volume.
        """
        if self._quotes is None:
            return pl.DataFrame(
                schema=dict.fromkeys(("ticker", "exchange", "assigned_by"), pl.String)
                | {"date": pl.Date, "news": pl.Boolean}
            )
        before = pl.col("close").shift(1).over("ticker")
        carried = pl.col("still") & ((pl.col("close") / before - 1).abs() < 1e-6).fill_null(False)
        return self._quotes.select("ticker", "date", "exchange", "assigned_by", news=~carried)


def _first_days(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("exchange").is_not_null()).group_by("exchange").agg(pl.min("date"))


def _first_of_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the first row of each of the first ``FIRST_QUOTES`` days of every ticker; ``rows`` by ticker and date."""
    begins = (pl.col("ticker") != pl.col("ticker").shift(1)).fill_null(True)
    is_new = begins | (pl.col("date") != pl.col("date").shift(1))
    number = is_new.cum_sum()
    return rows.filter(is_new & (number - pl.when(begins).then(number).forward_fill() < FIRST_QUOTES))


@dataclass(frozen=True)
class Fit:
    """How a ticker's first quotes fit a calendar; between the first and the last of them."""

    exchange: str
    closed: int  # quotes on days it is closed
    missing: int  # its sessions without a quote

    @property
    def mismatches(self) -> int:
        """Quotes on closed days and sessions without a quote."""
        return self.closed + self.missing

    def __str__(self) -> str:
        return f"{self.exchange} ({self.closed} on closed days, {self.missing} of its sessions without a quote)"


def place_tickers(
    quotes: pl.DataFrame, *, until: dt.date, spec: PanelSpec, published: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Return the exchange of each ticker (columns ``PLACED``), by ticker; ``quotes``: see ``FirstQuotes.quotes``.

    ``until``: the panel's last day, to which calendars are made at once; it decides nothing. ``published``: the exchanges
    by ticker that the same panel was published with before it grew; dates do not overrule them.
    """
    facts = _facts(quotes)
    begin = quotes["date"].min()
    for exchange in facts["named"].drop_nulls().unique().sort():
        assert isinstance(begin, dt.date)
        sessions(exchange, begin, until)
    closed = _closed_by_name(quotes, facts)
    facts = facts.join(closed, on="ticker", how="left").with_columns(pl.col("closed").fill_null(0)).sort("ticker")
    doubtful = facts.filter(_is_doubtful())["ticker"]
    fits = _fits(quotes.filter(pl.col("ticker").is_in(doubtful.implode())), list(spec.regions))
    doubted, placing, published = set(doubtful), _Placing(spec), published or {}
    placed = [
        _as_published(
            placing.place(row, fits.get(row["ticker"], []) if row["ticker"] in doubted else None),
            published.get(row["ticker"]),
        )
        for row in facts.iter_rows(named=True)
    ]
    return pl.DataFrame(placed, schema=PLACED)


def _facts(quotes: pl.DataFrame) -> pl.DataFrame:
    """Return per ticker its named exchange and how, its number of first quotes and the days between them."""
    strong = ~pl.col("assigned_by").is_in(WEAK)
    gap = (pl.col("date") - pl.col("date").shift(1)).dt.total_days().over("ticker")
    facts = (
        quotes.with_columns(gap=gap)
        .group_by("ticker", maintain_order=True)
        .agg(
            named=pl.coalesce(pl.col("exchange").filter(strong).first(), pl.col("exchange").drop_nulls().first()),
            assigned_by=pl.coalesce(pl.col("assigned_by").filter(strong).first(), pl.col("assigned_by").first()),
            count=pl.len(),
            gap=pl.col("gap").median(),
            longest_gap=pl.col("gap").max(),
            last=pl.col("date").last(),
            weekend=(pl.col("date").dt.weekday() > 5).any(),
        )
    )
    return facts.with_columns(
        coin=pl.col("ticker").str.to_uppercase().is_in(COINS) & (pl.col("assigned_by") == "default"),
    )


def _closed_by_name(quotes: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return (ticker, closed): the first quotes on days on which the named exchange is closed."""
    named = facts.filter(pl.col("named").is_not_null()).select("ticker", exchange="named")
    news = quotes.filter("news").drop("exchange").join(named, on="ticker", how="inner")
    return (
        news.join(closed_days(news), on=["exchange", "date"], how="semi")
        .group_by("ticker")
        .agg(closed=pl.len().cast(pl.Int64))
    )


def _is_doubtful() -> pl.Expr:
    """Return whether the calendars are to be compared: what the name says is in doubt, or it says nothing."""
    return (
        pl.when((pl.col("assigned_by") == "declared") | _too_few_to_tell())
        .then(False)
        .otherwise(
            pl.col("named").is_null()
            # A coin's symbol is a share's where its quotes leave weekends out.
            | (pl.col("coin") & ((pl.col("closed") > 0) | (pl.col("longest_gap").fill_null(0) < 3)))
            | (pl.col("closed") >= pl.when(pl.col("assigned_by").is_in(WEAK)).then(2).otherwise(3))
        )
    )


def _too_few_to_tell() -> pl.Expr:
    """Return whether a ticker that names no exchange has so few quotes, none on a weekend, that calendars are alike."""
    return pl.col("named").is_null() & (pl.col("count") < FEWEST_TO_TELL) & ~pl.col("weekend")


def _fits(quotes: pl.DataFrame, exchanges: Sequence[str]) -> dict[str, list[Fit]]:
    """Return how each ticker of ``quotes`` (sorted) fits each calendar that covers it, the best first."""
    found: dict[str, list[Fit]] = {}
    # Tickers that begin in one year are compared at once: calendars are made for few years.
    years = quotes.group_by("ticker").agg(year=pl.min("date").dt.year())
    for _, part in quotes.join(years, on="ticker", maintain_order="left").group_by("year", maintain_order=True):
        span = _Span.of(part)
        for exchange in exchanges:
            for ticker, fit in span.fits(exchange):
                found.setdefault(ticker, []).append(fit)
    return {ticker: sorted(fits, key=lambda fit: fit.mismatches) for ticker, fits in found.items()}


@dataclass(frozen=True)
class _Span:
    """First quotes of some tickers, ticker by ticker, as days since ``origin``."""

    origin: dt.date
    tickers: list[str]
    begins: NDArray[np.int64]  # row of each ticker's first quote
    days: NDArray[np.int64]
    news: NDArray[np.bool_]

    @classmethod
    def of(cls, quotes: pl.DataFrame) -> "_Span":
        begins = np.flatnonzero((quotes["ticker"] != quotes["ticker"].shift(1)).fill_null(True).to_numpy())
        origin = quotes["date"].min()
        assert isinstance(origin, dt.date)
        return cls(
            origin,
            quotes["ticker"].gather(begins).to_list(),
            begins,
            _as_days(quotes["date"], origin),
            quotes["news"].to_numpy(),
        )

    def fits(self, exchange: str) -> Iterator[tuple[str, Fit]]:
        """Yield (ticker, fit) of the tickers whose first quote the calendar covers."""
        first, last = self.days[self.begins], self.days[np.append(self.begins[1:], len(self.days)) - 1]
        end = self.origin + dt.timedelta(days=int(self.days.max()))
        is_open = np.zeros(int(self.days.max()) + 1, dtype=bool)
        is_open[_as_days(sessions(exchange, self.origin, end), self.origin)] = True
        met = np.add.reduceat(is_open[self.days].astype(np.int64), self.begins)
        closed = np.add.reduceat((~is_open[self.days] & self.news).astype(np.int64), self.begins)
        until = np.cumsum(is_open)
        missing = until[last] - until[first] + is_open[first] - met
        covered = first >= (calendar_bounds(exchange)[0] - self.origin).days
        for k in np.flatnonzero(covered):
            yield self.tickers[k], Fit(exchange, int(closed[k]), int(missing[k]))


def _as_days(dates: pl.Series, origin: dt.date) -> NDArray[np.int64]:
    return dates.cast(pl.Int32).to_numpy().astype(np.int64) - (origin - dt.date(1970, 1, 1)).days


class _Placing:
    """Decides on one ticker at a time."""

    def __init__(self, spec: PanelSpec) -> None:
        self.regions = spec.regions

    def place(self, row: dict[str, Any], fits: list[Fit] | None) -> dict[str, Any]:
        """Return the columns ``PLACED`` of a ticker from its facts and, where it is in doubt, its fits."""
        placed = {name: row.get(name) for name in PLACED} | {"exchange": row["named"]}
        placed["settled"] = row["last"] if row["count"] >= FIRST_QUOTES else None
        if refusal := _too_sparse(row):
            return placed | {"exchange": None, "refusal": refusal}
        if fits is None and row["named"] is None and row["assigned_by"] != "declared":
            quotes = f"{row['count']} quotes" if row["count"] > 1 else "one quote"
            why = f"the name of {row['ticker']} says no exchange, and none can be inferred from the dates of {quotes}"
            return placed | {"refusal": f"{why}; add to {declaration(row['ticker'])} {EXAMPLES}"}
        if fits is None:
            guessed = row["assigned_by"] == "guess"
            return placed | {"evidence": _untold(row, row["named"]) if guessed else None}
        own = next((fit for fit in fits if fit.exchange == row["named"]), None)
        if row["assigned_by"] not in WEAK:
            refusal = _contradicted(row, own, fits)
            return placed | ({"exchange": None, "refusal": refusal} if refusal else {})
        if own is not None and not _is_in_doubt(row, own, fits):
            return placed | {"evidence": _untold(row, own.exchange) if row["assigned_by"] == "guess" else None}
        best = self._coin(row, own, fits) or self._only(row, fits)
        if best is not None and best != own:
            return placed | {"exchange": best.exchange, "assigned_by": "dates", "evidence": _evidence(row, own, best)}
        if own is not None and row["count"] < FIRST_QUOTES and not _is_gross(row, own):
            return placed | {"evidence": _kept(row, own)}
        return placed | {"exchange": None, "refusal": self._unplaced(row, own, fits)}

    def _only(self, row: dict[str, Any], fits: list[Fit]) -> Fit | None:
        """Return the one calendar that fits, if there is one; the first of those that share a clock and a region."""
        best = fits[0]
        others = [fit for fit in fits if self._place_of(fit) != self._place_of(best)]
        fitting = best.closed <= 0.01 * row["count"] and best.missing <= MISSING_SHARE * row["count"]
        alone = all(fit.mismatches >= best.mismatches + MARGIN for fit in others)
        return best if fitting and alone else None

    def _place_of(self, fit: Fit) -> tuple[str, str]:
        return time_zone(fit.exchange), self.regions[fit.exchange]

    def _coin(self, row: dict[str, Any], own: Fit | None, fits: list[Fit]) -> Fit | None:
        """Return the calendar of every day for a coin's symbol whose dates do not contradict it."""
        daily = next((fit for fit in fits if fit.exchange == COINS_CALENDAR), None)
        if not row["coin"] or daily is None or own is None:
            return None
        return daily if daily.mismatches <= own.mismatches else None

    def _unplaced(self, row: dict[str, Any], own: Fit | None, fits: list[Fit]) -> str:
        """Return why no calendar is assigned, and what to type."""
        ticker, count = row["ticker"], row["count"]
        if own is None:
            why = f"the name of {ticker} says no exchange"
        else:
            why = f"{own.closed} of the first {count} quotes of {ticker} are on days {own.exchange} is closed"
        best = fits[0] if fits else None
        alike = [fit.exchange for fit in fits if fit.mismatches < fits[0].mismatches + MARGIN]
        if best is None or best.closed > 0.01 * count or best.missing > MISSING_SHARE * count:
            nearest = f"; the nearest is {best}" if best else ""
            return f"{why}, and no calendar fits its dates{nearest}; correct the dates, or add to {declaration(ticker)}"
        if len(alike) <= 5:
            named, example = ", ".join(alike), declaration(ticker, alike[0])
        else:
            named = f"{len(alike)} calendars"
            example = f"{declaration(ticker)} {EXAMPLES}"
        return f"{why}, and its dates (the first {_quotes(count)}) fit {named} alike; add to {example}"


def _as_published(placed: dict[str, Any], exchange: str | None) -> dict[str, Any]:
    """Return what was decided on a ticker, or the ``exchange`` it was published with where dates alone would change that."""
    if exchange in (None, placed["exchange"]) or placed["assigned_by"] not in (*WEAK, "dates"):
        return placed
    now = placed["evidence"] or placed["refusal"]
    kept = f"{exchange}, as its earlier rows were published, although later ones say otherwise: {now}"
    return placed | {"exchange": exchange, "assigned_by": "default", "evidence": kept, "refusal": None}


def _too_sparse(row: dict[str, Any]) -> str | None:
    if row["count"] < FEWEST_QUOTES or row["gap"] < WEEKLY_GAP:
        return None
    kind = "monthly" if row["gap"] >= MONTHLY_GAP else "weekly"
    return (
        f"the first {_quotes(row['count'])} of {row['ticker']} are {row['gap']:g} days apart: {kind} bars, and most "
        "sessions would be filled; give daily ones"
    )


def _contradicted(row: dict[str, Any], own: Fit | None, fits: list[Fit]) -> str | None:
    """Return why the dates contradict an exchange that the name says, with what to type; None: they do not."""
    if own is None:
        return None
    better = [f for f in fits if f.closed == 0 and f.mismatches + MARGIN <= own.mismatches]
    if not better and own.closed <= CLOSED_SHARE * row["count"]:
        return None
    fitting = [fit for fit in better if fit.missing <= MISSING_SHARE * row["count"]]
    nearest = fitting[0] if fitting else own
    by = {"column": "its exchange column", "suffix": "its suffix", "symbol": "its symbol"}[row["assigned_by"]]
    return (
        f"{row['ticker']} is on {own.exchange} by {by}, but {own.closed} of its first {_quotes(row['count'])} are on days "
        f"{own.exchange} is closed"
        + (f", none on days {nearest.exchange} is" if fitting else "")
        + "; correct the dates, "
        f"or add to {declaration(row['ticker'], nearest.exchange)}"
    )


def _is_in_doubt(row: dict[str, Any], own: Fit, fits: list[Fit]) -> bool:
    """Return whether the first quotes are on days the default is closed, in a way that another calendar explains."""
    if row["coin"]:
        daily = next((fit for fit in fits if fit.exchange == COINS_CALENDAR), None)
        if daily is not None and own.closed == 0:
            return daily.missing < MARGIN  # no weekend was left out: nothing shows that it is a share
        if daily is not None and daily.mismatches < own.mismatches:
            return True
    better = [fit for fit in fits if fit.mismatches < own.mismatches]
    if own.closed < 3:
        return own.closed == 2 and any(fit.closed == 0 for fit in better)
    return bool(better) or _is_gross(row, own)


def _is_gross(row: dict[str, Any], own: Fit) -> bool:
    return own.closed >= 3 and own.closed > CLOSED_SHARE * row["count"]


def _untold(row: dict[str, Any], exchange: str) -> str:
    return (
        f"{exchange} by default: its name says no exchange, and its dates (the first {_quotes(row['count'])}) do not "
        f"contradict it; where it is another, add to {declaration(row['ticker'])}"
    )


def _kept(row: dict[str, Any], own: Fit) -> str:
    return (
        f"{own.exchange} by default, although {own.closed} of its first {_quotes(row['count'])} are on days it is closed: "
        f"too few to tell; where it is another, add to {declaration(row['ticker'])}"
    )


def _evidence(row: dict[str, Any], own: Fit | None, best: Fit) -> str:
    first = f"its first {_quotes(row['count'])}"
    if own is None:
        return f"{best.exchange} by its dates: its name says no exchange, and {first} fit {best} alone"
    if own.closed == 0:
        return f"{best.exchange} by its symbol, a coin's: {first} leave out no weekend"
    return (
        f"{best.exchange} by its dates: {own.closed} of {first} are on days {own.exchange} is closed, {best.closed} on days "
        f"{best.exchange} is"
    )


def _quotes(count: int) -> str:
    return f"{count} quotes" if count > 1 else "quote"


def settle(rows: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` (usable ones of some tickers, in any order) with each ticker's exchange, ``reason`` and ``class``.

    Drops ``assigned_by``. A row has a reason where its ticker is refused, where it is before the first day of its
    calendar, and where its own column says another exchange than the ticker's.
    """
    joined = rows.join(
        placed.select("ticker", "refusal", home="exchange", by="assigned_by"),
        on="ticker",
        how="left",
        maintain_order="left",
    ).with_columns(home=pl.when(pl.col("refusal").is_null()).then(pl.coalesce("home", "exchange")))
    is_refused = pl.col("refusal").is_not_null()
    overruled = pl.col("assigned_by").is_in(WEAK) | (pl.col("by") == "declared").fill_null(False)
    moved = (~overruled & (pl.col("exchange") != pl.col("home"))).fill_null(False)
    begins = {mic: calendar_bounds(mic)[0] for mic in joined["home"].drop_nulls().unique()}
    is_early = (pl.col("date") < pl.col("home").replace_strict(begins, default=None, return_dtype=pl.Date)).fill_null(
        False
    )
    marked = joined.with_columns(is_refused=is_refused, moved=moved, early=is_early, exchange="home", said="exchange")
    is_bad = pl.col("is_refused") | pl.col("moved") | pl.col("early")
    good = marked.filter(~is_bad).with_columns(reason=pl.lit(None, dtype=pl.String), **{"class": pl.lit("invalid")})
    changed = pl.format("{} is on {}, but on {} before; give it another ticker", "ticker", "said", "home")
    begin = pl.col("home").replace_strict(begins, default=None, return_dtype=pl.Date)
    early = pl.format("the calendar of {} begins on {}: there is no session to place this row on", "home", begin)
    bad = marked.filter(is_bad).with_columns(
        reason=pl.when("is_refused").then("refusal").when("moved").then(changed).otherwise(early),
        **{
            "class": pl.when(pl.col("moved") & ~pl.col("is_refused"))
            .then(pl.lit("invalid"))
            .otherwise(pl.lit("refused"))
        },
    )
    return pl.concat([good, bad]).drop("home", "by", "refusal", "assigned_by", "is_refused", "moved", "early", "said")
