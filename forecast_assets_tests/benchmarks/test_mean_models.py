"""The search for a mean signal: it reads the past alone, and finds a planted one."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from benchmarks.mean_models import VARIANTS, Design, Variant
from benchmarks.signal_ranks import ALL, LAST, inner_panel, origins
from forecast_assets.core.panel.demo import demo_panel
from forecast_assets.core.specs import DemoSpec

RIDGE = Variant(20, "region", "all", "ridge 0.1")


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The synthetic panel, three inner years and half a year more, as the search reads it."""
    path = tmp_path_factory.mktemp("signal") / "demo.csv"
    demo_panel(DemoSpec(tickers=24, start=dt.date(2016, 1, 4), end=dt.date(2019, 6, 28))).write_csv(path)
    return inner_panel(path)


@pytest.fixture(scope="module")
def table(panel: pl.DataFrame) -> pl.DataFrame:
    return origins(panel)


def test_no_row_after_the_inner_years_is_read(panel: pl.DataFrame, table: pl.DataFrame) -> None:
    assert panel.select(pl.max("date")).item() == LAST
    assert table.select(pl.max("end_20")).item() <= LAST
    assert table.filter(pl.col("date") == pl.col("date").max())["end_20"].null_count() == 0
    last = table.select(pl.max("date")).item()
    assert last == dt.date(2018, 11, 26)  # 21 sessions of Tokyo, New York and Frankfurt before the end


def test_ranks_use_the_past_alone(panel: pl.DataFrame, table: pl.DataFrame) -> None:
    cut = dt.date(2018, 3, 15)
    early = origins(panel.filter(pl.col("date") <= cut))
    columns = ["date", "ticker", "sigma", *ALL]
    assert early.height > 1000
    assert early.select(columns).equals(
        table.filter(pl.col("date") <= early["date"].max()).select(columns), null_equal=False
    )


def test_ranks_of_a_moment_are_spread_evenly(table: pl.DataFrame) -> None:
    one = table.filter(pl.col("date") == dt.date(2018, 3, 15), pl.col("region") == "Europe")
    n = one.height
    assert n > 3
    np.testing.assert_allclose(one["return_5"].sort().to_numpy(), (np.arange(n) + 0.5) / n - 0.5)


@pytest.mark.parametrize("within", ["region", "sector"])
def test_a_year_is_fitted_on_labels_that_end_before_it(table: pl.DataFrame, within: str) -> None:
    late = pl.col("end_20") >= dt.date(2018, 1, 1)
    poisoned = table.with_columns(y_20=pl.when(late).then(pl.col("y_20") * 7 + pl.col("high_52w")).otherwise("y_20"))
    clean, other = Design(table, within), Design(poisoned, within)
    np.testing.assert_array_equal(clean.score(RIDGE, 2018), other.score(RIDGE, 2018))
    assert not np.allclose(clean.score(RIDGE, 2019), other.score(RIDGE, 2019))


def test_a_planted_premium_is_found_with_its_sign(table: pl.DataFrame) -> None:
    design = Design(table.with_columns(y_20=-pl.col("beta_252") + pl.col("y_20") * 0.01), "region")
    score = design.score(RIDGE, 2018)
    assert np.corrcoef(score, -design.x[:, list(ALL).index("beta_252")])[0, 1] > 0.9


def test_all_points_of_the_grid_are_distinct() -> None:
    assert len(VARIANTS) == len({str(variant) for variant in VARIANTS}) == 24
