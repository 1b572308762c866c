"""Type the rows of an input file, each with the reason why it is not usable, if there is one."""

import datetime as dt

import polars as pl

from forecast_assets.core.panel.numbers import Notation, parse_dates, parse_numbers
from forecast_assets.core.panel.read import Delivery
from forecast_assets.core.panel.sessions import calendar_bounds, sessions
from forecast_assets.core.specs import PanelSpec

KEY = ("ticker", "date")
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")
COLUMNS = ("date", "ticker", "exchange", "sector", *NUMBERS)


LONGEST_TICKER = 40  # what the service takes too
TICKER = r"^[A-Za-z0-9^.*!]([A-Za-z0-9^.*!&=/:+_ -]*[A-Za-z0-9^.*!=+_-])?$"
"""Letters, digits and the marks that feeds put into tickers (BRK.B, BF/B, M&M.NS, ^GSPC, EURUSD=X, ES1!)."""


def type_rows(delivery: Delivery, *, spec: PanelSpec, prices: Notation, volumes: Notation) -> pl.DataFrame:
    """Return ``entry``, the raw panel's columns and ``reason`` (null: usable) of every well-formed row of a file.

    A row is unusable when its date, ticker or exchange is missing or unknown, a price is missing, non-numeric, not finite
    or not above zero, its volume is negative, or it is a phantom: a quote without volume on a day the exchange is
    closed. The notations of the numbers are counted in ``prices`` and ``volumes``.
    """
    values = delivery.values
    typed = {"entry": values["entry"], "date": parse_dates(values["date"])}
    for name in ("ticker", "sector", "exchange"):
        text = (
            values[name].cast(pl.String)
            if name in values.columns
            else pl.Series([None] * values.height, dtype=pl.String)
        )
        text = text.str.strip_chars()
        typed[name] = text.set((text == "").fill_null(False), None).alias(name)
    unread = {}
    for name in NUMBERS:
        column = values[name] if name in values.columns else pl.Series(name, [None] * values.height, dtype=pl.Float64)
        whole = name == "volume"
        notation = volumes if whole else prices
        typed[name], unread[f"unread_{name}"] = parse_numbers(column, whole=whole, notation=notation)
    frame = pl.DataFrame(typed | unread).with_columns(exchange=_exchange(spec), named=pl.col("exchange"))
    frame = frame.with_columns(reason=_first_reason())
    frame = _mark_phantoms(frame)
    return frame.select("entry", *COLUMNS, "reason")


def _exchange(spec: PanelSpec) -> pl.Expr:
    """The MIC: from the Exchange column (a MIC or a key of ``spec.exchanges``), else the ticker's suffix."""
    mics = spec.exchanges | {mic: mic for mic in spec.regions}
    suffix = pl.col("ticker").str.extract(r"(\.[A-Za-z]+)$").str.to_uppercase().fill_null("")
    name = pl.coalesce(pl.col("exchange").str.to_uppercase(), suffix)
    return name.replace_strict(mics, default=None, return_dtype=pl.String)


def _first_reason() -> pl.Expr:
    reasons = [
        pl.when(pl.col("date").is_null()).then(pl.lit("the date is missing or not an ISO date (YYYY-MM-DD)")),
        pl.when(pl.col("ticker").is_null()).then(pl.lit("the ticker is missing")),
        pl.when(pl.col("ticker").str.len_chars() > LONGEST_TICKER).then(
            pl.lit(f"the ticker is longer than {LONGEST_TICKER} characters")
        ),
        pl.when(~pl.col("ticker").str.contains(TICKER)).then(
            pl.lit("the ticker holds a character that tickers do not have")
        ),
        pl.when(pl.col("exchange").is_null()).then(
            pl.format(
                "the exchange of {} is unknown; add its suffix to panel.exchanges",
                pl.coalesce(pl.col("named"), pl.col("ticker"), pl.lit("?")),
            )
        ),
    ]
    for name in NUMBERS:
        column = pl.col(name)
        reasons.append(pl.when(pl.col(f"unread_{name}")).then(pl.lit(f"{name} is not a number")))
        reasons.append(pl.when(column.is_infinite()).then(pl.lit(f"{name} is not finite")))
        if name in ("open", "close"):
            reasons.append(pl.when(column.is_null()).then(pl.lit(f"{name} is missing")))
        if name == "volume":
            reasons.append(pl.when(column < 0).then(pl.format("volume is {}, below zero", column)))
        else:
            reasons.append(pl.when(column <= 0).then(pl.format("{} is {}, not above zero", pl.lit(name), column)))
    return pl.coalesce(reasons)


def _mark_phantoms(frame: pl.DataFrame) -> pl.DataFrame:
    """Reject untraded quotes on closed days; with volume they are special sessions and are kept.

    A quote with a missing volume is a phantom only when it is flat (one price all day).
    """
    closed = closed_days(frame.filter(pl.col("reason").is_null()))
    if closed.is_empty():
        return frame
    flat = pl.all_horizontal((pl.col(name) == pl.col("close")).fill_null(True) for name in PRICES)
    untraded = (pl.col("volume") == 0) | (pl.col("volume").is_null() & flat)
    shown = pl.when(flat).then(pl.lit("flat quote")).otherwise(pl.lit("quote"))
    reason = pl.format("phantom: {} without volume on {}, when {} is closed", shown, pl.col("date"), pl.col("exchange"))
    phantom = pl.col("reason").is_null() & pl.col("closed").fill_null(False) & untraded
    return (
        frame.join(closed.with_columns(closed=True), on=["exchange", "date"], how="left", maintain_order="left")
        .with_columns(reason=pl.when(phantom).then(reason).otherwise(pl.col("reason")))
        .drop("closed")
    )


def closed_days(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the (exchange, date) pairs of ``frame`` on which the exchange's calendar has no session."""
    days = frame.select("exchange", "date").unique()
    found = []
    for (exchange,), part in days.group_by("exchange"):
        name, dates = str(exchange), part["date"]
        first, last = calendar_bounds(name)
        covered = part.filter(pl.col("date").is_between(first, last))
        if covered.is_empty():
            continue
        start, end = covered["date"].min(), covered["date"].max()
        assert isinstance(start, dt.date)
        assert isinstance(end, dt.date)
        open_days = sessions(name, start, end)
        found.append(covered.filter(~dates.filter(dates.is_between(first, last)).is_in(open_days.implode())))
    return pl.concat(found) if found else days.clear()
