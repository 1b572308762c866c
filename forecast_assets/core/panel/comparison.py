"""What differs between two versions of one table, column by column, with the first row that does."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

KEY = ["ticker", "date"]
ROWS = "rows"
"""Stands for a column where rows are in one of the tables alone."""


@dataclass(frozen=True)
class Change:
    """The rows in which one column differs, and the first of them by date and ticker."""

    count: int
    ticker: str
    date: dt.date
    was: Any
    now: Any


def compare(
    whole: pl.DataFrame, other: pl.DataFrame, *, tolerance: float = 0.0, slack: pl.DataFrame | None = None
) -> dict[str, Change]:
    """Return column -> Change from ``whole`` to ``other``, tables with one row per ticker and date, sorted by them.

    Rows of one table alone are counted under ``ROWS``; columns are compared on the rows of both. Missing equals missing.
    Numbers may differ by ``tolerance`` times the larger of both, and an entry by what ``slack``, which has the rows and
    columns of ``whole``, says: a number, or infinity for anything.
    """
    found = {}
    if not whole.select(KEY).equals(other.select(KEY)):
        gone, new = (a.select(KEY).join(b, on=KEY, how="anti") for a, b in ((whole, other), (other, whole)))
        moved = pl.concat([gone.with_columns(was=True), new.with_columns(was=False)]).sort("date", "ticker")
        if moved.height:
            first = moved.row(0, named=True)
            words = ("there", "not there") if first["was"] else ("not there", "there")
            found[ROWS] = Change(moved.height, first["ticker"], first["date"], *words)
        whole, other = (
            a.join(b, on=KEY, how="semi", maintain_order="left") for a, b in ((whole, other), (other, whole))
        )
    if slack is not None and slack.height != whole.height:
        slack = slack.join(whole, on=KEY, how="semi", maintain_order="left")
    for name in _values(whole.columns):
        theirs = other[name] if name in other.columns else pl.Series(name, [None] * other.height, dtype=pl.Null)
        differs = _differs(whole[name], theirs, tolerance=tolerance, slack=None if slack is None else slack[name])
        if change := _first(whole.select(KEY), whole[name], theirs, differs):
            found[name] = change
    return found


def without_open_holes(whole: pl.DataFrame, short: pl.DataFrame) -> pl.DataFrame:
    """Return ``whole`` without the filled rows (``is_missing``) that ``short``, made from rows up to a cut, lacks.

    A hole at the cut is not known to be one yet.
    """
    if "is_missing" not in whole.columns:
        return whole
    open_holes = whole.join(short, on=KEY, how="anti").filter("is_missing")
    return whole.join(open_holes, on=KEY, how="anti", maintain_order="left")


def _differs(ours: pl.Series, theirs: pl.Series, *, tolerance: float, slack: pl.Series | None) -> pl.Series:
    """Mark the entries that differ, (n,) each."""
    if ours.dtype != theirs.dtype:  # numbers of two kinds, or a column that is empty in one version
        both = pl.Float64 if all(s.dtype.is_numeric() or s.dtype == pl.Null for s in (ours, theirs)) else pl.String
        ours, theirs = ours.cast(both), theirs.cast(both)
    differs = ours.ne_missing(theirs)
    if slack is not None:
        differs = differs & (slack != float("inf"))
    if ours.dtype.is_numeric() and (tolerance or slack is not None):
        a, b = ours.cast(pl.Float64), theirs.cast(pl.Float64)
        size = pl.DataFrame({"a": a.abs(), "b": b.abs()}).select(pl.max_horizontal("a", "b")).to_series()
        close = (a - b).abs() <= tolerance * size + (0.0 if slack is None else slack)
        differs = differs & ~(close & size.is_finite()).fill_null(False)  # a number is never close to infinity
    return differs


def _first(keys: pl.DataFrame, was: pl.Series, now: pl.Series, differs: pl.Series) -> Change | None:
    rows = keys.with_columns(place=pl.int_range(pl.len())).filter(differs)
    if not rows.height:
        return None
    first = rows.sort("date", "ticker").row(0, named=True)
    place = first["place"]
    return Change(rows.height, first["ticker"], first["date"], was[place], now[place])


def _values(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in KEY]
