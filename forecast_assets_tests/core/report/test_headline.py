"""The sentence on top of the report, and its tiles."""

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest

from forecast_assets.core.evaluation.daily_losses import SCORES, DailyLosses
from forecast_assets.core.evaluation.significance import Interval
from forecast_assets.core.report.headline import Findings, headline, pooled_coverage, tiles
from forecast_assets.core.specs import BacktestSpec

BEATS = {"rival": "ewma", "verdict": "beats", "estimate": 0.979, "low": 0.97, "high": 0.99}
MET, MISSED, NOT_TESTED = ({"verdict": word} for word in ("met", "missed", "not tested"))
NO_PROFIT = {"verdict": "no evidence", "estimate": 0.2, "low": -0.5, "high": 0.9}
NO_PROFIT_WORDS = "there is no evidence of trading profit after costs"


@pytest.mark.parametrize(
    ("forecasts", "calibration", "words"),
    [
        ([BEATS], [MET], "Forecasts beat EWMA by 2.1 % and are calibrated"),
        ([BEATS], [MISSED], "Forecasts beat EWMA by 2.1 % but are not calibrated in every year and horizon"),
        (
            [BEATS],
            [MET, MISSED],
            "Forecasts beat EWMA by 2.1 % and are calibrated in every year, though not on every exchange or at every width",
        ),
        ([BEATS], [NOT_TESTED], "Forecasts beat EWMA by 2.1 % but their calibration is not tested"),
        (
            [BEATS | {"verdict": "loses", "estimate": 1.013}],
            [MET],
            "Forecasts lose to EWMA by 1.3 % but are calibrated",
        ),
        ([BEATS | {"verdict": "no evidence"}], [MISSED], "Forecasts show no evidence of beating EWMA and are not"),
        (
            [BEATS | {"verdict": "no difference that matters"}],
            [MET],
            "Forecasts are as good as those of EWMA, within the difference that matters, and are calibrated",
        ),
        ([BEATS | {"rival": "harx"}], [MET], "Forecasts beat HAR-X by 2.1 %"),
        ([BEATS | {"rival": "harx"}, BEATS], [MET], "Forecasts beat EWMA by 2.1 %"),
        ([], [MET], "Forecasts are compared with no other model but are calibrated"),
    ],
)
def test_the_headline_says_in_words_what_the_verdicts_are(
    forecasts: list[dict[str, Any]], calibration: list[dict[str, Any]], words: str
) -> None:
    sentence = headline(Findings(forecasts, calibration, NO_PROFIT))
    assert sentence.startswith(words)
    assert sentence.endswith(f"; {NO_PROFIT_WORDS}.")


@pytest.mark.parametrize(
    ("trading", "selection", "words"),
    [
        ("beats", [], "trading on them earned a profit after costs."),
        ("beats", ["beats", "beats"], "trading on them earned a profit after costs."),
        ("beats", ["no evidence"], "earned a profit after costs, which the number of trials may explain."),
        ("loses", ["beats"], "trading on them loses money after costs."),
    ],
)
def test_a_profit_that_the_number_of_trials_may_explain_is_called_so(
    trading: str, selection: list[str], words: str
) -> None:
    found = Findings([BEATS], [MET], {"verdict": trading}, [{"verdict": word} for word in selection])
    assert headline(found).endswith(words)


def test_there_are_four_tiles_each_with_its_interval_and_verdict() -> None:
    harder = BEATS | {"rival": "harx", "verdict": "no evidence", "estimate": 1.001, "low": 0.99, "high": 1.01}
    found = Findings([harder, BEATS], [MET], NO_PROFIT)
    made = tiles(found, coverage=Interval(0.951, 0.94, 0.96), subject="ensemble")
    assert [tuple(tile[name] for name in ("label", "value", "interval", "verdict")) for tile in made] == [
        ("Pinball loss against EWMA", "\u22122.1 %", "\u22123.0 % to \u22121.0 %", "beats"),
        ("95 % band covers", "95.1 %", "94.0 % to 96.0 %", "met"),
        ("Net Sharpe ratio, Ensemble", "0.20", "\u22120.50 to 0.90", "no evidence"),
        ("Pinball loss against HAR-X", "+0.1 %", "\u22121.0 % to +1.0 %", "no evidence"),
    ]


def test_a_comparison_not_made_has_no_tile_and_an_undefined_number_no_interval() -> None:
    nothing = {"verdict": "no evidence", "estimate": math.nan, "low": math.nan, "high": math.nan}
    made = tiles(Findings([], [MET], nothing), coverage=Interval(0.95, 0.94, 0.96), subject="ensemble")
    assert [(tile["value"], tile["interval"]) for tile in made] == [
        ("95.0 %", "94.0 % to 96.0 %"),
        ("-", "no interval"),
    ]


def test_coverage_is_that_of_all_forecasts_not_the_mean_of_the_days() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(40)]
    rows = [
        {"model": model, "horizon": horizon, "date": day, "n": 30 if k % 2 else 10, "inside_95": inside}
        for k, day in enumerate(days)
        for horizon in (1, 5)
        for model, inside in (("ensemble", 27.0 if k % 2 else 10.0), ("other", 0.0))
    ]
    scores = pl.DataFrame(rows, schema={name: SCORES[name] for name in rows[0]})
    nothing = pl.DataFrame()
    losses = DailyLosses(scores=scores, pairs=nothing, shared=nothing, fits=nothing)
    found = pooled_coverage(losses, model="ensemble", spec=BacktestSpec(bootstrap_samples=50))
    assert found.estimate == pytest.approx(37 / 40)
    assert 0.9 < found.low < found.estimate < found.high < 1.0
