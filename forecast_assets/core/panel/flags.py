"""Flags of accepted rows that look odd, and of what was decided on tickers and exchanges by names and dates."""

import datetime as dt

import polars as pl

from forecast_assets.core.horizons import HORIZONS, LOOK_AHEAD
from forecast_assets.core.panel.indicators import is_misprinted
from forecast_assets.core.panel.rows import PRICES
from forecast_assets.core.panel.sessions import (
    calendar_bounds,
    closed_days,
    ending_calendars,
    ending_sentence,
    sessions,
)
from forecast_assets.core.specs import PanelSpec

SPLITS = (*((n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)), (3, 2), (5, 2))
"""Ratios of splits that are looked for; as fractions of new shares for old ones, and the other way round."""
SMALLEST_SPLIT = 0.35  # |log| of a gap from which it may be one: of 3:2 it is 0.405
SPLIT_TOLERANCE = 0.045  # largest |log| of the night's own return beside the ratio
FLAG = {"ticker": pl.String, "date": pl.Date, "flag": pl.String, "detail": pl.String}


def find_flags(
    accepted: pl.DataFrame, *, begin: dt.date, end: dt.date, rescaled: pl.DataFrame, spec: PanelSpec
) -> pl.DataFrame:
    """Return (ticker, date, flag, detail), sorted, of some tickers of a raw panel from ``begin`` to ``end``.

    ``date`` is null where the whole ticker is meant. Flags: without_volume (one per series of rows), large_return,
    likely_split, outside_range (open or close beyond high and low, or a misprinted high or low), special_session (a quote
    with volume on a closed day), new_ticker, ended_ticker, sector_missing, rescaled_drop.
    """
    found = [
        _without_volume(accepted),
        _large_returns(accepted, spec.large_return),
        _likely_splits(accepted),
        _outside_range(accepted),
        _special_sessions(accepted),
        _first_and_last(accepted, begin, end, spec.ended_after_sessions),
        accepted.filter(pl.col("sector").is_null())
        .group_by("ticker")
        .agg(detail=pl.format("{} rows without a sector", pl.len()))
        .select("ticker", _no_date(), flag=pl.lit("sector_missing"), detail="detail"),
        rescaled.select(
            "ticker",
            _no_date(),
            flag=pl.lit("rescaled_drop"),
            detail=_rescaled_detail(),
        ),
    ]
    return pl.concat(found).sort("flag", "ticker", "date")


def _rescaled_detail() -> pl.Expr:
    others = pl.when(pl.col("later_files") > 0).then(pl.format(", as were those of {} later files", "later_files"))
    return pl.format(
        "{} is on another adjustment basis ({}, shown by {} shared rows); its prices were divided by {}{}",
        "file",
        "cause",
        "rows",
        pl.col("factor").round_sig_figs(7),
        others.otherwise(pl.lit("")),
    )


def flags_of_exchanges(
    spans: pl.DataFrame, *, placed: pl.DataFrame, special: pl.DataFrame, calendar_days: int
) -> pl.DataFrame:
    """Return (ticker, date, flag, detail) of what was decided for whole tickers and exchanges.

    ``spans``: exchange, ticker, first and last date of the accepted rows; ``placed``: see ``place_tickers``; ``special``:
    see ``special_sessions``. Flags: exchange_by_dates (the name does not say the exchange), exchange_in_doubt (nothing
    bears out the default), lone_ticker, and without a ticker confirmed_session (one per day) and, one per exchange,
    projected_sessions or calendar_ends (within ``calendar_days`` of its last row).
    """
    what = pl.when(pl.col("assigned_by") == "dates").then(pl.lit("by_dates")).otherwise(pl.lit("in_doubt"))
    shown = placed.filter(pl.col("evidence").is_not_null()).join(spans, on="ticker", how="semi")
    alone = spans.filter(pl.len().over("exchange") == 1)
    lone = pl.format(
        "the only ticker of {}: its ranks within the exchange are 0, its market return is its own, and its quotes alone "
        "make a special session of a weekday on which the exchange is closed",
        "exchange",
    )
    confirmed = pl.format("{} is closed, but {} of its {} live tickers traded: a session", "exchange", "traded", "live")
    found = [
        shown.select("ticker", _no_date(), flag=pl.lit("exchange_").add(what), detail="evidence"),
        alone.select("ticker", _no_date(), flag=pl.lit("lone_ticker"), detail=lone),
        special.filter(pl.col("live") > 1)
        .join(spans, on="exchange", how="semi")
        .select(_no_ticker(), "date", flag=pl.lit("confirmed_session"), detail=confirmed),
        _ending_calendars(spans, days=calendar_days),
    ]
    return pl.concat(found)


