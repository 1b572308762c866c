"""What was true of a ticker on a date: members of the universe and sector labels, from files that say from when.

A row of the panel is given what held on its own date, so that a later change of a file reaches no earlier row.
"""

import datetime as dt
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput

UNIVERSE: dict[str, pl.DataType | type[pl.DataType]] = {"ticker": pl.String, "first": pl.Date, "last": pl.Date}
"""A spell of membership, both days included; ``last`` is null while it goes on."""
SECTORS: dict[str, pl.DataType | type[pl.DataType]] = {"ticker": pl.String, "sector": pl.String, "first": pl.Date}
"""A label and the first day it holds; it holds until the ticker's next one."""
ISO = r"^\d{4}-\d{2}-\d{2}$"
UNIVERSE_FACTS = ("members_today", "members_ever", "members_by_year", "universe_without_prices", "universe_unpriced")
"""Names of the facts that reports print; see ``Membership.facts``."""
NAMED = 10  # tickers that a sentence names at most


def read_universe(path: Path) -> pl.DataFrame:
    """Read a CSV ``Ticker, From, To`` of spells of membership: ``UNIVERSE``, by ticker and date.

    Raises BadInput naming the first line that can't be used: a date that is not ISO, ``From`` after ``To``, or a spell that
    overlaps another one of its ticker.
    """
    table = _read(path, texts=("Ticker",), dates=("From", "To"), what="universe")
    spells = table.rename({"Ticker": "ticker", "From": "first", "To": "last"}).sort("ticker", "first", "line")
    _refuse(path, spells, pl.col("first") > pl.col("last"), "From is after To")
    same = pl.col("ticker") == pl.col("ticker").shift(1)
    # An open spell ends the comparison: null, so the next one overlaps.
    apart = (pl.col("first") > pl.col("last").shift(1)).fill_null(False)
    _refuse(path, spells, same & ~apart, "the spell overlaps another one of its ticker (To is its last day)")
    return spells.select(list(UNIVERSE))


def read_sectors(path: Path) -> pl.DataFrame:
    """Read a CSV ``Ticker, Sector, From`` of labels: ``SECTORS``, by ticker and date.

    An empty sector says that none is known from that day on. Raises BadInput naming the first line that can't be used.
    """
    table = _read(path, texts=("Ticker", "Sector"), dates=("From",), what="sector")
    labels = table.rename({"Ticker": "ticker", "Sector": "sector", "From": "first"}).sort("ticker", "first", "line")
    again = (pl.col("ticker") == pl.col("ticker").shift(1)) & (pl.col("first") == pl.col("first").shift(1))
    _refuse(path, labels, again, "the ticker has another label from the same day")
    return labels.select(list(SECTORS))


def mark_members(calendar_panel: pl.DataFrame, universe: pl.DataFrame | None) -> pl.DataFrame:
    """Return ``calendar_panel`` with ``is_member``: whether the row's day is in a spell; always, without a ``universe``.

    A ticker that the universe does not list is never a member. Rows stay in their order.
    """
    if universe is None:
        return calendar_panel.with_columns(is_member=pl.lit(True))
    spell = _as_of(calendar_panel, universe)
    is_member = spell["first"].is_not_null() & (spell["last"].is_null() | (calendar_panel["date"] <= spell["last"]))
    return calendar_panel.with_columns(is_member=is_member)


def label_sectors(calendar_panel: pl.DataFrame, sectors: pl.DataFrame | None) -> pl.DataFrame:
    """Return ``calendar_panel`` with the label that holds on each row's day, null before the first; as it is without any."""
    if sectors is None:
        return calendar_panel
    return calendar_panel.with_columns(sector=_as_of(calendar_panel, sectors)["sector"])


def known_by(table: pl.DataFrame | None, day: dt.date | None) -> pl.DataFrame | None:
    """Return what of a universe or of sector labels had happened by ``day``: an end that lies ahead is not known yet."""
    if table is None or day is None:
        return table
    past = table.filter(pl.col("first") <= day)
    if "last" not in past.columns:
        return past
    return past.with_columns(last=pl.when(pl.col("last") < day).then(pl.col("last")))


def require_members(universe: pl.DataFrame, tickers: pl.Series, *, first: dt.date, last: dt.date) -> None:
    """Raise BadInput where the universe has none of the panel's ``tickers`` as a member from ``first`` to ``last``."""
    listed = universe.filter(pl.col("ticker").is_in(tickers.implode()))
    if listed.is_empty():
        raise BadInput(
            f"universe: none of its {universe['ticker'].n_unique()} tickers ({_named(universe['ticker'])}) is in the panel, "
            f"which has {_named(tickers)}; write tickers as the panel does"
        )
    if listed.filter((pl.col("first") <= last) & (pl.col("last").is_null() | (pl.col("last") >= first))).is_empty():
        raise BadInput(
            f"universe: none of the panel's tickers is a member between {first} and {last}, the panel's first and last day; "
            "correct From and To"
        )


