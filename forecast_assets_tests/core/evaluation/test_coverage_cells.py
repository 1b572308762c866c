"""Coverage by cell: small tables with known counts, and intervals against resampling the rows themselves."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from arch.bootstrap import StationaryBootstrap

from forecast_assets.core.evaluation.coverage_cells import (
    SCHEMA,
    SUMS,
    cell_sums,
    coverage_cells,
    origin_groups,
    outside_limits,
    published_figures,
    with_deciles,
)
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.evaluation.significance import optimal_block
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.specs import CoverageSpec
from forecast_assets_tests.helpers.scores import normal_quantiles

MONDAY = dt.date(2021, 3, 1)
SPEC = CoverageSpec(bootstrap_samples=200)


def sums(rows: list[tuple[str, str, int, int, int, int]]) -> pl.DataFrame:
    """Sums of (group, cell, horizon, day, n, inside_95) of the ensemble; every loss is 1 and the reference's 2."""
    schema = ["group", "cell", "horizon", "day", "n", "inside_95"]
    table = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        model=pl.lit("ensemble"),
        date=pl.lit(MONDAY) + pl.duration(days=pl.col("day")),
        inside_90=pl.col("inside_95"),
        pinball=pl.col("n"),
        reference=2 * pl.col("n"),
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def contract(exchange: int, *, tickers: int, decile: int = 95, days: int = 40) -> pl.DataFrame:
    """Cells of an exchange that covers ``exchange`` % with ``tickers`` tickers, and of a decile that covers ``decile`` %."""
    rows = [
        (group, cell, 1, day, n, n * share // 100)
        for day in range(days)
        for group, cell, n, share in (
            ("all", "all", 100 * tickers, 95), ("exchange", "XXXX", tickers, exchange), ("volatility", "1", 100, decile),
        )
    ]  # fmt: skip
    return coverage_cells(sums(rows), spec=SPEC)


def test_sums_of_a_day_count_its_forecasts_by_cell() -> None:
    dates, tickers = [MONDAY] * 3 + [MONDAY + dt.timedelta(1)] * 3, ["A", "B", "C"] * 2
    y = np.array([0.0, 0.0, 0.5, 0.0, 0.5, np.nan])[:, None].repeat(len(HORIZONS), axis=1)
    zeros = np.zeros(y.shape)
    own = forecast_table(
        date=pl.Series(dates),
        ticker=tickers,
        quantiles=normal_quantiles(zeros, zeros + 0.1),
        y=y,
        split="test",
        model="m",
    )
    reference = own.with_columns(model=pl.lit("ewma"))
    rows = pl.DataFrame(
        {"date": dates, "ticker": tickers, "exchange": ["X", "X", "Y"] * 2, "sector": ["tech", None, "tech"] * 2}
    )
    traded = rows.select("date", "ticker", traded_value=pl.lit(1.0))
    found = cell_sums(own, reference=reference, groups=origin_groups(rows, traded=traded))
    assert dict(found.schema) == SCHEMA
    at_h1 = found.filter(pl.col("horizon") == HORIZONS[0]).drop("model", "horizon", "inside_90", "pinball", "reference")
    tuesday = MONDAY + dt.timedelta(1)
    assert at_h1.filter(pl.col("group") != "volatility").rows() == [
        ("all", "all", MONDAY, 3, 2),
        ("all", "all", tuesday, 2, 1),
        ("exchange", "X", MONDAY, 2, 2),
        ("exchange", "X", tuesday, 2, 1),
        ("exchange", "Y", MONDAY, 1, 0),
        ("sector", "tech", MONDAY, 2, 1),
        ("sector", "tech", tuesday, 1, 1),
        ("weekday", "Mon", MONDAY, 3, 2),
        ("weekday", "Tue", tuesday, 2, 1),
    ]
    assert found["pinball"].equals(found["reference"])


def test_liquidity_is_ranked_within_the_exchange_and_the_day() -> None:
    names = [f"T{k:02d}" for k in range(20)]
    rows = pl.DataFrame({"date": MONDAY, "ticker": [*names, "Z"], "exchange": ["X"] * 20 + ["Y"], "sector": None})
    traded = pl.DataFrame({"date": MONDAY, "ticker": [*names, "Z"], "traded_value": [*map(float, range(20)), 1e9]})
    found = dict(origin_groups(rows, traded=traded).select("ticker", "liquidity").rows())
    assert [found[name] for name in names] == [str(1 + k // 2) for k in range(20)]
    assert found["Z"] is None  # one ticker has no deciles


def test_deciles_hold_a_tenth_of_the_forecasts_of_all_years_each() -> None:
    bins = [("volatility", str(k - 50), 1, day, 1, int(k >= 10)) for day in range(3) for k in range(100)]
    bins += [("all", "all", 1, day, 100, 90) for day in range(3)]
    found = with_deciles(sums(bins)).filter(pl.col("group") == "volatility")
    cells = found.group_by("cell").agg(pl.col("n", "inside_95").sum()).sort(pl.col("cell").cast(pl.Int64))
    assert cells.rows() == [("1", 30, 0), *((str(k), 30, 30) for k in range(2, 11))]


def test_scores_and_intervals_are_those_of_resampled_days() -> None:
    generator, days = np.random.default_rng(0), 60
    rows = []
    for day in range(days):
        inside = generator.binomial([40, 15], 0.9)
        rows += [("all", "all", 1, day, 55, int(inside.sum())), ("exchange", "A", 1, day, 40, int(inside[0]))]
        if day % 7:
            rows.append(("exchange", "B", 1, day, 15, int(inside[1])))
    table = sums(rows)
    found = {row["cell"]: row for row in coverage_cells(table, spec=SPEC).iter_rows(named=True)}
    everything = table.filter(pl.col("group") == "all").sort("date")
    daily = everything.select(pl.col("inside_95") / pl.col("n")).to_series().to_numpy()
    bootstrap = StationaryBootstrap(optimal_block(daily), np.arange(days), seed=np.random.default_rng(SPEC.seed))
    of_day = {day: (n, inside) for _, cell, _, day, n, inside in rows if cell == "B"}
    draws = []
    for (places,), _ in bootstrap.bootstrap(SPEC.bootstrap_samples):
        drawn = np.array([of_day.get(day, (0, 0)) for day in np.asarray(places).tolist()])
        draws.append(drawn[:, 1].sum() / drawn[:, 0].sum())
    row = found["B"]
    assert row["coverage_95"] == pytest.approx(sum(i for _, i in of_day.values()) / sum(n for n, _ in of_day.values()))
    assert (row["coverage_95_low"], row["coverage_95_high"]) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    assert (row["n"], row["days"], row["tickers"]) == (15 * len(of_day), len(of_day), 15)
    assert (row["pinball"], row["pinball_ratio"], row["pinball_relative"]) == (1.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("exchange", "tickers", "decile", "outside"),
    [
        (95, 20, 95, []),
        (91, 100, 95, ["XXXX"]),  # 20 tickers or more: 93 to 97 %
        (91, 11, 95, []),  # 5 to 19 tickers: 90 to 98 %; 10 of 11 inside
        (80, 10, 95, ["XXXX"]),
        (50, 4, 95, []),  # too few tickers for a limit
        (95, 20, 91, ["1"]),
        (90, 100, 99, ["XXXX", "1"]),  # the worst first
    ],
)
def test_limits_depend_on_the_group_and_on_the_exchanges_size(
    exchange: int, tickers: int, decile: int, outside: list[str]
) -> None:
    cells = contract(exchange, tickers=tickers, decile=decile)
    assert outside_limits(cells)["cell"].to_list() == outside
    # Every day is alike here, so the interval is a point and tells the same.
    assert outside_limits(cells, surely=True)["cell"].to_list() == outside


def test_an_interval_that_reaches_into_the_limits_is_not_surely_outside() -> None:
    rows = [("all", "all", 1, day, 100, 95) for day in range(40)]
    rows += [("volatility", "1", 1, day, 100, 100 if day % 2 else 82) for day in range(40)]
    cells = coverage_cells(sums(rows), spec=SPEC)
    assert outside_limits(cells)["coverage_95"].to_list() == [0.91]
    assert outside_limits(cells, surely=True).is_empty()


def test_coverage_of_another_horizon_of_an_exchange_has_no_limit() -> None:
    rows = [(group, cell, 5, day, 50, 30) for day in range(5) for group, cell in (("all", "all"), ("exchange", "X"))]
    assert coverage_cells(sums(rows), spec=SPEC)["limit_low"].null_count() == 2


def test_figures_of_a_report_count_cells_by_the_panels_size() -> None:
    def cell(
        group: str, name: str, covered: float, *, tickers: int = 30, horizon: int = 1, model: str = "ensemble"
    ) -> dict[str, Any]:
        given = {"group": group, "cell": name, "coverage_95": covered, "tickers": tickers, "horizon": horizon}
        return {**given, "model": model}

    cells = [
        cell("exchange", "XNYS", 0.929),
        cell("exchange", "XSMA", 0.91, tickers=6),
        cell("exchange", "XFEW", 0.5, tickers=4),
        cell("exchange", "XNYS", 0.5, horizon=5),
        cell("exchange", "XHAR", 0.5, model="harx"),
        cell("volatility", "1", 0.919, horizon=20),
        cell("volatility", "2", 0.98),
    ]
    large = published_figures(cells, tickers=557, model="ensemble")
    assert large == {"exchanges_outside_coverage": ["XNYS"], "volatility_deciles_outside_coverage": ["1 at 20"]}
    small = published_figures(cells, tickers=40, model="ensemble")
    assert small["exchanges_outside_coverage"] == []
    cells.append(cell("exchange", "XBAD", 0.89, tickers=5))
    assert published_figures(cells, tickers=40, model="ensemble")["exchanges_outside_coverage"] == ["XBAD"]


def test_a_year_of_which_nothing_has_matured_has_no_cells() -> None:
    empty = with_deciles(pl.DataFrame(schema=SCHEMA))
    assert coverage_cells(empty, spec=SPEC).is_empty()
    assert set(SUMS) <= set(empty.columns)
