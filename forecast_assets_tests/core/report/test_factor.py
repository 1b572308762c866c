"""The factor view: its lines against the statistics they are made of, its figures, and what is left out."""

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.factor import factor_statistics, forecast_factor
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.report.factor import factor_figures, factor_view
from forecast_assets.core.report.figure_style import to_svg

TICKERS = [f"T{k:02d}" for k in range(12)]
DAYS = pl.date_range(dt.date(2021, 1, 4), dt.date(2021, 4, 30), interval="1d", eager=True)
GROUPS = pl.DataFrame({"ticker": TICKERS}).with_columns(
    sector=pl.lit("Everything"), exchange=pl.Series(["XETR"] * 8 + ["XNYS"] * 4)
)


def table(*, skill: float, seed: int = 0) -> pl.DataFrame:
    """Medians that have a share ``skill`` of the outcome of each horizon; the last outcomes are not known yet."""
    rng, parts = np.random.default_rng(seed), []
    for horizon in HORIZONS:
        for ticker in TICKERS:
            y = rng.normal(0, 0.01 * horizon**0.5, len(DAYS))
            known = np.arange(len(DAYS)) < len(DAYS) - horizon
            parts.append(
                pl.DataFrame(
                    {
                        "date": DAYS,
                        "ticker": ticker,
                        "horizon": pl.Series([horizon] * len(DAYS), dtype=pl.Int32),
                        "q50": skill * y + (1 - skill) * rng.normal(0, 0.01, len(DAYS)),
                        "y": pl.Series(np.where(known, y, np.nan)).fill_nan(None),
                    }
                )
            )
    return pl.concat(parts)


@pytest.fixture(scope="module")
def view() -> dict[str, Any]:
    others = [("b0_mlp", table(skill=0.0)), ("rival_far", table(skill=0.5).filter(pl.col("horizon") == 20))]
    groups = GROUPS.join(DAYS.to_frame("date"), how="cross")
    return factor_view("ensemble", table(skill=0.5), others, groups=groups, horizon=5)


def test_the_numbers_are_those_of_the_median_over_the_horizon(view: dict[str, Any]) -> None:
    rows, horizons = forecast_factor(table(skill=0.5), horizon=5)
    expected = factor_statistics(rows, horizons=horizons)
    assert [each["rank_ic"] for each in view["horizons"]] == [each.rank_ic for each in expected.horizons]
    assert [each["spread"] for each in view["horizons"]] == [each.spread for each in expected.horizons]
    assert (view["top_turnover"], view["dates"]) == (expected.top_turnover, len(DAYS))
    of_own_horizon = {each["horizon"]: each for each in view["horizons"]}
    assert (
        of_own_horizon[5]["rank_ic"] > 0.5
    )  # the factor is of this horizon, whose outcomes are apart from the others'
    assert abs(of_own_horizon[1]["rank_ic"]) < 0.1


def test_a_group_of_few_tickers_and_a_model_without_the_horizon_are_left_out(view: dict[str, Any]) -> None:
    assert [(line["heading"], line["name"], line["tickers"]) for line in view["groups"]] == [
        ("sector", "Everything", 12),
        ("exchange", "XETR", 8),
    ]
    whole = {str(each["horizon"]): each["rank_ic"] for each in view["horizons"]}
    assert view["groups"][0]["rank_ic"] == whole
    assert [line["name"] for line in view["models"]] == ["b0_mlp"]


def test_the_figures_show_rank_ic_and_quantile_returns_by_horizon(view: dict[str, Any]) -> None:
    figures = {name: to_svg(figure) for name, figure in factor_figures(view).items()}
    assert list(figures) == ["factor:rank_ic", "factor:quantiles"]
    assert all(f">{label}<" in figures["factor:rank_ic"] for label in ("1 session", "5 sessions", "20 sessions"))
    assert figures["factor:quantiles"].count(">Q5<") == len(HORIZONS)


def test_forecasts_that_rank_nothing_have_no_figure_of_quantiles() -> None:
    flat = table(skill=0.5).with_columns(q50=pl.lit(0.0))
    view = factor_view("ensemble", flat, [], groups=GROUPS.join(DAYS.to_frame("date"), how="cross"), horizon=5)
    assert [each["rank_ic"] for each in view["horizons"]] == [None] * len(HORIZONS)
    assert list(factor_figures(view)) == ["factor:rank_ic"]
