"""Reindex the panel to the sessions of its exchanges: short holes are filled and flagged, long ones end a segment."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.contracts import CalendarPanel, RawPanel, validate
from forecast_assets.core.panel.corrections import apply_corrections
from forecast_assets.core.panel.rows import COLUMNS
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.specs import PanelSpec


def reindex(raw: pl.DataFrame, *, spec: PanelSpec) -> pl.DataFrame:
    """Return the calendar panel: a row per ticker and session from its first to its last quote, by ticker and date.

    Every row is a member's: ``point_in_time.mark_members`` says otherwise where a universe is given.

    ``spec.calendar``: "exchange" takes the sessions of the ticker's own exchange, "union" those of all exchanges of the
    panel. A quote on a day outside its calendar (a special session that ingest accepted) adds that day, for "exchange" to
    its own exchange. A hole of at most ``spec.max_fill_sessions`` sessions is filled: the last close, ``is_missing``, and
    null for open, high, low and volume. A longer hole is left out and starts the next ``segment`` (0, 1, ... per ticker).
    Raises BadInput for an exchange without a calendar or a region.
    """
    return _reindex(raw, grid=_grid(quoted_days(raw), union=spec.calendar == "union"), spec=spec)


def reindex_parts(
    parts: Callable[[], Iterable[pl.DataFrame]], *, spec: PanelSpec
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield (calendar panel, corrections applied) of a raw panel that comes in ``parts`` of whole tickers.

    The declared corrections are applied first. ``parts`` is called twice: the days on which an exchange traded are
    known only from all its tickers together.
    """
    days = [quoted_days(apply_corrections(part, corrections=spec.corrections)[0]) for part in parts()]
    grid = _grid(pl.concat(days).unique(), union=spec.calendar == "union")
    for part in parts():
        corrected, report = apply_corrections(part, corrections=spec.corrections)
        yield _reindex(corrected, grid=grid, spec=spec), report


def quoted_days(raw: pl.DataFrame) -> pl.DataFrame:
    """Return (exchange, date) of every quote, each pair once."""
    return raw.select("exchange", "date").unique()


def _reindex(raw: pl.DataFrame, *, grid: pl.DataFrame, spec: PanelSpec) -> pl.DataFrame:
    validate(raw, RawPanel, "raw_panel")
    quoted = (
        raw.select(COLUMNS)
        .join(grid, on=["exchange", "date"], how="left")
        .sort("ticker", "date")
        .with_columns(hole=(pl.col("session") - pl.col("session").shift(1) - 1).over("ticker").fill_null(0))
    )
    quoted = quoted.with_columns(
        is_missing=pl.lit(False),
        segment=(pl.col("hole") > spec.max_fill_sessions).cum_sum().over("ticker").cast(pl.Int32),
    )
    # Only the holes are generated, never a full grid: filled rows are a small share of the panel.
    filled = (
        quoted.filter(pl.col("hole").is_between(1, spec.max_fill_sessions))
        .select(
            "ticker",
            "exchange",
            "segment",
            session=pl.int_ranges(pl.col("session") - pl.col("hole"), pl.col("session")),
            is_missing=pl.lit(True),
        )
        .explode("session")
        .join(grid, on=["exchange", "session"], how="left")
    )
    panel = pl.concat([quoted, filled], how="diagonal").sort("ticker", "date")
    # Carried by row, not by value: a quote without a sector must not take an earlier one's, or another ticker's. Each
    # ticker begins with a quote, so no row is carried across tickers.
    last_quote = pl.when(~pl.col("is_missing")).then(pl.int_range(pl.len())).forward_fill()
    panel = panel.with_columns(
        pl.col("close", "sector").gather(last_quote),
        region=_region(panel["exchange"].unique(), spec),
        is_member=pl.lit(True),
    )
    return validate(
        panel.select(*COLUMNS, "is_missing", "is_member", "segment", "region"), CalendarPanel, "calendar_panel"
    )


def _grid(quoted: pl.DataFrame, *, union: bool) -> pl.DataFrame:
    """Return (exchange, date, session): the days of each exchange's calendar, numbered; ``quoted``: (exchange, date).

    An exchange adds to a union from its own first quote on, so that a later one changes nothing before it.
    """
    end = quoted["date"].max()
    assert isinstance(end, dt.date)
    starts = quoted.group_by("exchange").agg(pl.min("date")).sort("exchange")
    calendars = [
        pl.DataFrame({"date": sessions(exchange, start, end)}).select(pl.lit(exchange).alias("exchange"), "date")
        for exchange, start in starts.iter_rows()
    ]
    days = pl.concat([*calendars, quoted]).unique()
    if union:
        days = starts.select("exchange").join(days.select("date").unique(), how="cross")
    return days.sort("exchange", "date").with_columns(session=pl.int_range(pl.len(), dtype=pl.Int64).over("exchange"))


def _region(exchanges: pl.Series, spec: PanelSpec) -> pl.Expr:
    unknown = sorted(set(exchanges) - set(spec.regions))
    if unknown:
        raise BadInput(f"calendar_panel: no region for the exchanges {unknown}; add them to panel.regions")
    return pl.col("exchange").replace_strict(spec.regions, return_dtype=pl.String)
