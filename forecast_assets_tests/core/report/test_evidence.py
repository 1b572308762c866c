"""The evidence on planted books: what counts as a candidate, and what the verdicts say."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from forecast_assets.core.evaluation.daily_losses import DailyLosses
from forecast_assets.core.evaluation.trials import Trial, TrialLog
from forecast_assets.core.report.evidence import Books, candidate_returns, comparisons, selection, selection_verdicts
from forecast_assets.core.specs import BacktestSpec, DeclaredTrial, VerdictSpec

DAYS = pl.date_range(dt.date(2022, 1, 3), dt.date(2023, 12, 29), interval="1d", eager=True)
DAYS = DAYS.filter(DAYS.dt.weekday() <= 5)
SPEC = BacktestSpec(bootstrap_samples=100)


def book(strategy: str, *, mean: float, seed: int, days: pl.Series = DAYS) -> pl.DataFrame:
    z = np.random.default_rng(seed).standard_normal(len(days))
    return pl.DataFrame({"date": days, "strategy": strategy, "net_return": mean + 0.01 * z})


def books(**means: float) -> Books:
    daily = pl.concat(book(name, mean=mean, seed=k) for k, (name, mean) in enumerate(means.items()))
    variants = pl.concat([book("m/0", mean=0.0, seed=90), book("ensemble/late", mean=0.0, seed=91)])
    empty = pl.DataFrame()
    return Books(joined=daily, variants=variants, positions=empty, trades=empty, liquid=empty)


def fits(count: int) -> TrialLog:
    return TrialLog.of(Trial(f"{k:04}", "fit", "m", "s", k, "2022", 0.1, False, "w") for k in range(count))


def test_benchmarks_and_the_late_book_are_no_candidates_and_gaps_disqualify() -> None:
    found = books(ensemble=0.0, equal_weight=0.0, random_walk=0.0, momentum=0.0, b0_mlp_naive=0.0)
    part = book("joined_later", mean=0.0, seed=5, days=DAYS[100:])
    found = Books(**{**vars(found), "variants": pl.concat([found.variants, part])})
    names, returns, dates = candidate_returns(found)
    assert names == ["ensemble", "m/0"]
    assert returns.shape == (len(DAYS), 2)
    assert dates.equals(DAYS)


def test_the_same_series_under_two_names_is_one_candidate() -> None:
    found = books(ensemble=0.001, b0_mlp=0.0)
    only_fit = found.joined.filter(pl.col("strategy") == "b0_mlp").with_columns(strategy=pl.lit("b0_mlp/0"))
    found = Books(**{**vars(found), "variants": pl.concat([found.variants, only_fit])})
    names, returns, _ = candidate_returns(found)
    assert names == ["b0_mlp", "ensemble", "m/0"]
    assert returns.shape[1] == 3
    tested = selection(found, fits(3), model="ensemble", spec=SPEC, rules=VerdictSpec())
    assert tested["overfitting"]["candidates"] == len(tested["candidates"]) == 3


def test_models_with_the_same_losses_are_tested_once() -> None:
    rng = np.random.default_rng(0)
    days = {"horizon": pl.Series([1] * len(DAYS), dtype=pl.Int32), "date": DAYS}
    other = 1.0 + 0.1 * rng.random(len(DAYS))
    own = {"best_member": other, "b1_tft": other, "ensemble": 0.9 * other, "ewma": other + 0.2 * rng.random(len(DAYS))}
    empty = pl.DataFrame()
    losses = DailyLosses(scores=empty, pairs=empty, shared=pl.DataFrame(days | dict(sorted(own.items()))), fits=empty)
    (entry,) = comparisons(losses, model="ensemble", baseline="ewma", spec=SPEC)
    assert [test["rival"] for test in entry["diebold_mariano"]] == ["b1_tft", "ewma"]
    assert entry["against_baseline"]["better"] == ("b1_tft", "ensemble")
    (subject,) = comparisons(losses, model="best_member", baseline="ewma", spec=SPEC)
    assert [test["rival"] for test in subject["diebold_mariano"]] == ["ensemble", "ewma"]


def test_a_strategy_that_burns_its_costs_does_not_raise_the_hurdle() -> None:
    found = [
        selection(books(ensemble=0.001, **other), fits(50), model="ensemble", spec=SPEC, rules=VerdictSpec())
        for other in ({"b": 0.0}, {"b": -0.02, "c": 0.02})
    ]
    assert found[0]["hurdle_sharpe"] == found[1]["hurdle_sharpe"]
    assert found[0]["skill_less_deviation"] == pytest.approx(2**-0.5, rel=0.01)  # two years of sessions
    assert found[0]["power"]["probability"] < 0.1  # 1.5 is hardly told from the best of 50 on two years


def test_the_verdict_says_what_the_hurdle_is_and_what_it_would_have_found() -> None:
    found = selection(books(ensemble=0.0, b=0.0), fits(50), model="ensemble", spec=SPEC, rules=VerdictSpec())
    sentence = selection_verdicts(found, model="ensemble")[0]["sentence"]
    assert "after 50 fits, 0 test-set evaluations and 0 declared trials" in sentence
    assert f"a standard error of {found['skill_less_deviation']:.2f} here" in sentence
    assert "A true one of 1.5 would be found with a probability of" in sentence


def test_more_trials_deflate_the_same_book() -> None:
    good = books(ensemble=0.0012, other=-0.0005)
    few, many = (selection(good, fits(count), model="ensemble", spec=SPEC, rules=VerdictSpec()) for count in (1, 5000))
    assert few["deflated_sharpe"] > many["deflated_sharpe"]
    assert few["hurdle_sharpe"] == 0.0 < many["hurdle_sharpe"]
    assert (many["trials"]["fits"], many["trials"]["total"]) == (5000, 5000)


def test_declared_trials_count_among_them() -> None:
    rules = VerdictSpec(declared_trials=(DeclaredTrial(name="x", sharpe=2.0), DeclaredTrial(name="y", sharpe=-2.0)))
    plain, declared = (
        selection(books(ensemble=0.001, b=0.0), fits(10), model="ensemble", spec=SPEC, rules=r)
        for r in (VerdictSpec(), rules)
    )
    assert declared["trials"]["total"] == plain["trials"]["total"] + 2
    assert [entry["name"] for entry in declared["declared_trials"]] == ["x", "y"]
    assert declared["hurdle_sharpe"] > plain["hurdle_sharpe"]


def test_the_candidate_that_earns_is_found_and_the_others_are_not() -> None:
    found = selection(books(ensemble=0.004, b=0.0, c=0.0), fits(1), model="ensemble", spec=SPEC, rules=VerdictSpec())
    assert found["against_cash"]["p_value"] < 0.05
    assert found["against_cash"]["better"] == ("ensemble",)
    assert found["overfitting"]["probability"] == 0.0


def test_a_short_history_has_no_overfitting_test_and_a_zero_position_no_sharpe() -> None:
    whole = books(ensemble=0.0, b=0.0)
    short = Books(**{**vars(whole), **{k: getattr(whole, k).filter(pl.col("date") < dt.date(2022, 3, 1))
                                       for k in ("joined", "variants")}})  # fmt: skip
    assert selection(short, fits(3), model="ensemble", spec=SPEC, rules=VerdictSpec())["overfitting"] is None
    idle = pl.when(pl.col("strategy") == "ensemble").then(0.0).otherwise(pl.col("net_return")).alias("net_return")
    resting = Books(**{**vars(whole), "joined": whole.joined.with_columns(idle)})
    found = selection(resting, fits(3), model="ensemble", spec=SPEC, rules=VerdictSpec())
    assert math.isnan(found["deflated_sharpe"])
