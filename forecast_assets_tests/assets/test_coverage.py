"""The coverage contract of a materialised year, and its checks."""

import json

import polars as pl
import pytest

from forecast_assets.assets.fold.coverage import BY_EXCHANGE, BY_VOLATILITY, coverage_checks
from forecast_assets.core.evaluation.coverage_cells import SUMS, coverage_cells, with_deciles
from forecast_assets.core.evaluation.daily_losses import forecast_losses
from forecast_assets.core.specs import CoverageSpec
from forecast_assets.store.artefact_files import COVERAGE_CELLS
from forecast_assets_tests.helpers.graph import Graph

EVERY = CoverageSpec(bootstrap_samples=100, few_tickers=1, few_low=0, few_high=1, decile_low=0, decile_high=1)


@pytest.fixture(scope="module")
def sums(smoke_graph: Graph) -> pl.DataFrame:
    return pl.read_parquet(smoke_graph.version("backtest", "2019").path(COVERAGE_CELLS))


def test_every_groups_cells_add_up_to_the_years_forecasts(smoke_graph: Graph, sums: pl.DataFrame) -> None:
    rows = forecast_losses(smoke_graph.table("ensemble", "2019"))
    own = sums.filter(pl.col("model") == "ensemble")
    counts = dict(own.group_by("group").agg(pl.col("n").sum()).rows())
    assert {name for name, n in counts.items() if n == rows.height} >= {"all", "exchange", "volatility", "weekday"}
    inside = own.filter(pl.col("group") == "exchange")["inside_95"].sum()
    assert inside == rows["inside_95"].sum()
    assert own.filter(pl.col("group") == "all")["pinball"].sum() == pytest.approx(rows["pinball"].sum())


def test_the_checks_pass_where_every_cell_is_within_its_limits(sums: pl.DataFrame) -> None:
    checks = coverage_checks(sums, spec=EVERY)
    assert {name: check.passed for name, check in checks.items()} == {BY_EXCHANGE.name: True, BY_VOLATILITY.name: True}
    assert "0 outside their limits" in checks[BY_EXCHANGE.name].description


def test_a_band_that_misses_on_one_exchange_fails_its_check_alone_and_is_named(sums: pl.DataFrame) -> None:
    name = sums.filter(pl.col("group") == "exchange")["cell"].sort()[0]
    broken = (pl.col("group") == "exchange") & (pl.col("cell") == name)
    halved = sums.with_columns(inside_95=pl.when(broken).then(pl.col("inside_95") // 2).otherwise("inside_95"))
    checks = coverage_checks(halved, spec=EVERY.model_copy(update={"few_low": 0.7}))
    assert not checks[BY_EXCHANGE.name].passed
    assert checks[BY_EXCHANGE.name].warns
    assert f"the worst: exchange {name} (" in checks[BY_EXCHANGE.name].description
    assert checks[BY_VOLATILITY.name].passed


def test_bands_that_miss_at_one_width_fail_the_check_of_widths(sums: pl.DataFrame) -> None:
    bins = sums.filter((pl.col("group") == "volatility") & (pl.col("horizon") == 20))
    narrow = (pl.col("group") == "volatility") & (pl.col("cell").cast(pl.Int64, strict=False) < _median_bin(bins))
    missed = sums.with_columns(
        inside_95=pl.when(narrow & (pl.col("horizon") == 20)).then(pl.col("inside_95") // 2).otherwise("inside_95")
    )
    checks = coverage_checks(missed, spec=EVERY.model_copy(update={"decile_low": 0.7}))
    assert checks[BY_EXCHANGE.name].passed
    assert not checks[BY_VOLATILITY.name].passed
    assert ", 20 sessions: " in checks[BY_VOLATILITY.name].description


def test_the_report_holds_the_cells_of_all_years_and_a_verdict_on_them(smoke_graph: Graph) -> None:
    summary = smoke_graph.version("backtest_report").json("metrics.json")
    years = pl.concat(
        pl.read_parquet(smoke_graph.version("backtest", year).path(COVERAGE_CELLS)) for year in ("2018", "2019")
    )
    spec = CoverageSpec.model_validate(smoke_graph.version("backtest_report").manifest.config["coverage"])
    assert summary["coverage_cells"] == json.loads(
        json.dumps(coverage_cells(with_deciles(years), spec=spec).to_dicts())
    )
    assert {cell["model"] for cell in summary["coverage_cells"]} == {"ensemble", "harx"}
    assert sum("on every exchange and in every tenth" in verdict["claim"] for verdict in summary["verdicts"]) == 1
    page = (smoke_graph.root / "reports" / "latest" / "backtest.html").read_text()
    assert "Coverage by exchange and by width of the band" in page
    assert all(
        exchange in page for exchange in {c["cell"] for c in summary["coverage_cells"] if c["group"] == "exchange"}
    )
    assert set(SUMS) <= set(years.columns)


def _median_bin(bins: pl.DataFrame) -> float:
    ordered = bins.select(pl.col("cell").cast(pl.Int64), "n").group_by("cell").agg(pl.col("n").sum()).sort("cell")
    return float(ordered.filter(pl.col("n").cum_sum() >= pl.col("n").sum() / 2)["cell"][0])
