"""What a card of the verdict says beside its numbers."""

import datetime as dt

import numpy as np
import polars as pl

from forecast_assets.core.report.verdicts import return_difference_verdicts
from forecast_assets.core.specs import BacktestSpec


def test_a_card_says_where_a_book_holds_next_to_nothing() -> None:
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2021, 12, 31), interval="1d", eager=True)
    rng = np.random.default_rng(0)
    books = pl.concat(
        pl.DataFrame({"date": days, "strategy": name, "net_return": rng.normal(0, sigma, len(days)), "cost": 0.0})
        for name, sigma in (("ensemble", 0.0001), ("b0_mlp", 0.005))
    )
    cards = {
        card["version"]: card for card in return_difference_verdicts(books, spec=BacktestSpec(bootstrap_samples=20))
    }
    assert "Ensemble holds next to nothing: 0.2 % volatility, scaled up" in cards["same rule"]["sentence"]
    assert "MLP baseline (4 lags) holds" not in cards["same rule"]["sentence"]
