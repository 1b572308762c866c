"""Selection weights over the years: literal weights in, sentences and rows out."""

import pytest

from forecast_assets.core.report.figure_style import to_svg
from forecast_assets.core.report.figures import weights_by_year
from forecast_assets.core.report.importance import importance

TFT = {
    2019: {"variables": {"gap": 0.5, "rsi": 0.3, "macd": 0.2}},
    2020: {"variables": {"gap": 0.3, "rsi": 0.5, "macd": 0.2}},
    2021: {"variables": {"gap": 0.4, "rsi": 0.6, "macd": 0.0}},
}


def test_weights_are_put_side_by_side_and_what_moves_is_counted() -> None:
    (entry,) = importance({"b1_tft": TFT})["networks"]
    assert entry["years"] == [2019, 2020, 2021]
    assert [v["name"] for v in entry["variables"]] == ["rsi", "gap", "macd"]
    assert entry["variables"][0]["weights"] == [0.3, 0.5, 0.6]
    assert entry["moved"] == pytest.approx(0.2)  # a fifth from gap to rsi, then a fifth from macd to both
    weights = {variable["name"]: variable["weights"] for variable in entry["variables"]}
    svg = to_svg(weights_by_year(weights, years=entry["years"], model="b1_tft"))
    assert svg.count("60 %") == 1
    assert "Selection weights of TFT: 3 of 3 variables" in svg


def test_networks_without_weights_and_folds_without_a_file_are_named() -> None:
    missing = dict.fromkeys((2019, 2020, 2021))
    found = importance(
        {"b0_mlp": {2019: {}}, "b1_tft": TFT, "b2": missing, "b3": missing, "b4": {2019: {}, 2021: None}}
    )
    assert [entry["model"] for entry in found["networks"]] == ["b1_tft"]
    assert found["sentences"] == [
        "TFT: most weight on rsi 47\u00a0%, gap 40\u00a0%, macd 13\u00a0%, of 3 variables; from one year to the next "
        "20\u00a0% of the "
        "weight moves to other variables.",
        "MLP baseline (4 lags); b4: no selection weights, since all variables enter alike.",
        "b2; b3, 2019 to 2021: these folds were trained before weights were published; train them again to see them.",
        "b4, 2021: these folds were trained before weights were published; train them again to see them.",
    ]


def test_one_year_does_not_show_stability() -> None:
    found = importance({"b1_tft": {2019: TFT[2019]}})
    assert found["networks"][0]["moved"] is None
    assert found["sentences"][0].endswith("one year does not show how stable that is.")
