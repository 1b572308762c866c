"""The evidence behind the verdicts: tests of selection, comparisons of forecasts, robustness of the book."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.backtest.robustness import capacity, cost_curve, delayed, universe_halves
from forecast_assets.core.backtest.strategies import EQUAL_WEIGHT
from forecast_assets.core.evaluation.daily_losses import DailyLosses
from forecast_assets.core.evaluation.multiple_testing import confidence_set, superior_ability
from forecast_assets.core.evaluation.overfitting import backtest_overfitting, deflated_sharpe, expected_max_sharpe
from forecast_assets.core.evaluation.significance import diebold_mariano
from forecast_assets.core.evaluation.trials import TrialCount, TrialLog, count_trials
from forecast_assets.core.report.formats import decimal, p_value, percent
from forecast_assets.core.report.titles import listed, title
from forecast_assets.core.report.verdicts import verdict
from forecast_assets.core.scores.trading import sessions_per_year, sharpe
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec, VerdictSpec

LATE = "/late"
"""Suffix of the variant that trades one session later than the rules say."""

NOT_CHOSEN = (EQUAL_WEIGHT, "random_walk")
"""Benchmarks that are not candidates for selection."""

SESSIONS_PER_BLOCK = 20
CONFIDENCE = 0.95
OVERFITTING_LIMIT = 0.05


@dataclass(frozen=True)
class Books:
    """The simulated books: tables of all years, one below the other."""

    joined: pl.DataFrame
    """Daily table of the strategies, changes of year charged."""
    daily: pl.DataFrame
    """The same with every year from cash, as the variants are."""
    variants: pl.DataFrame
    """Daily table of single fits and of the late book; every year from cash."""
    positions: pl.DataFrame
    trades: pl.DataFrame
    liquid: pl.DataFrame
    """As from ``robustness.liquidity``, of the days and tickers that traded."""


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

    Every year starts from cash. A candidate without a return on each session is left out.
    """
    everything = pl.concat([books.daily, books.variants]).filter(
        ~pl.col("strategy").is_in(NOT_CHOSEN) & ~pl.col("strategy").str.ends_with(LATE)
    )
    names = sorted(everything["strategy"].unique().to_list())
    wide = everything.pivot(on="strategy", on_columns=names, index="date", values="net_return").sort("date")
    complete = [name for name in names if wide[name].null_count() == 0]
    return complete, wide.select(complete).to_numpy(), wide["date"]


def selection(
    books: Books, trial_log: TrialLog, *, model: str, spec: BacktestSpec, rules: VerdictSpec
) -> dict[str, Any]:
    """Return deflated Sharpe ratio, PBO and SPA. A test whose input is too small is None."""
    names, returns, dates = candidate_returns(books)
    per_year = sessions_per_year(dates.to_numpy())
    sharpes = [sharpe(returns[:, k], sessions_per_year=per_year) for k in range(len(names))]
    count = count_trials(trial_log, rules.declared_trials, candidate_sharpes=sharpes, sessions_per_year=per_year)
    trials = max(count.total, 1)
    own = books.joined.filter(pl.col("strategy") == model).sort("date")["net_return"].to_numpy()
    blocks = rules.overfitting_blocks
    overfitting = None
    if len(returns) >= SESSIONS_PER_BLOCK * blocks:
        overfitting = backtest_overfitting(returns, blocks=blocks)._asdict()
    superiority = superior_ability(
        np.zeros(len(returns)), -returns, names=names, samples=spec.bootstrap_samples, seed=spec.seed
    )
    return {
        "trials": _counted(count, per_year=per_year),
        "candidates": names,
        "deflated_sharpe": deflated_sharpe(own, trials=trials, trial_sharpe_variance=count.sharpe_variance),
        "hurdle_sharpe": expected_max_sharpe(trials=trials, trial_sharpe_variance=count.sharpe_variance)
        * per_year**0.5,
        "sharpe": sharpe(own, sessions_per_year=per_year),
        "overfitting": overfitting,
        "against_cash": {"p_value": superiority.p_value, "better": superiority.better},
    }


def comparisons(losses: DailyLosses, *, model: str, baseline: str, spec: ResamplingSpec) -> list[dict[str, Any]]:
    """Compare the models per horizon, on daily cross-sectional mean pinball losses of the decisions that all share.

    Returns Diebold-Mariano of ``model`` against each other one; SPA and StepM of all against ``baseline``; the model
    confidence set of all.
    """
    wide = losses.shared
    names = [name for name in wide.columns if name not in ("horizon", "date")]
    entries = []
    for (horizon,), rows in wide.group_by("horizon", maintain_order=True):
        table = rows.select(names).to_numpy()
        if len(table) <= 2 * int(horizon) + 1:
            continue  # too few matured days for a test
        pairs = [name for name in names if name != model] if model in names else []
        column = names.index(model) if pairs else 0
        options: dict[str, Any] = {"samples": spec.bootstrap_samples, "seed": spec.seed}
        others = [k for k, name in enumerate(names) if name != baseline]
        reference = table[:, names.index(baseline)]
        better = superior_ability(reference, table[:, others], names=[names[k] for k in others], **options)
        entries.append(
            {
                "horizon": horizon,
                "days": len(table),
                "diebold_mariano": [
                    {
                        "rival": other,
                        **diebold_mariano(
                            table[:, column] - table[:, names.index(other)],
                            horizon_sessions=int(horizon),
                        )._asdict(),
                    }
                    for other in pairs
                ],
                "against_baseline": {"p_value": better.p_value, "better": better.better},
                "confidence_set": [
                    {"model": name, "p_value": p_value}
                    for name, p_value in confidence_set(table, names=names, **options).items()
                ],
            }
        )
    return entries


def robustness(books: Books, *, model: str) -> dict[str, Any]:
    """Return the book at other costs, sizes and delays, and by halves of the universe."""
    joined, daily, positions, trades = (
        table.filter(pl.col("strategy") == model).sort("date")
        for table in (books.joined, books.daily, books.positions, books.trades)
    )
    late = books.variants.filter(pl.col("strategy") == model + LATE).sort("date")
    return {
        "costs": cost_curve(joined),
        "capacity": capacity(joined, trades, books.liquid),
        "delay": delayed(daily, late) if late.height else None,
        "halves": universe_halves(daily, positions, trades),
    }


def _counted(count: TrialCount, *, per_year: float) -> dict[str, Any]:
    fields = asdict(count)
    deviation = (fields.pop("sharpe_variance") * per_year) ** 0.5
    return {**fields, "total": count.total, "sharpe_deviation": deviation}


def selection_verdicts(found: Mapping[str, Any], *, model: str) -> list[dict[str, Any]]:
    """Return the verdicts of ``selection``'s numbers."""
    trials, probability = found["trials"], found["deflated_sharpe"]
    claim = f"Selection: Sharpe ratio of {title(model)}, with {trials['total']} trials counted"
    entries = [
        verdict(
            claim,
            "beats" if probability >= CONFIDENCE else "no evidence",
            f"Deflated Sharpe ratio {percent(probability)}: the probability that the true one is above zero after "
            f"{trials['fits']} fits, {trials['looks']} test-set evaluations and {trials['declared']} declared trials. "
            f"The best of as many without skill would be expected at {decimal(found['hurdle_sharpe'])}; "
            f"this one has {decimal(found['sharpe'])}."
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
