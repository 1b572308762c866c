"""The evidence behind the verdicts: tests of selection, comparisons of forecasts, robustness of the book."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.backtest.robustness import capacity, cost_curve, delayed, universe_halves
from forecast_assets.core.backtest.strategies import EQUAL_WEIGHT, LATE, MOMENTUM, VOLATILITY_SORT
from forecast_assets.core.evaluation.daily_losses import DailyLosses
from forecast_assets.core.evaluation.multiple_testing import confidence_set, distinct_columns, superior_ability
from forecast_assets.core.evaluation.overfitting import (
    backtest_overfitting,
    deflated_sharpe,
    deflated_sharpe_power,
    expected_max_sharpe,
    skill_less_variance,
)
from forecast_assets.core.evaluation.significance import diebold_mariano
from forecast_assets.core.evaluation.trials import TrialLog, count_trials
from forecast_assets.core.report.formats import decimal, p_value, percent
from forecast_assets.core.report.titles import listed, title
from forecast_assets.core.report.verdicts import verdict
from forecast_assets.core.scores.trading import sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec, VerdictSpec

NAIVE = "_naive"  # suffix of the baseline that is traded daily without smoothing
NOT_CHOSEN = (EQUAL_WEIGHT, "random_walk", MOMENTUM, VOLATILITY_SORT)
"""Benchmarks, which nobody would select: among candidates they only make the choice of any other look sound."""

PLANTED_SHARPE = 1.5  # annual; the skill that the power of the deflated Sharpe ratio is stated for
SESSIONS_PER_BLOCK = 20
CONFIDENCE = 0.95
OVERFITTING_LIMIT = 0.05


@dataclass(frozen=True)
class Books:
    """The simulated books: tables of all years, one below the other."""

    joined: pl.DataFrame  # daily table of the strategies over all years
    variants: pl.DataFrame  # the same of single fits and of the late book
    positions: pl.DataFrame  # of the report's subject
    trades: pl.DataFrame  # of the report's subject
    liquid: pl.DataFrame  # as from ``robustness.liquidity``, of the days and tickers that traded


def evidence(
    *,
    losses: DailyLosses,
    books: Books,
    trial_log: TrialLog,
    model: str,
    baseline: str,
    spec: BacktestSpec,
    rules: VerdictSpec,
) -> dict[str, Any]:
    """Return verdicts (entries like ``verdicts.verdict``'s), selection, comparisons (one per horizon) and robustness.

    ``losses``: of all models; ``model``: the subject of the report. Numbers may be NaN.
    """
    found = selection(books, trial_log, model=model, spec=spec, rules=rules)
    return {
        "verdicts": selection_verdicts(found, model=model),
        "selection": found,
        "comparisons": comparisons(losses, model=model, baseline=baseline, spec=spec),
        "robustness": robustness(books, model=model),
    }


def candidate_returns(books: Books) -> tuple[list[str], np.ndarray, pl.Series]:
    """Return names, net returns (T, K) and sessions (T,) of the strategies and single fits that could have been selected.

    A candidate without a return on each session is left out, and so is one whose series is another's, such as the only
    fit of a model: it counts once.
    """
    benchmark = pl.col("strategy").is_in(NOT_CHOSEN)
    for suffix in (LATE, NAIVE):
        benchmark |= pl.col("strategy").str.ends_with(suffix)
    everything = pl.concat([books.joined, books.variants]).filter(~benchmark)
    names = sorted(everything["strategy"].unique().to_list())
    wide = everything.pivot(on="strategy", on_columns=names, index="date", values="net_return").sort("date")
    complete = [name for name in names if wide[name].null_count() == 0]
    returns = wide.select(complete).to_numpy()
    once = distinct_columns(returns)
    return [complete[k] for k in once], returns[:, once], wide["date"]


def selection(
    books: Books, trial_log: TrialLog, *, model: str, spec: BacktestSpec, rules: VerdictSpec
) -> dict[str, Any]:
    """Return deflated Sharpe ratio, PBO and SPA. A test whose input is too small is None.

    The hurdle of the deflated Sharpe ratio is set by the number of trials and sessions alone, by no other strategy.
    """
    names, returns, dates = candidate_returns(books)
    per_year = sessions_per_year(dates.to_numpy())
    count = count_trials(trial_log, rules.declared_trials)
    trials = max(count.total, 1)
    own = books.joined.filter(pl.col("strategy") == model).sort("date")["net_return"].to_numpy()
    variance = skill_less_variance(len(own))
    blocks = rules.overfitting_blocks
    testable = len(returns) >= SESSIONS_PER_BLOCK * blocks
    options: dict[str, Any] = {"names": names, "samples": spec.bootstrap_samples, "seed": spec.seed}
    superiority = superior_ability(np.zeros(len(returns)), -returns, **options)
    return {
        "trials": {**asdict(count), "total": count.total},
        "declared_trials": [trial.model_dump() for trial in rules.declared_trials],
        "claims": trial_log.claims(),
        "candidates": names,
        "deflated_sharpe": deflated_sharpe(own, trials=trials),
        "skill_less_deviation": (variance * per_year) ** 0.5,
        "power": {
            "true_sharpe": PLANTED_SHARPE,
            "probability": deflated_sharpe_power(
                true_sharpe=PLANTED_SHARPE / per_year**0.5, sessions=len(own), trials=trials, level=CONFIDENCE
            ),
        },
        "hurdle_sharpe": expected_max_sharpe(trials=trials, trial_sharpe_variance=variance) * per_year**0.5,
        "sharpe": sharpe(own, sessions_per_year=per_year),
        "overfitting": backtest_overfitting(returns, blocks=blocks)._asdict() if testable else None,
        "against_cash": superiority._asdict(),
    }


def comparisons(losses: DailyLosses, *, model: str, baseline: str, spec: ResamplingSpec) -> list[dict[str, Any]]:
    """Compare the models per horizon, on daily cross-sectional mean pinball losses of the decisions that all share.

    Returns Diebold-Mariano of ``model`` against each other one; SPA and StepM of all against ``baseline``; the model
    confidence set of all. Of models whose losses are the same, such as the best single fit in a year of which it
    is a network's only one, the first counts.
    """
    names = _distinct_models(losses, first=(model, baseline))
    others = [name for name in names if name != baseline]
    rivals = [name for name in names if name != model] if model in names else []
    options: dict[str, Any] = {"samples": spec.bootstrap_samples, "seed": spec.seed}
    entries = []
    for (horizon,), rows in losses.shared.group_by("horizon", maintain_order=True):
        if rows.height <= 2 * int(horizon) + 1:
            continue  # too few matured days for a test
        better = superior_ability(rows[baseline].to_numpy(), rows.select(others).to_numpy(), names=others, **options)
        tests = [diebold_mariano(rows[model] - rows[other], horizon_sessions=int(horizon)) for other in rivals]
        best = confidence_set(rows.select(names).to_numpy(), names=names, **options)
        entries.append(
            {
                "horizon": horizon,
                "days": rows.height,
                "diebold_mariano": [
                    {"rival": name, **test._asdict()} for name, test in zip(rivals, tests, strict=True)
                ],
                "against_baseline": {"model": baseline, **better._asdict()},
                "confidence_set": [{"model": name, "p_value": p_value} for name, p_value in best.items()],
            }
        )
    return entries


def _distinct_models(losses: DailyLosses, *, first: Sequence[str]) -> list[str]:
    """Return the models of ``losses.shared`` in its order, without those that repeat another's losses.

    Of the same losses the name in ``first`` stays, otherwise the one that comes first.
    """
    table = losses.shared.drop("horizon", "date")
    names = sorted(table.columns, key=lambda name: name not in first)
    once = distinct_columns(table.select(names).to_numpy()) if table.height else range(len(names))
    kept = {names[k] for k in once}
    return [name for name in table.columns if name in kept]


def robustness(books: Books, *, model: str) -> dict[str, Any]:
    """Return the book at other costs, sizes and delays, and by halves of the universe."""
    joined, positions, trades = (
        table.filter(pl.col("strategy") == model).sort("date")
        for table in (books.joined, books.positions, books.trades)
    )
    late = books.variants.filter(pl.col("strategy") == model + LATE).sort("date")
    return {
        "costs": cost_curve(joined),
        "capacity": capacity(joined, trades, books.liquid),
        "delay": delayed(joined, late) if late.height else None,
        "halves": universe_halves(joined, positions, trades),
    }


def selection_verdicts(found: Mapping[str, Any], *, model: str) -> list[dict[str, Any]]:
    """Return the verdicts of ``selection``'s numbers."""
    trials, probability, power = found["trials"], found["deflated_sharpe"], found["power"]
    claim = f"Selection: Sharpe ratio of {title(model)}, with {trials['total']} trials counted"
    entries = [
        verdict(
            claim,
            "beats" if probability >= CONFIDENCE else "no evidence",
            f"Deflated Sharpe ratio {percent(probability)}: the probability that the true one is above zero after "
            f"{trials['fits']} fits, {trials['looks']} test-set evaluations and {trials['declared']} declared trials. "
            f"Without skill, a Sharpe ratio has a standard error of {decimal(found['skill_less_deviation'])} here, and the "
            f"best of as many is expected at {decimal(found['hurdle_sharpe'])}; this one has {decimal(found['sharpe'])}. "
            f"A true one of {decimal(power['true_sharpe'], 1)} would be found with a probability of "
            f"{percent(power['probability'], 0)}."
            if probability == probability
            else "Nothing was ever held: the Sharpe ratio is undefined.",
        )
    ]
    if (overfitting := found["overfitting"]) and overfitting["probability"] == overfitting["probability"]:
        share = overfitting["probability"]
        entries.append(
            verdict(
                f"Selection: choosing the best of {overfitting['candidates']} candidates by their past",
                "beats" if share <= OVERFITTING_LIMIT else "no evidence",
                f"The best in one half of the sessions was in the lower half in the other in {percent(share, 0)} of "
                f"{overfitting['splits']} splits (probability of backtest overfitting, PBO; 50 % is pure noise).",
            )
        )
    cash = found["against_cash"]
    if cash["p_value"] == cash["p_value"]:
        entries.append(
            verdict(
                f"Selection: any of {len(found['candidates'])} candidates against cash, all of them counted",
                "beats" if cash["p_value"] < 1 - CONFIDENCE else "no evidence",
                f"SPA p value {p_value(cash['p_value'])}; better than cash by the stepwise test: {listed(cash['better'])}.",
            )
        )
    return entries


def traded_liquidity(liquid: pl.LazyFrame, trades: pl.DataFrame, *, strategies: Sequence[str]) -> pl.DataFrame:
    """Return the rows of ``liquid`` on which one of the strategies traded, for ``Books``."""
    wanted = trades.lazy().filter(pl.col("strategy").is_in(list(strategies))).select("date", "ticker").unique()
    return liquid.join(wanted, on=["date", "ticker"], how="semi").collect()
