"""Cards of rivals: the verdict on the RMSE against its own numbers, and what a reader is told of a file."""

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.report.rivals import RivalYears, error_verdict, rival_cards
from forecast_assets.core.rivals.score import RIVAL_LOSSES, no_losses
from forecast_assets.core.specs import BacktestSpec, VerdictSpec

DAYS = pl.date_range(dt.date(2021, 1, 4), dt.date(2021, 3, 31), interval="1d", eager=True)
SPEC = BacktestSpec(bootstrap_samples=200, horizon_sessions=5)
RECORD: dict[str, Any] = {
    **{"form": "mean and sigma", "returns": "simple", "timed": True, "validated": True, "unknown_tickers": []},
    **{
        "rows": 900,
        "placed": 870,
        "origins": 1000,
        "late": 0,
        "elsewhere": 0,
        "unknown_ticker": 0,
        "unknown_horizon": 0,
    },
}
NO_BOOKS = pl.DataFrame(schema={"rival": pl.String, "strategy": pl.String, "horizon": pl.Int32})


def scores(model: str, *, size: float, horizon: int = 1, days: pl.Series = DAYS, noise: float = 0.0) -> pl.DataFrame:
    """Daily sums of ten forecasts whose squared error is ``size`` ** 2, one day's more or less by ``noise``."""
    factor = 1 + noise * np.random.default_rng(0).standard_normal(len(days))
    sums = dict.fromkeys(("pinball", "crps", "absolute_error"), 10 * size) | {"inside_95": 9.5, "inside_90": 9.0}
    table = pl.DataFrame({"date": days, "squared_error": 10 * size**2 * factor}).with_columns(
        rival=pl.lit("friend"), model=pl.lit(model), horizon=horizon, n=10, signed=10, hits=6, rank_ic=0.1, **sums
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in RIVAL_LOSSES.items())


def books() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    parts = [
        pl.DataFrame({"date": DAYS, "net_return": rng.normal(mean, 0.01, len(DAYS))}).with_columns(
            strategy=pl.lit(name), rival=pl.lit("friend"), cost=0.0001, horizon=pl.lit(5, dtype=pl.Int32)
        )
        for name, mean in (("ensemble", 0.01), ("rival_friend", 0.0))
    ]
    return pl.concat(parts)


def cards(
    losses: pl.DataFrame, records: dict[int, dict[str, Any]], traded: pl.DataFrame | None = None
) -> list[dict[str, Any]]:
    found = RivalYears(records, losses, books() if traded is None else traded)
    return rival_cards(
        found,
        model="ensemble",
        noise=TrainingNoise({}, None, {}),
        spec=SPEC,
        rules=VerdictSpec(smallest_difference=0.001),
        traded=SPEC,
    )


BOTH = pl.concat(
    [
        scores("ensemble", size=0.019),
        scores("rival_friend", size=0.020),
        scores("ensemble", size=0.042, horizon=5),
        scores("rival_friend", size=0.040, horizon=5),
    ]
)


def test_the_rmse_of_both_is_one_sentence_with_ratio_interval_and_origins() -> None:
    found = error_verdict(BOTH, model="ensemble", rival="friend", spec=SPEC, smallest=0.001)
    overall = math.sqrt(((0.019 / 0.020) ** 2 + (0.042 / 0.040) ** 2) / 2)
    assert found["claim"] == "RMSE: Ensemble against friend"
    assert found["estimate"] == pytest.approx(overall)
    assert found["low"] == pytest.approx(found["high"])  # every day is like the others
    assert found["sentence"] == (
        "RMSE of log returns, ours over theirs, below 1 is better: 1.0012 [1.0012, 1.0012] on average; "
        "1 session 0.9500 [0.9500, 0.9500], that is 0.01900 over 0.02000, on 870 common forecast origins; "
        "5 sessions 1.0500 [1.0500, 1.0500], that is 0.04200 over 0.04000, on 870 common forecast origins; "
        "2021-01-04 to 2021-03-31. Days are resampled, fits of ours are not."
    )


@pytest.mark.parametrize(
    ("ours", "noise", "outcome"),
    [
        (0.019, 0.0, "beats"),
        (0.021, 0.0, "loses"),
        (0.020001, 0.0, "no difference that matters"),
        (0.0197, 0.5, "no evidence"),
    ],
)
def test_matching_is_no_difference_that_matters(ours: float, noise: float, outcome: str) -> None:
    losses = pl.concat([scores("ensemble", size=ours, noise=noise), scores("rival_friend", size=0.020)])
    assert error_verdict(losses, model="ensemble", rival="friend", spec=SPEC, smallest=0.001)["verdict"] == outcome


def test_a_few_days_in_common_are_not_judged() -> None:
    few = pl.concat([scores(name, size=0.02, days=DAYS[:3]) for name in ("ensemble", "rival_friend")])
    (card,) = cards(few, {2021: {"friend": RECORD}})
    assert card["verdicts"][0]["verdict"] == "not tested"
    assert card["verdicts"][0]["sentence"] == "3 days in common; an interval needs 20."
    assert [entry["claim"].split()[0] for entry in card["verdicts"]] == ["RMSE:", "Net"]


