"""Titles of the models and strategies in reports."""

import json

import pytest

from forecast_assets.core.models.baselines import BASELINES
from forecast_assets.core.models.catalogue import CATALOGUE
from forecast_assets.core.report.titles import listed, title
from tools.pages import METRICS


def test_every_network_and_every_baseline_has_a_title() -> None:
    assert [title(model.key) for model in CATALOGUE] == [model.title for model in CATALOGUE]
    assert all(title(name) != name for name in BASELINES)


def test_every_name_in_a_published_report_has_a_title() -> None:
    summary = json.loads(METRICS.read_text(encoding="utf-8"))
    names = {row["strategy"] for row in summary["strategies"]} | {row["model"] for row in summary["forecasts"]}
    names |= set(summary["evidence"]["selection"]["candidates"])
    assert [name for name in names if title(name) == name] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("b0_mlp", "MLP baseline (4 lags)"),
        ("b0_mlp_naive", "MLP baseline, traded daily without smoothing"),
        ("ensemble_directional", "Ensemble, not neutral"),
        ("ensemble/late", "Ensemble, one session later"),
        ("ensemble_raw", "Ensemble, uncalibrated"),
        ("ewma_raw", "EWMA(0.94), uncalibrated"),
        ("b0_mlp_raw", "MLP baseline, uncalibrated"),
        ("b2_tft_ticker/1", "TFT + ticker embedding, fit 1"),
        ("b0_mlp/0", "MLP baseline, fit 0"),
        ("somebody/else", "somebody/else"),
        ("a_naive", "a_naive"),
    ],
)
def test_variants_and_fits_are_titled_by_their_model(name: str, expected: str) -> None:
    assert title(name) == expected


def test_a_list_of_names_is_one_line() -> None:
    assert listed(["ewma", "b0_mlp/0"]) == "EWMA(0.94) volatility; MLP baseline, fit 0"
    assert listed([]) == "none"
