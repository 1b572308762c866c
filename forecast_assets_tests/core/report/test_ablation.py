"""The effect of each step: against ratios by hand, and as a page."""

import datetime as dt
import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.daily_losses import daily_losses, forecast_losses
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.evaluation.year_losses import AGES, new_listing_origins
from forecast_assets.core.report.ablation import ablation, new_listing_scores
from forecast_assets.core.report.figure_style import to_svg
from forecast_assets.core.report.html import render_ablation_report
from forecast_assets.core.report.report_figures import ablation_figures
from forecast_assets.core.specs import AblationSpec
from forecast_assets_tests.helpers.scores import normal_quantiles

DAYS, NAMES = 80, ["A", "B", "C"]
DATES = np.repeat(np.arange(DAYS) + np.datetime64("2022-11-01"), len(NAMES))
Y = np.random.default_rng(3).normal(0, 0.02, (DAYS * len(NAMES), 3))
SIGMA = {"b0_mlp": 0.05, "b1_tft": 0.02, "b2_tft_ticker": 0.0201, "ewma": 0.03, "ensemble": 0.02}
SPEC = AblationSpec(bootstrap_samples=50)
EVIL = "<script>alert(1)</script>"


def table(model: str) -> pl.DataFrame:
    quantiles = normal_quantiles(np.zeros(Y.shape), np.full(Y.shape, SIGMA[model]))
    return forecast_table(date=DATES, ticker=NAMES * DAYS, quantiles=quantiles, y=Y, split="test", model=model)


LOSSES = daily_losses((table(model) for model in SIGMA), references=list(SIGMA))


def summary(**changes: Any) -> dict[str, Any]:
    facts = {"profile": EVIL, "panel_first": "2020-01-01", "panel_last": "2023-01-31", "tickers": 3, "fits": 5}
    arguments: dict[str, Any] = {
        "models": ["ensemble", "b4_patchtst", "b1_tft", "b2_tft_ticker", "b0_mlp", "ewma"],
        "baseline": "ewma",
        "spec": SPEC,
        "facts": facts,
        "years": [2022, 2023],
        "missing_years": [],
        "rivals": [],
    }
    return ablation(LOSSES, [], **(arguments | changes))


def test_steps_have_ratios_and_intervals_and_absent_models_have_none() -> None:
    found = summary()
    steps = {(step["model"], step["rival"]): step for step in found["verdicts"]}
    assert set(steps) == {("b1_tft", "b0_mlp"), ("b2_tft_ticker", "b1_tft")}
    step = steps["b1_tft", "b0_mlp"]
    rows = forecast_losses(pl.concat([table("b1_tft"), table("b0_mlp")]))
    sums = rows.group_by("horizon", "model").agg(pl.col("pinball").sum()).pivot(on="model", values="pinball")
    assert step["estimate"] == pytest.approx((sums["b1_tft"] / sums["b0_mlp"]).mean())
    assert step["low"] < step["estimate"] < step["high"] < 1
    assert step["verdict"] == "beats"
    assert found["models"] == ["ensemble", "b1_tft", "b2_tft_ticker", "b0_mlp", "ewma"]
    assert len(found["against_each_other"]) == 5 * 4
    assert {row["year"] for row in found["scores_by_year"]} == {2022, 2023}
    json.dumps(found, allow_nan=False)


def test_the_page_shows_all_results_and_escapes_its_texts() -> None:
    scores = new_listing_scores(new_listings(*SIGMA), since=SINCE, baseline="ewma")
    found = ablation(LOSSES, scores, **arguments_of(summary()))
    html = render_ablation_report(found, {name: to_svg(figure) for name, figure in ablation_figures(found).items()})
    assert "An embedding of the ticker" in html
    assert EVIL not in html
    assert html.count("<svg") == 3
    partial = summary(missing_years=[2021])
    assert "PARTIAL" in render_ablation_report(partial, {})


def arguments_of(found: dict[str, Any]) -> dict[str, Any]:
    kept = {key: found[key] for key in ("models", "baseline", "facts", "years", "missing_years", "rivals")}
    return kept | {"spec": SPEC}


SINCE, LISTED = dt.date(2022, 12, 1), dt.date(2022, 12, 5)


def listing() -> pl.DataFrame:
    """First forecasts and their ages: A and B are listed before ``SINCE``, C on ``LISTED``."""
    decisions = pl.DataFrame({"date": DATES, "ticker": NAMES * DAYS}).with_columns(pl.col("date").cast(pl.Date))
    return new_listing_origins(decisions.filter((pl.col("ticker") != "C") | (pl.col("date") >= LISTED)))


def new_listings(*models: str) -> pl.DataFrame:
    """Losses of the models' forecasts for new listings."""
    rows = forecast_losses(pl.concat([table(model) for model in models]))
    return rows.join(listing(), on=["ticker", "date"])


def test_new_listings_are_scored_by_their_own_first_forecasts() -> None:
    ages = listing().filter(pl.col("ticker") == "C")
    assert ages["age"].to_list() == list(range(1, 1 + ages.height))
    assert set(ages["listed"]) == {LISTED}
    assert listing()["age"].max() == max(AGES)
    rows = new_listings("ensemble", "ewma")
    scores = new_listing_scores(rows, since=SINCE, baseline="ewma")
    first = next(row for row in scores if (row["model"], row["sessions"], row["horizon"]) == ("ensemble", 5, 1))
    five = rows.filter(
        pl.col("ticker") == "C", pl.col("horizon") == 1, pl.col("date").is_in(ages["date"][:5].implode())
    )
    sums = dict(five.group_by("model").agg(pl.col("pinball").sum()).rows())
    assert (first["n"], first["tickers"]) == (5, 1)
    assert first["pinball_ratio"] == pytest.approx(sums["ensemble"] / sums["ewma"])
    assert {row["sessions"] for row in scores} == set(AGES)
    assert new_listing_scores(rows, since=dt.date(2023, 12, 1), baseline="ewma") == []
