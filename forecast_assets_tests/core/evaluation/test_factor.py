"""Factor statistics on hand-computed tables, against pandas, and on a planted factor."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from forecast_assets.core.evaluation.factor import (
    daily_rank_ic,
    factor_statistics,
    quantile_returns,
    quantile_turnover,
    rank_autocorrelation,
    statistics_by_group,
    with_quantiles,
)

FIRST = dt.date(2016, 1, 4)


def days(factors: list[list[float | None]], returns: list[list[float | None]] | None = None) -> pl.DataFrame:
    """Return a row per day and ticker A, B, C, ...; returns over one session are 0 unless given."""
    given = returns or [[0.0] * len(values) for values in factors]
    return pl.DataFrame(
        [
            (FIRST + dt.timedelta(days=day), chr(ord("A") + k), factor, outcome)
            for day, (values, outcomes) in enumerate(zip(factors, given, strict=True))
            for k, (factor, outcome) in enumerate(zip(values, outcomes, strict=True))
        ],
        schema={"date": pl.Date, "ticker": pl.String, "factor": pl.Float64, "return_1d": pl.Float64},
        orient="row",
    )


def random_days(count: int, tickers: int, *, strength: float) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    factor = rng.normal(size=(count, tickers))
    outcome = 0.01 * (strength * factor + rng.normal(size=(count, tickers)))
    table = pl.DataFrame({"factor": factor.ravel(), "return_1d": outcome.ravel()})
    return table.with_columns(
        date=pl.Series([FIRST + dt.timedelta(days=day) for day in range(count) for _ in range(tickers)]),
        ticker=pl.Series([f"T{k:03d}" for _ in range(count) for k in range(tickers)]),
    )


def test_two_days_computed_by_hand() -> None:
    rows = days(
        [[1, 2, 3, 4, 5], [5, 2, 3, 4, 1]],
        [[0.01, 0.02, 0.03, 0.04, 0.05], [0.01, 0.02, 0.03, 0.04, 0.05]],
    )
    found = factor_statistics(rows, horizons=[1])
    (horizon,) = found.horizons
    assert (found.rows, found.tickers, found.dates, found.dates_with_quantiles) == (10, 5, 2, 2)
    assert horizon.rank_ic == pytest.approx((1 - 0.6) / 2)  # 1, and 1 - 6 * (16 + 16) / (5 * 24)
    assert horizon.quantile_returns == pytest.approx((0.03, 0.02, 0.03, 0.04, 0.03))
    assert horizon.spread == pytest.approx((0.04 - 0.04) / 2)
    assert horizon.rank_ic_t is None  # two dates are too few
    assert (found.bottom_turnover, found.top_turnover) == (1.0, 1.0)
    assert found.rank_autocorrelation == pytest.approx(-0.6)


def test_an_edge_belongs_to_the_lower_quantile() -> None:
    # Of six values, edges 1 to 4 are the second to the fifth.
    assert with_quantiles(days([[1, 2, 3, 4, 5, 6]]))["quantile"].to_list() == [1, 1, 2, 3, 4, 5]


def test_tickers_with_equal_factors_share_a_quantile() -> None:
    assert with_quantiles(days([[1, 2, 2, 4, 5, 6, 7]]))["quantile"].to_list() == [1, 1, 1, 3, 4, 5, 5]


def test_a_date_whose_edges_coincide_has_no_quantiles_but_a_rank_ic() -> None:
    rows = days([[1, 1, 1, 2, 3], [1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    known = with_quantiles(rows)
    assert known["quantile"].to_list() == [None] * 5 + [1, 2, 3, 4, 5]
    assert daily_rank_ic(known, horizon=1)["rank_ic"].to_list() == pytest.approx([0.8944271909999159, 1.0])
    assert factor_statistics(rows, horizons=[1]).dates_with_quantiles == 1


def test_quantiles_are_those_of_pandas_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    without = 0
    for tickers in range(2, 26):
        for digits in (0, 1, 8):
            if digits < 8 and (tickers - 1) % 5 == 0:
                continue  # edges on values, where pandas' rounding decides about ties
            values = rng.normal(size=tickers).round(digits)
            try:
                expected = (pd.qcut(pd.Series(values), 5, labels=False) + 1).tolist()
            except ValueError:  # edges coincide
                expected, without = [None] * tickers, without + 1
            assert with_quantiles(days([values.tolist()]))["quantile"].to_list() == expected, values
    assert 0 < without < 40


def test_a_ticker_without_a_factor_is_left_out_of_everything() -> None:
    rows = days([[1, 2, None, 4, 5, float("nan"), float("inf")]])
    assert with_quantiles(rows)["ticker"].to_list() == ["A", "B", "D", "E"]


def test_a_ticker_without_a_return_is_ranked_and_left_out_of_the_means() -> None:
    rows = with_quantiles(days([[1, 2, 3, 4, 5, 6]], [[0.01, None, 0.04, 0.03, 0.02, None]]))
    assert rows["quantile"].to_list() == [1, 1, 2, 3, 4, 5]
    daily = quantile_returns(rows, horizon=1)
    assert daily["quantile"].to_list() == [1, 2, 3, 4]
    assert daily["mean_return"].to_list() == pytest.approx([0.01, 0.04, 0.03, 0.02])
    assert daily_rank_ic(rows, horizon=1)["rank_ic"].to_list() == pytest.approx([0.2])  # of A, C, D, E: 1, 4, 3, 2
    found = factor_statistics(rows.drop("quantile"), horizons=[1]).horizons[0]
    assert (found.spread, found.quantile_returns[-1]) == (None, None)


def test_turnover_is_the_share_of_tickers_that_entered_a_quantile() -> None:
    rows = with_quantiles(days([[1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 5, 6], [9, 3, 2, 4, 5, 6]]))
    assert quantile_turnover(rows, 1)["turnover"].to_list() == [0.5, 0.5]  # A, B; then A, C; then C, B
    assert quantile_turnover(rows, 5)["turnover"].to_list() == [0.0, 1.0]  # F; F; A


def test_ranks_are_compared_over_the_tickers_of_both_dates() -> None:
    rows = days([[1, 2, 3, None], [3, 2, 1, 9], [None, None, 1, 2], [None, 1, 1, 1]])
    daily = rank_autocorrelation(rows.drop_nulls("factor"))
    assert daily["correlation"].to_list() == [pytest.approx(-1.0), None, None]  # two tickers; two tickers


def test_a_planted_factor_is_found_and_a_shuffled_one_is_not() -> None:
    rows = random_days(120, 100, strength=0.3)
    planted = factor_statistics(rows, horizons=[1]).horizons[0]
    assert planted.rank_ic == pytest.approx(0.28, abs=0.03)
    assert planted.rank_ic_t is not None
    assert planted.rank_ic_t > 10
    assert planted.spread is not None
    assert planted.spread == pytest.approx(0.01 * 0.3 * 2.8, rel=0.1)
    shuffled = rows.with_columns(pl.col("factor").shuffle(seed=1).over("date"))
    nothing = factor_statistics(shuffled, horizons=[1]).horizons[0]
    assert nothing.rank_ic_t is not None
    assert abs(nothing.rank_ic_t) < 3


def test_statistics_by_group_rank_within_the_group() -> None:
    rows = random_days(20, 40, strength=0.5).with_columns(sector=pl.col("ticker").str.slice(-1))
    found = statistics_by_group(rows, group="sector", horizons=[1])
    assert list(found) == [str(digit) for digit in range(10)]
    alone = factor_statistics(rows.filter(pl.col("sector") == "3"), horizons=[1])
    assert found["3"] == alone
    assert alone.tickers == 4


def test_a_ticker_with_two_rows_on_a_date_is_refused() -> None:
    rows = days([[1, 2, 3]])
    with pytest.raises(ValueError, match="2 of 4 rows share date and ticker"):
        with_quantiles(pl.concat([rows, rows.head(1)]))


def test_no_row_with_a_factor_leaves_every_statistic_undefined() -> None:
    found = factor_statistics(days([[None, None, None]]), horizons=[1])
    assert (found.rows, found.dates, found.rank_autocorrelation, found.top_turnover) == (0, 0, None, None)
    assert found.horizons[0].quantile_returns == (None,) * 5
