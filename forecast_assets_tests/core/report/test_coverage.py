"""The report's part on the coverage contract."""

from typing import Any

import polars as pl
import pytest

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.report.coverage import (
    cell_in_words,
    contract_verdict,
    coverage_figures,
    coverage_table,
    is_outside,
)
from forecast_assets.core.report.figure_style import to_svg


def cell(group: str, name: str, covered: float, *, horizon: int, limits: tuple[float, float] | None) -> dict[str, Any]:
    low, high = limits or (None, None)
    scores = {f"coverage_{level}{end}": covered for level in (95, 90) for end in ("", "_low", "_high")}
    given = {"model": "ensemble", "group": group, "cell": name, "horizon": horizon, "tickers": 21, "pinball_ratio": 1.0}
    return {**given, **scores, "limit_low": low, "limit_high": high}


def cells(exchange: float, narrowest: float) -> list[dict[str, Any]]:
    found = []
    for horizon in HORIZONS:
        limits = (0.93, 0.97) if horizon == 1 else None
        found += [
            cell("all", "all", 0.95, horizon=horizon, limits=None),
            cell("exchange", "XETR", exchange, horizon=horizon, limits=limits),
            cell("volatility", "1", narrowest, horizon=horizon, limits=(0.92, 0.98)),
            cell("weekday", "Mon", 0.5, horizon=horizon, limits=None),
        ]
    return found


@pytest.mark.parametrize(
    ("exchange", "narrowest", "outcome", "sentence"),
    [
        (0.95, 0.95, "met", "Exchanges, next session: 0 of 1 outside; tenths by width, every horizon: 0 of 3 outside."),
        (
            0.928,
            0.925,
            "missed",
            "Exchanges, next session: 1 of 1 outside; tenths by width, every horizon: 0 of 3 outside. The worst, exchange "
            "XETR (21), 1 session: 92.8 % [92.8 %, 92.8 %], allowed 93 % to 97 %.",
        ),
        (
            0.92,
            0.90,
            "missed",
            "Exchanges, next session: 1 of 1 outside; tenths by width, every horizon: 3 of 3 outside. The worst, tenth of "
            "bands by width 1 (narrowest), 1 session: 90.0 % [90.0 %, 90.0 %], allowed 92 % to 98 %.",
        ),
    ],
)
def test_the_verdict_counts_what_is_outside_and_names_the_worst(
    exchange: float, narrowest: float, outcome: str, sentence: str
) -> None:
    found = contract_verdict(pl.DataFrame(cells(exchange, narrowest)), model="ensemble")
    assert (found["verdict"], found["sentence"]) == (outcome, sentence)


def test_a_model_without_cells_is_not_tested() -> None:
    assert contract_verdict(pl.DataFrame(cells(0.95, 0.95)), model="harx")["verdict"] == "not tested"


def test_the_table_has_a_row_a_cell_and_its_groups_heading_once() -> None:
    found = coverage_table(
        [*cells(0.9, 0.95), cell("exchange", "XFRA", 0.95, horizon=1, limits=None)], model="ensemble"
    )
    assert [(row["heading"], row["cell"]) for row in found if "XFRA" not in row["cell"]] == [
        ("All forecasts", "all"),
        ("Exchange (tickers)", "XETR (21)"),
        ("Width of the band", "1 (narrowest)"),
        ("Weekday", "Mon"),
    ]
    assert found[1]["horizons"][1]["outside"]
    assert not found[1]["horizons"][5]["outside"]  # no limit at that horizon
    assert found[-1]["heading"] == ""
    assert coverage_table(cells(0.9, 0.95), model="harx") == []


def test_the_figures_show_every_cell_of_their_groups() -> None:
    drawn = {name: to_svg(figure) for name, figure in coverage_figures(cells(0.9, 0.95), model="ensemble").items()}
    assert set(drawn) == {"cells:contract", "cells:others"}
    assert "XETR (21)" in drawn["cells:contract"]
    assert "1 (narrowest)" in drawn["cells:contract"]
    assert "Mon" in drawn["cells:others"]
    assert coverage_figures(cells(0.9, 0.95), model="harx") == {}


def test_a_cell_without_limits_is_never_outside() -> None:
    assert not is_outside(cell("weekday", "Mon", 0.1, horizon=1, limits=None))
    worded = cell_in_words(cell("volatility", "10", 0.91, horizon=20, limits=(0.92, 0.98)))
    assert worded.startswith("tenth of bands by width 10 (widest), 20 sessions: 91.0 %")
