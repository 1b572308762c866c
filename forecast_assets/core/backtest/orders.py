"""Orders in shares: from target weights, capital, prices and what is held to whole lots, with what they leave unfilled."""

from dataclasses import dataclass

import polars as pl

ROUNDING = 1e-9  # of a lot: 10 lots that floats make 9.9999999999 are 10

ORDERS_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("ticker", "side"), pl.String()),
    **dict.fromkeys(("shares", "lot"), pl.Int64()),
    "price": pl.Float64(),
    "currency": pl.String(),
    **dict.fromkeys(("value", "held", "target", "unfilled", "unfilled_value"), pl.Float64()),
    "note": pl.String(),
}
"""Columns of the orders: ``shares`` and ``lot`` to be traded, ``price`` as quoted; held, target and unfilled in shares,
below 0 short; ``value`` (of the order, below 0 for a sale) and ``unfilled_value`` in the currency of the capital.
"""

BUY, SELL, NOTHING = "buy", "sell", "none"


@dataclass(frozen=True)
class Totals:
    """What orders come to, in the currency of the capital."""

    orders: int
    bought: float
    sold: float
    unfilled: float  # sum of sizes
    gross_target: float  # fractions of the capital
    gross_after: float


def share_orders(book: pl.DataFrame, *, capital: float) -> pl.DataFrame:
    """Return ``ORDERS_SCHEMA``, a row per ticker that is to be traded or stays off its target, by ticker.

    ``book``: ticker, weight_target, price as quoted, currency, unit_value (of one unit of the price in the currency of the
    capital), lot, held (shares), note. An order is the whole lots between what is held and the target, never beyond it: so
    no cap is broken by rounding, and what is less than a lot off is unfilled.
    """
    unit = pl.col("price") * pl.col("unit_value")
    target = pl.col("weight_target") * capital / unit
    gap = target - pl.col("held")
    lots = (gap.abs() / pl.col("lot") + ROUNDING).floor() * gap.sign()
    shares = lots * pl.col("lot")
    rest = gap - shares
    rest = pl.when(rest.abs() <= ROUNDING * pl.col("lot")).then(0.0).otherwise(rest)
    side = pl.when(shares > 0).then(pl.lit(BUY)).when(shares < 0).then(pl.lit(SELL)).otherwise(pl.lit(NOTHING))
    made = book.with_columns(
        side=side,
        shares=shares.abs(),
        value=shares * unit + 0.0,  # no minus before a zero
        target=target,
        unfilled=rest,
        unfilled_value=rest * unit,
    )
    kept = made.filter((pl.col("shares") > 0) | (pl.col("unfilled") != 0))
    return kept.select(pl.col(name).cast(dtype) for name, dtype in ORDERS_SCHEMA.items()).sort("ticker")


def totals(orders: pl.DataFrame, book: pl.DataFrame, *, capital: float) -> Totals:
    """Return what ``orders`` come to; ``book`` as ``share_orders`` took it."""
    value = orders["value"]
    by_ticker = book.join(orders.select("ticker", "value"), on="ticker", how="left").with_columns(
        pl.col("value").fill_null(0.0), worth=pl.col("held") * pl.col("price") * pl.col("unit_value")
    )
    after = by_ticker.select((pl.col("worth") + pl.col("value")).abs().sum()).item()
    return Totals(
        orders=int((orders["shares"] > 0).sum()),
        bought=float(value.filter(value > 0).sum()),
        sold=0.0 - float(value.filter(value < 0).sum()),
        unfilled=float(orders["unfilled_value"].abs().sum()),
        gross_target=float(book["weight_target"].abs().sum()),
        gross_after=float(after) / capital,
    )