def _ending_calendars(spans: pl.DataFrame, *, days: int) -> pl.DataFrame:
    """Flag exchanges whose calendar ends before the longest horizon of their last row does, or some days after it."""
    found = []
    for exchange, last in spans.group_by("exchange").agg(pl.max("last")).sort("exchange").iter_rows():
        ends = calendar_bounds(exchange)[1]
        needed = sessions(exchange, last, last + LOOK_AHEAD)[HORIZONS[-1]]
        if needed > ends:
            detail = (
                f"the calendar of {exchange} ends on {ends}; sessions to {needed} are projected from its weekdays and the "
                "holidays that recur each year: a newer exchange_calendars knows them"
            )
            found.append((None, last, "projected_sessions", detail))
        elif ending := ending_calendars([exchange], by=last + dt.timedelta(days=days)):
            found.append((None, last, "calendar_ends", ending_sentence(ending)))
    return pl.DataFrame(found, schema=FLAG, orient="row")


def _no_ticker() -> pl.Expr:
    return pl.lit(None, dtype=pl.String).alias("ticker")


def _no_date() -> pl.Expr:
    return pl.lit(None, dtype=pl.Date).alias("date")


def _without_volume(accepted: pl.DataFrame) -> pl.DataFrame:
    silent = (pl.col("volume").is_null() | (pl.col("volume") == 0)).alias("silent")
    runs = (
        accepted.select("ticker", "date", silent)
        .with_columns(run=pl.struct("ticker", "silent").rle_id())
        .filter("silent")
        .group_by("run", "ticker")
        .agg(date=pl.min("date"), last=pl.max("date"), rows=pl.len())
    )
    detail = pl.format("{} rows with zero or missing volume, to {}", "rows", "last")
    return runs.select("ticker", "date", flag=pl.lit("without_volume"), detail=detail)


def _large_returns(accepted: pl.DataFrame, limit: float) -> pl.DataFrame:
    change = (pl.col("close") / pl.col("close").shift(1) - 1).over("ticker")
    large = accepted.select("ticker", "date", change=change).filter(pl.col("change").abs() > limit)
    detail = pl.format("close changed by {} % in one session", (100 * pl.col("change")).round(2))
    return large.select("ticker", "date", flag=pl.lit("large_return"), detail=detail)


def _likely_splits(accepted: pl.DataFrame) -> pl.DataFrame:
    """Flag opens that lie a plain split ratio from the last close, in either direction: prices that are not adjusted."""
    gap = (pl.col("open") / pl.col("close").shift(1)).log().over("ticker")
    large = accepted.select("ticker", "date", gap=gap).filter(pl.col("gap").abs() > SMALLEST_SPLIT)
    if large.is_empty():
        return large.select("ticker", "date", flag=pl.lit("likely_split"), detail=pl.lit(""))
    ratios = pl.DataFrame(
        {"ratio": [new / old for new, old in SPLITS], "split": [f"{new}:{old}" for new, old in SPLITS]}
    )
    found = (
        large.join(ratios, how="cross")
        .with_columns(off=(pl.col("gap").abs() - pl.col("ratio").log()).abs())
        .filter(pl.col("off") < SPLIT_TOLERANCE)
        .sort("ticker", "date", "off")
        .unique(["ticker", "date"], keep="first", maintain_order=True)
    )
    detail = pl.format(
        "the open is {} of the last close: looks like a {}{} split in prices that are not adjusted for it",
        pl.col("gap").exp().round(4),
        "split",
        pl.when(pl.col("gap") > 0).then(pl.lit(" reverse")).otherwise(pl.lit("")),
    )
    return found.select("ticker", "date", flag=pl.lit("likely_split"), detail=detail)


def _outside_range(accepted: pl.DataFrame) -> pl.DataFrame:
    slack = 1e-6  # prices are often delivered in single precision
    above = pl.max_horizontal("open", "close") > pl.col("high") * (1 + slack)
    below = pl.min_horizontal("open", "close") < pl.col("low") * (1 - slack)
    crossed = pl.col("high") < pl.col("low")
    beyond = accepted.filter((above | below | crossed).fill_null(False) | is_misprinted())
    detail = pl.format("open {}, high {}, low {}, close {}", *PRICES)
    return beyond.select("ticker", "date", flag=pl.lit("outside_range"), detail=detail)


def _special_sessions(accepted: pl.DataFrame) -> pl.DataFrame:
    special = accepted.join(closed_days(accepted), on=["exchange", "date"], how="semi")
    detail = pl.format("{} is closed on this day but has a quote with volume: a session is added", "exchange")
    return special.select("ticker", "date", flag=pl.lit("special_session"), detail=detail)


def _first_and_last(accepted: pl.DataFrame, begin: dt.date, end: dt.date, ended_after: int) -> pl.DataFrame:
    """Flag tickers that begin after the panel, or end more than ``ended_after`` sessions before it."""
    found = []
    spans = accepted.group_by("ticker", "exchange").agg(first=pl.min("date"), last=pl.max("date"))
    for row in spans.iter_rows(named=True):
        days = sessions(row["exchange"], begin, end)
        before, after = int((days < row["first"]).sum()), int((days > row["last"]).sum())
        if before > 0:
            detail = f"first quote, {before} sessions of {row['exchange']} after the panel's start"
            found.append((row["ticker"], row["first"], "new_ticker", detail))
        if after > ended_after:
            detail = f"last quote; {row['exchange']} has {after} sessions after it: delisted, or the feed stopped"
            found.append((row["ticker"], row["last"], "ended_ticker", detail))
    return pl.DataFrame(found, schema=FLAG, orient="row")
