"""Type the rows of an input file, each with the reason why it is not usable, if there is one."""

import polars as pl

from forecast_assets.core.panel.exchange_names import add_exchange
from forecast_assets.core.panel.numbers import Notation, parse_dates, parse_numbers
from forecast_assets.core.panel.read import Delivery
from forecast_assets.core.specs import PanelSpec

KEY = ("ticker", "date")
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")
COLUMNS = ("date", "ticker", "exchange", "sector", *NUMBERS)


LONGEST_TICKER = 40  # what the service takes too
TICKER = r"^[A-Za-z0-9^.*!]([A-Za-z0-9^.*!&=/:+_ -]*[A-Za-z0-9^.*!=+_-])?$"
"""Letters, digits and the marks that feeds put into tickers (BRK.B, BF/B, M&M.NS, ^GSPC, EURUSD=X, ES1!)."""


def type_rows(delivery: Delivery, *, spec: PanelSpec, prices: Notation, volumes: Notation) -> pl.DataFrame:
    """Return ``entry``, the raw panel's columns, ``assigned_by`` and ``reason`` (null: usable) of a file's well-formed rows.

    A row is unusable when its date or ticker is missing, its exchange is one that nobody knows, a price is missing,
    non-numeric, not finite or not above zero, or its volume is negative. The exchange is what the name says (see
    ``exchange_names``), null where it says none. The notations of the numbers are counted in ``prices`` and ``volumes``.
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
    frame = add_exchange(pl.DataFrame(typed | unread), spec=spec).with_columns(reason=_first_reason())
    return frame.select("entry", *COLUMNS, "assigned_by", "reason")


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
        pl.col("exchange_problem"),
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