def test_a_rival_with_a_band_is_judged_on_rmse_pinball_and_its_book() -> None:
    (card,) = cards(pl.concat([scores("b0_mlp", size=0.03), BOTH]), {2021: {"friend": RECORD}})
    rmse, pinball, book = card["verdicts"]
    assert pinball["claim"] == "Forecasts: Ensemble against friend"
    assert pinball["estimate"] == pytest.approx((0.95 + 1.05) / 2)
    assert book["claim"] == (
        "Net return over friend, each at 10 % volatility: both sized alike, on the same origins and "
        "their 5-session forecasts"
    )
    assert book["verdict"] == "beats"
    assert {entry["rival"] for entry in (rmse, pinball, book)} == {"rival_friend"}
    shown = [("ensemble", 1), ("ensemble", 5), ("rival_friend", 1), ("rival_friend", 5), ("b0_mlp", 1)]
    assert [(row["model"], row["horizon"]) for row in card["scores"]] == shown
    assert card["sentences"] == [
        "Mean and sigma, given as simple returns and scored as log returns; 870 forecasts, 87.0 % of those that ours make "
        "over the same horizons in 2021, of which 1\u202f740 have matured and are scored.",
        "Each forecast that is scored was available before its ticker's next session opened, by the file's own times.",
    ]


def test_a_card_says_what_was_left_out_taken_on_trust_and_borrowed() -> None:
    left = {"late": 3, "unknown_ticker": 1, "unknown_tickers": [f"X{k}" for k in range(7)]}
    record = RECORD | {"form": "point forecast", "timed": False, "validated": False} | left
    (card,) = cards(BOTH, {2020: {"friend": record}, 2021: {"friend": record}})
    assert [entry["claim"].split()[0] for entry in card["verdicts"]] == ["RMSE:", "Net"]
    assert card["verdicts"][1]["claim"].endswith("their 5-session forecasts, sized by HAR-X's sigma")
    assert card["sentences"][1:] == [
        "Rows that are not scored: 6 available only after the open of the next session; 2 of tickers that the panel does "
        "not have. Tickers that the panel does not have: X0, X1, X2, X3, X4 and 2 more.",
        "The file does not say when each forecast was available: that it came before its outcome is taken on trust.",
        "A point forecast has no band, so pinball loss, CRPS and coverage are not scored; to size its book it is given "
        "HAR-X's band, moved to the forecast.",
        "It has no validation forecasts for 2020, 2021: there its calibration starts from nothing, and its whole median "
        "counts as a view.",
    ]


def books_of_zero_shot() -> pl.DataFrame:
    return books().with_columns(
        pl.col("strategy").str.replace("friend", "f0_chronos"), rival=pl.lit("f0_chronos", dtype=pl.String)
    )


ZERO_SHOT = {
    "weights": "chronos-mine",
    "trained_until": "2021-01-31",
    "context_sessions": 512,
    "levels": [0.1, 0.5, 0.9],
}


@pytest.mark.parametrize(
    ("levels", "declared", "parts"),
    [
        (
            [0.1, 0.5, 0.9],
            True,
            ("as its settings declare", "Its quantiles end at 0.1 and 0.9; those beyond go on as a"),
        ),
        ([0.01, 0.5, 0.99], False, ("since it was released then", "calibrated on or scored.")),
    ],
)
def test_a_zero_shot_card_says_by_what_and_since_when(
    levels: list[float], declared: bool, parts: tuple[str, str]
) -> None:
    made = {"zero_shot": ZERO_SHOT | {"levels": levels, "declared": declared}}
    earlier = {"f0_chronos": {"refused": "Trained on it."}}
    losses = BOTH.with_columns(
        pl.col("model").str.replace("friend", "f0_chronos"), rival=pl.lit("f0_chronos", dtype=pl.String)
    )
    (card,) = cards(losses, {2020: earlier, 2021: {"f0_chronos": RECORD | made}}, books_of_zero_shot())
    assert card["verdicts"][0]["claim"] == "RMSE: Ensemble against Chronos, zero-shot"
    assert card["sentences"][1].startswith(
        "Made here, zero-shot, by chronos-mine from each ticker's own last 512 closes. Its training may have seen days up "
    )
    assert parts[0] in card["sentences"][1]
    assert parts[1] in card["sentences"][1]
    assert ("a Normal's" in card["sentences"][1]) is (levels[0] == 0.1)
    assert card["sentences"][2] == "Trained on it."


def test_without_rules_of_a_book_forecasts_alone_are_compared() -> None:
    found = rival_cards(
        RivalYears({2021: {"friend": RECORD}}, BOTH, NO_BOOKS),
        model="ensemble",
        noise=TrainingNoise({}, None, {}),
        spec=SPEC,
        rules=VerdictSpec(smallest_difference=0.001),
        traded=None,
    )
    assert [entry["claim"].split()[0] for entry in found[0]["verdicts"]] == ["RMSE:", "Forecasts:"]


def test_a_refused_file_is_not_tested_with_its_reason_once() -> None:
    refused = {"bad.csv": {"refused": "bad.csv: no row."}}
    (card,) = cards(no_losses(), {2020: refused, 2021: refused}, NO_BOOKS)
    assert card["verdicts"] == [
        {"claim": "Rival bad.csv", "verdict": "not tested", "sentence": "bad.csv: no row.", "estimate": None}
        | {"low": None, "high": None, "measure": None}
    ]
    assert card["scores"] == []


@pytest.mark.parametrize(
    ("placed", "sentence"),
    [(0, "It has no forecast for a test origin of 2021."), (5, "None of its forecasts of these years has matured.")],
)
def test_a_rival_without_a_scored_forecast_says_why(placed: int, sentence: str) -> None:
    (card,) = cards(no_losses(), {2021: {"friend": RECORD | {"placed": placed}}}, NO_BOOKS)
    assert [(entry["verdict"], entry["sentence"]) for entry in card["verdicts"]] == [("not tested", sentence)]


def test_there_is_no_card_without_a_rival() -> None:
    assert cards(no_losses(), {2020: {}, 2021: {}}, NO_BOOKS) == []
