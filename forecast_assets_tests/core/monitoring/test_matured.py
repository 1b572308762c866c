import datetime as dt

import polars as pl

from forecast_assets.core.evaluation.forecast_table import FORECAST_SCHEMA, forecast_table
from forecast_assets.core.monitoring.matured import known_outcomes

DAYS = [dt.date(2024, 1, day) for day in (1, 2, 3, 4)]
PANEL = pl.DataFrame({"date": DAYS, "ticker": ["A"] * 4, "target_1d": [0.1, 0.2, 0.3, None]})


def forecasts(day: int, *, y: float | None = None, centre: float = 0.0, split: str = "test") -> pl.DataFrame:
    return forecast_table(
        date=pl.Series([DAYS[day]]),
        ticker=["A"],
        quantiles=[[[centre + k / 10 for k in range(-3, 4)]]],
        y=[[float("nan") if y is None else y]],
        split=split,
        model="ensemble",
        horizons=(1,),
    )


def matured(*nights: pl.DataFrame, walk: pl.DataFrame, as_of: int) -> list[tuple]:
    found = known_outcomes(walk, nights, feature_panel=PANEL, as_of=DAYS[as_of])
    assert found.schema == pl.Schema(FORECAST_SCHEMA)
    return found.filter(pl.col("y").is_not_null()).select("date", "q50", "y").rows()


def test_issued_forecasts_follow_the_walk_forward_with_the_panels_returns() -> None:
    found = matured(forecasts(1, centre=5.0), forecasts(2, centre=6.0), walk=forecasts(0, y=0.1), as_of=3)
    assert found == [(DAYS[0], 0.0, 0.1), (DAYS[1], 5.0, 0.2), (DAYS[2], 6.0, 0.3)]


def test_a_forecast_has_no_outcome_before_its_session_though_the_panel_holds_it() -> None:
    assert matured(forecasts(1), walk=forecasts(0, y=0.1), as_of=1) == [(DAYS[0], 0.0, 0.1)]
    assert matured(walk=forecasts(0, y=0.1), as_of=0) == []


def test_the_first_forecast_of_a_decision_counts_and_the_walk_forward_comes_first() -> None:
    assert matured(forecasts(1, centre=1.0), forecasts(1, centre=2.0), walk=forecasts(0, y=0.1), as_of=2)[1][1] == 1.0
    assert matured(forecasts(0, centre=3.0), walk=forecasts(0, y=0.1), as_of=2) == [(DAYS[0], 0.0, 0.1)]


def test_validation_forecasts_are_left_out() -> None:
    assert matured(walk=forecasts(0, y=0.1, split="validation"), as_of=3) == []


def test_a_forecast_that_has_not_matured_is_there_without_an_outcome() -> None:
    found = known_outcomes(forecasts(0, y=0.1), [forecasts(1, y=9.0)], feature_panel=PANEL, as_of=DAYS[1])
    assert found.select("date", "y").rows() == [(DAYS[0], 0.1), (DAYS[1], None)]
