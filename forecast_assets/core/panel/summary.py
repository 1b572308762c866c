"""Summarise what was read: files and their layouts, rows by what became of them, exchanges, flags, what is too short."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from forecast_assets.core.panel.reasons import rejections
from forecast_assets.core.panel.sessions import sessions

EXAMPLES = 2  # rows shown of each reason and flag
SHOWN = 3  # names shown of a longer list
MOST = 8  # reasons shown
TICKERS = {
    "ticker": pl.String,
    "exchange": pl.String,
    "rows": pl.UInt32,
    "first": pl.Date,
    "last": pl.Date,
    "filled": pl.Int64,
    "breaks": pl.Int64,
}

Summary = Mapping[str, Any]
"""What ``summarise`` returns: plain values, as they are published."""


def ticker_facts(accepted: pl.DataFrame, *, max_fill_sessions: int) -> pl.DataFrame:
    """Return rows, first and last day, sessions that will be filled and breaks of each ticker, of whole tickers' rows."""
    found = []
    for (exchange,), rows in accepted.group_by("exchange"):
        name = str(exchange)
        days = sessions(name, rows.select(pl.min("date")).item(), rows.select(pl.max("date").alias("end")).item())
        place = pl.Series(days.search_sorted(rows["date"], side="right")).cast(pl.Int64)
        hole = (pl.col("place") - pl.col("place").shift(1) - 1).over("ticker").fill_null(0).clip(lower_bound=0)
        found.append(rows.with_columns(place=place).with_columns(hole=hole))
    short = pl.col("hole") <= max_fill_sessions
    return (
        pl.concat(found)
        .group_by("ticker", "exchange")
        .agg(
            rows=pl.len(),
            first=pl.min("date"),
            last=pl.max("date"),
            filled=pl.col("hole").filter(short).sum(),
            breaks=(~short).sum().cast(pl.Int64),
        )
        .sort("ticker")
        .cast(TICKERS)  # type: ignore[arg-type]
    )


def summarise(
    *,
    files: pl.DataFrame,
    left_out: Sequence[tuple[str, str]],
    rows_read: int,
    rows_later: int,
    tickers: pl.DataFrame,
    rejected: pl.DataFrame,
    flags: pl.DataFrame,
) -> Summary:
    """Return the summary of a reading. ``files``: name, layout, rows, notes of each file; ``tickers``: see ``Reading``."""
    accepted = int(tickers["rows"].sum())
    grid = accepted + int(tickers["filled"].sum())
    return {
        "layouts": _layouts(files),
        "left_out": [{"name": name, "reason": reason} for name, reason in left_out],
        "rows": {"read": rows_read, "accepted": accepted, "later": rows_later, "rejected": rejected.height},
        "rejected": rejections(rejected),
        "exchanges": _exchanges(tickers),
        "share_filled": (grid - accepted) / max(1, grid),
        "flags": _flags(flags),
    }


def too_short(tickers: pl.DataFrame, *, fewest_rows: int) -> list[str]:
    """Return a sentence about the tickers (``ticker_facts``) that have too few rows to be forecast; none where all have."""
    short = tickers.filter(pl.col("rows") < fewest_rows)
    if short.is_empty():
        return []
    examples = [f"{ticker} ({rows} rows)" for ticker, rows in short.head(SHOWN).select("ticker", "rows").iter_rows()]
    return [
        f"not forecast: {short.height:,} of {tickers.height:,} tickers, with fewer than {fewest_rows} rows: "
        f"{_listed(examples, more=short.height)}"
    ]


