"""Orders in shares: whole lots towards the target, and what they leave."""

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.backtest.orders import share_orders, totals


def book(*rows: tuple[str, float, float, float, int, float]) -> pl.DataFrame:
    """Rows of ticker, weight, price, unit_value, lot, held."""
    names = ("ticker", "weight_target", "price", "unit_value", "lot", "held")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        currency=pl.lit("USD"), note=pl.lit(None, dtype=pl.String)
    )


def test_orders_of_a_literal_book() -> None:
    table = book(
        ("ALL", 0.1, 10.0, 1.0, 100, 0.0),  # 1,000 shares: whole
        ("LOT", 0.05, 30.0, 1.0, 10, 20.0),  # 166.67 wanted, 20 held
        ("SHORT", -0.02, 7.0, 2.0, 1, 50.0),  # -142.86 wanted, 50 held
        ("CLOSE", 0.0, 4.0, 1.0, 100, 250.0),
        ("SAME", 0.003, 3.0, 1.0, 1, 100.0),
        ("SMALL", 0.001, 500.0, 1.0, 1, 0.0),
    )
    orders = share_orders(table, capital=100_000.0)
    assert orders.select("ticker", "side", "shares", "value").rows() == [
        ("ALL", "buy", 1000, 10_000.0),
        ("CLOSE", "sell", 200, -800.0),
        ("LOT", "buy", 140, 4_200.0),
        ("SHORT", "sell", 192, -2_688.0),
        ("SMALL", "none", 0, 0.0),
    ]
    unfilled = dict(orders.select("ticker", "unfilled").iter_rows())
    assert unfilled == pytest.approx(
        {"ALL": 0.0, "CLOSE": -50.0, "LOT": 20 / 3, "SHORT": -6 / 7, "SMALL": 0.2}, abs=1e-9
    )
    found = totals(orders, table, capital=100_000.0)
    assert (found.orders, found.bought) == (4, 14_200.0)
    assert found.sold == pytest.approx(3_488.0)
    assert found.unfilled == pytest.approx(200 + 200 + 12 + 100)
    assert found.gross_target == pytest.approx(0.174)
    assert found.gross_after == pytest.approx((10_000 + 4_800 + 142 * 14 + 200 + 300) / 100_000)


def test_no_order_passes_its_target_and_less_than_a_lot_is_left() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (f"T{k}", rng.normal(0, 0.02), float(np.exp(rng.normal(3, 1))), 0.01, int(lot), float(rng.integers(-500, 500)))
        for k, lot in enumerate(rng.choice([1, 10, 100], 200))
    ]
    table = book(*rows)
    orders = share_orders(table, capital=1e6)
    sign = pl.when(pl.col("side") == "sell").then(-1).otherwise(1)
    ends = orders.with_columns(end=pl.col("held") + sign * pl.col("shares"), gap=pl.col("target") - pl.col("held"))
    assert orders.height > 190
    assert (orders["shares"] % orders["lot"] == 0).all()
    assert (ends["unfilled"].abs() < ends["lot"]).all()
    np.testing.assert_allclose(ends["end"] + ends["unfilled"], ends["target"], atol=1e-6)
    assert (ends["unfilled"] * ends["gap"] >= 0).all()


def test_a_whole_number_of_lots_that_floats_miss_is_whole() -> None:
    table = book(("A", 0.07, 0.7, 1.0, 1000, 0.0))  # 0.07 * 1e5 / 0.7 is 9,999.999999999998 of 10,000
    assert share_orders(table, capital=1e5).select("shares", "unfilled").rows() == [(10_000, 0.0)]