class Membership:
    """Counts the members of a calendar panel as its parts pass."""

    def __init__(self) -> None:
        self._ever: list[str] = []
        self._never: list[str] = []
        self._years: dict[int, int] = {}

    def add(self, part: pl.DataFrame) -> None:
        """Add the next part: whole tickers."""
        ever = part.group_by("ticker").agg(pl.any("is_member")).sort("ticker")
        self._ever += ever.filter("is_member")["ticker"].to_list()
        self._never += ever.filter(~pl.col("is_member"))["ticker"].to_list()
        years = part.filter("is_member").group_by(pl.col("date").dt.year()).agg(pl.col("ticker").n_unique())
        for year, count in years.iter_rows():
            self._years[year] = self._years.get(year, 0) + count

    def facts(self, universe: pl.DataFrame, *, today: dt.date) -> dict[str, int | str]:
        """Return what is to be known of the ``universe`` on the panel's last day ``today``.

        Tickers that it lists and the panel lacks are the survivors' bias that is left, so they are named.
        """
        now = universe.filter((pl.col("first") <= today) & (pl.col("last").is_null() | (pl.col("last") >= today)))
        known = pl.Series("ticker", [*self._ever, *self._never], dtype=pl.String).implode()
        absent = universe.filter(~pl.col("ticker").is_in(known))["ticker"].unique().sort()
        return {
            "members_today": now.filter(pl.col("ticker").is_in(known))["ticker"].n_unique(),
            "members_ever": len(self._ever),
            "members_by_year": ", ".join(f"{year}: {self._years[year]}" for year in sorted(self._years)),
            "tickers_never_members": len(self._never),
            "universe_without_prices": len(absent),
            "universe_unpriced": _named(absent),
        }


def sector_facts(sectors: pl.DataFrame, tickers: pl.Series) -> dict[str, int | str]:
    """Return how the sector labels fit the panel's ``tickers``."""
    listed = sectors["ticker"].unique().sort()
    absent = listed.filter(~listed.is_in(tickers.implode()))
    changes = sectors.group_by("ticker").agg(pl.col("sector").n_unique().alias("labels")).filter(pl.col("labels") > 1)
    return {
        "sectors_relabelled": changes.height,
        "tickers_without_sector": int((~tickers.is_in(listed.implode())).sum()),
        "sectors_without_prices": len(absent),
        "sectors_unpriced": _named(absent),
    }


def _read(path: Path, *, texts: tuple[str, ...], dates: tuple[str, ...], what: str) -> pl.DataFrame:
    """Read a CSV of text columns and ISO dates, which may be empty but for ``Ticker`` and ``From``, with its ``line``."""
    try:
        raw = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a readable CSV of a {what} file ({str(error).splitlines()[0]})") from error
    wanted = (*texts, *dates)
    if missing := [name for name in wanted if name not in raw.columns]:
        raise BadInput(
            f"{path}: missing columns {missing}; a {what} file has {', '.join(wanted)}, this one {', '.join(raw.columns)}"
        )
    if raw.is_empty():
        raise BadInput(f"{path}: the {what} file has no rows; leave it out, or list the tickers")
    text = raw.with_row_index("line", offset=2).with_columns(pl.col(wanted).str.strip_chars().replace("", None))
    for name in ("Ticker", "From"):
        _refuse(path, text, pl.col(name).is_null(), f"{name} is empty")
    table = text.select(
        "line", *texts, *(pl.col(name).str.to_date("%Y-%m-%d", strict=False).alias(name) for name in dates)
    )
    for name in dates:
        given = text[name].is_not_null() & ~(text[name].str.contains(ISO) & table[name].is_not_null())
        _refuse(path, text.filter(given), pl.lit(True), f"{name} is not a date like 2024-01-31")
    return table


def _refuse(path: Path, table: pl.DataFrame, wrong: pl.Expr, what: str) -> None:
    """Raise BadInput for the first line where ``wrong`` holds."""
    lines = table.filter(wrong.fill_null(False))["line"].sort()
    if len(lines):
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        raise BadInput(f"{path}: line {lines[0]}{more}: {what}; correct the file")


def _as_of(calendar_panel: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return the row of ``table`` with the latest ``first`` up to each row's date, of its ticker; null without one."""
    keys = calendar_panel.select("ticker", "date").with_row_index("place").sort("date")
    found = keys.join_asof(
        table.sort("first").with_columns(begin="first"),
        left_on="date",
        right_on="begin",
        by="ticker",
        check_sortedness=False,
    )
    return found.sort("place")


def _named(tickers: pl.Series) -> str:
    names = tickers.unique().sort().to_list()
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