def _layouts(files: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the layouts, each with its files and what there is to say about reading them."""
    general = files.with_columns(
        notes=pl.col("notes").list.eval(pl.element().str.replace(r"^the ticker \S+ is", "each ticker is")).list.unique()
    )
    found = []
    for (layout,), part in general.group_by("layout", maintain_order=True):
        notes = part["notes"].explode().drop_nulls().unique(maintain_order=True)
        found.append(
            {
                "layout": layout,
                "files": part.height,
                "rows": int(part["rows"].sum()),
                "examples": part["name"].head(SHOWN).to_list(),
                "notes": notes.head(SHOWN).to_list(),
            }
        )
    return found


def _exchanges(tickers: pl.DataFrame) -> list[dict[str, Any]]:
    grouped = tickers.group_by("exchange").agg(
        pl.len().alias("tickers"),
        pl.col("rows").sum(),
        pl.col("filled").sum(),
        by_default=pl.col("assigned_by").is_in(["default", "guess"]).sum(),
        by_dates=(pl.col("assigned_by") == "dates").sum(),
        first=pl.col("first").min().cast(pl.String),
        last=pl.col("last").max().cast(pl.String),
    )
    return grouped.sort("tickers", "exchange", descending=[True, False]).to_dicts()


def _flags(flags: pl.DataFrame) -> list[dict[str, Any]]:
    found = []
    for (name,), rows in flags.group_by("flag", maintain_order=True):
        examples = rows.head(EXAMPLES).select("ticker", pl.col("date").cast(pl.String), "detail").to_dicts()
        found.append({"flag": name, "rows": rows.height, "tickers": rows["ticker"].n_unique(), "examples": examples})
    return sorted(found, key=lambda each: str(each["flag"]))


def without_forecast(tickers: pl.DataFrame, *, forecast: pl.Series) -> list[tuple[str, str]]:
    """Return a line about the tickers (``ticker_facts``) that are not in ``forecast``; none where all are."""
    absent = tickers.filter(~pl.col("ticker").is_in(forecast.implode()))
    if absent.is_empty():
        return []
    shown = absent.head(SHOWN).select("ticker", "rows", "last").iter_rows()
    examples = [f"{ticker} ({rows:,} rows, to {last})" for ticker, rows, last in shown]
    return [
        (
            "not forecast",
            f"{absent.height:,} of {tickers.height:,} tickers in these years, with too few rows before or no quote in them: "
            f"{_listed(examples, more=absent.height)}",
        )
    ]


FLAG_TITLES = {
    "calendar_ends": "the calendar of an exchange ends soon",
    "confirmed_session": "closed day on which its exchange's tickers traded",
    "ended_ticker": "ended, or its feed stopped",
    "exchange_by_dates": "exchange assigned by the dates",
    "exchange_in_doubt": "New York by default, and nothing bears it out",
    "large_return": "very large one-session returns",
    "likely_split": "likely splits in unadjusted prices",
    "lone_ticker": "the only ticker of its exchange",
    "mixed_basis": "open and close on two bases",
    "new_ticker": "begins after the panel",
    "outside_range": "open or close outside low and high",
    "projected_sessions": "sessions beyond the end of a calendar, projected",
    "rescaled_drop": "file on another adjustment basis, rescaled",
    "sector_missing": "without a sector",
    "special_session": "session on a day that the calendar calls closed",
    "without_volume": "stretches without volume",
}
"""What a flag means, for people; its key stands in the table."""
LOUD = (
    *("likely_split", "mixed_basis", "rescaled_drop", "special_session", "projected_sessions"),
    "calendar_ends",
    *("lone_ticker", "exchange_by_dates", "exchange_in_doubt"),
)
"""Flags whose first examples are shown in full."""


def summary_lines(summary: Summary) -> list[str]:
    """Return the summary as lines for a terminal."""
    return [f"{where}: {text}" if where else f"  {text}" for where, text in summary_rows(summary)]


def summary_rows(summary: Summary) -> list[tuple[str, str]]:
    """Return (what, text) of each line of the summary; a line that goes on from the one before has an empty ``what``."""
    rows = [("read", _files_text(each)) for each in summary["layouts"]]
    for each in summary["layouts"]:
        rows += [("", note) for note in each["notes"]]
    if summary["left_out"]:
        rows.append(("left out", _listed([f"{each['name']} ({each['reason']})" for each in summary["left_out"]])))
    counts = summary["rows"]
    later = f", {counts['later']:,} after the clock" if counts["later"] else ""
    rows.append(
        ("rows", f"{counts['read']:,} read, {counts['accepted']:,} accepted, {counts['rejected']:,} rejected{later}")
    )
    for each in summary["rejected"][:MOST]:
        rows.append(("rejected", f"{each['rows']:,} {each['class']}: {each['reason']}"))
        rows += [("", f"{one['file']} line {one['line']}: {one['row']}  ({one['reason']})") for one in each["examples"]]
    if rest := summary["rejected"][MOST:]:
        rows.append(("rejected", f"{sum(each['rows'] for each in rest):,} more, for {len(rest)} other reasons"))
    for each in summary["exchanges"]:
        of = f"{each['tickers']:,} ticker{'s' if each['tickers'] > 1 else ''}"
        rows.append(
            (each["exchange"], f"{of}, {each['first']} to {each['last']}, {each['rows']:,} rows{_rests_on(each)}")
        )
    rows.append(("filled", f"{summary['share_filled']:.2%} of the sessions between first and last quotes"))
    for each in summary["flags"]:
        title = FLAG_TITLES.get(each["flag"], each["flag"].replace("_", " "))
        rows.append(("flag", f"{each['rows']:,} x {title}, {each['tickers']:,} tickers ({each['flag']})"))
        if each["flag"] in LOUD:
            rows += [("", _example(one)) for one in each["examples"]]
    return rows


def _files_text(each: Mapping[str, Any]) -> str:
    count = f"{each['files']:,} files" if each["files"] > 1 else "1 file"
    return f"{count}, {each['layout']}, {each['rows']:,} rows: {_listed(each['examples'], more=each['files'])}"


def _rests_on(each: Mapping[str, Any]) -> str:
    """Return how many tickers are on an exchange without a word, suffix or symbol that says it."""
    parts = [
        f"{each[key]:,} {why}"
        for key, why in (("by_default", "by default, without a suffix or an exchange"), ("by_dates", "by their dates"))
        if each[key]
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _example(one: Mapping[str, Any]) -> str:
    day = f" {one['date']}" if one["date"] else ""
    return f"{one['ticker']}{day}: {one['detail']}"


def _listed(names: Sequence[str], *, more: int | None = None) -> str:
    total = len(names) if more is None else more
    rest = total - min(len(names), SHOWN)
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
