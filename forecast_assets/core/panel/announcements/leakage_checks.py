"""Leakage checks of the announcements, see ``core.panel.leakage_checks``.

A whole run is checked on some tickers, with parameters fitted again from the changed rows. A run that goes on from an
earlier one is checked against it: what it computed again of rows that were there before has to be the same.
"""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.announcements.build import KEYS, Announcements, Cut
from forecast_assets.core.panel.contracts import CalendarPanel
from forecast_assets.core.panel.leakage_checks import LeakageCheck, check_leakage, cut_day, sample

TICKERS = 12  # of the sample, as evenly spaced
YEARS = 5  # at the panel's end


def announcement_leakage(calendar_panel: pl.LazyFrame) -> dict[str, LeakageCheck]:
    """Check all columns by truncation and poison, on some tickers and the last years of the panel."""
    last: dt.date = calendar_panel.select(pl.max("date")).collect(engine="streaming").item()
    recent = calendar_panel.filter(pl.col("date") >= dt.date(last.year - YEARS, 1, 1))
    rows = _sample(recent)
    return check_leakage(rows, lambda part: _infer(part, None), cut=cut_day(rows["date"]))


def continued_leakage(
    calendar_panel: pl.LazyFrame, begins: Cut, *, until: dt.date, new: pl.DataFrame, old: pl.DataFrame
) -> dict[str, LeakageCheck]:
    """Check a run that went on from ``begins``; up to ``until`` its calendar panel has the same quotes as the earlier one's.

    Truncation compares its ``new`` rows up to ``until`` with those of the earlier run, ``old``, which saw none of the later
    ones; a hole at its end was not known to be one yet, so filled rows may be new. Poison goes on from ``begins`` again with
    garbage after ``until``, on some tickers.
    """
    keys = list(KEYS)
    before = new.filter(pl.col("date") <= until)
    filled = calendar_panel.filter("is_missing", pl.col("date") <= until).select(keys).collect()
    gone = old.filter(pl.col("date") >= begins.date, pl.col("date") <= until).join(before, on=keys, how="anti")
    added = before.join(old, on=keys, how="anti").join(filled, on=keys, how="anti")
    same = before.join(old, on=keys, how="semi", maintain_order="left")
    pairs = same.select(keys).join(old, on=keys, how="left", maintain_order="left")
    differs = {name: int(same[name].ne_missing(pairs[name]).sum()) for name in same.columns}
    changed = {name: count for name, count in {"rows": gone.height + added.height, **differs}.items() if count}
    rows = _sample(calendar_panel.filter(pl.col("date") >= begins.reads_from))
    poisoned = check_leakage(rows, lambda part: _infer(part, begins), cut=until)["poison"]
    return {"truncation": LeakageCheck(until, same["ticker"].n_unique(), same.height, changed), "poison": poisoned}


def _sample(rows: pl.LazyFrame) -> pl.DataFrame:
    return sample(rows.select(list(CalendarPanel.columns())), tickers=TICKERS).sort("ticker", "date")


def _infer(part: pl.DataFrame, begins: Cut | None) -> pl.DataFrame:
    whole = part.sort("ticker", "date").rechunk()
    return pl.concat(Announcements(lambda: [whole], begins).parts())
