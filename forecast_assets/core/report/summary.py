"""The content of metrics.json: every number and sentence of the backtest report, and the run it comes from."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.backtest.costs import cost_in_words
from forecast_assets.core.backtest.metrics import strategy_metrics
from forecast_assets.core.backtest.risk_scores import risk_scores
from forecast_assets.core.backtest.strategies import EQUAL_WEIGHT, risk_strategies
from forecast_assets.core.errors import BadInput
from forecast_assets.core.evaluation.daily_losses import DAY, DailyLosses
from forecast_assets.core.evaluation.forecast_metrics import beside_uncalibrated, forecast_metrics
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.significance import Interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.report.coverage import CoverageContract, contract_verdict
from forecast_assets.core.report.headline import Findings, headline, pooled_coverage, tiles
from forecast_assets.core.report.survivorship import survivorship_in_words
from forecast_assets.core.report.tear_sheet import tear_sheet
from forecast_assets.core.report.verdicts import (
    coverage_verdict,
    pinball_verdict,
    return_difference_verdicts,
    sharpe_verdict,
)
from forecast_assets.core.scores.trading import EPS, TARGET_VOLATILITY, annual_mean, sessions_per_year
from forecast_assets.core.specs import BacktestSpec, VerdictSpec

FACTS = (
    "data_version",
    "config_hash",
    "seeds",
    "versions",
    "fits",
    "profile",
    "panel_first",
    "panel_last",
    "panel_rows",
)
"""Facts of the run that the caller must give; further ones are printed too."""

SEEN_YEARS = range(2019, 2026)  # test years that were evaluated before this project began


def summarise(
    *,
    losses: DailyLosses,
    daily: pl.DataFrame,
    facts: Mapping[str, Any],
    missing_years: Sequence[int],
    spec: BacktestSpec,
    model: str,
    baseline: str,
    compared: Sequence[str],
    rules: VerdictSpec,
    evidence: Mapping[str, Any] | None = None,
    contract: CoverageContract | None = None,
    importance: Mapping[str, Any] | None = None,
    neighbours: Sequence[Mapping[str, Any]] = (),
    reading: Sequence[tuple[str, str]] = (),
    rivals: Sequence[Mapping[str, Any]] = (),
    factor: Mapping[str, Any] | None = None,
    currency: Mapping[str, Any] | None = None,
    planted: Mapping[str, Any] | None = None,
    survivorship: Mapping[str, Any] | None = None,
    portfolio_risk: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of the backtest report, JSON-safe: an undefined number is null, never NaN.

    ``losses``: of all models, with ``model`` and ``baseline`` as references; ``daily``: joined tables of all strategies;
    ``facts``: at least ``FACTS``; ``missing_years``: requested years without results (the report is then partial);
    ``model``: the subject, as model and as strategy; ``baseline``: what pinball ratios refer to; ``compared``: models
    that ``model`` is compared with, in this order (without those that are absent or whose losses are another's);
    ``rules``: the smallest difference that matters; ``evidence``, ``importance``, ``rivals``, ``factor``, ``currency``,
    ``planted``, ``survivorship``, ``portfolio_risk``: from the modules of these names, None or empty without;
    ``contract``: coverage by cell, or None; ``neighbours``: from ``neighbours.most_moved``; ``reading``: from the
    panel's ``summary``. Shares and returns are fractions, losses in log-return units. Raises BadInput where a fact, the
    book or matured forecasts are missing.
    """
    metrics = beside_uncalibrated(forecast_metrics(losses, baseline=baseline))
    _require_inputs(facts, daily, metrics, model=model)
    market = daily.filter(pl.col("strategy") == EQUAL_WEIGHT)
    strategies = strategy_metrics(daily, market=market if market.height else None, spec=spec)
    total = strategies.filter(pl.col("year").is_null())
    years = sorted(daily["year"].unique().to_list())
    noise = TrainingNoise.of(losses.fits)
    found = Findings(
        forecasts=_pinball_verdicts(losses, noise, model=model, compared=compared, spec=spec, rules=rules),
        calibration=_calibration(metrics, contract, model=model),
        trading=sharpe_verdict(total.filter(pl.col("strategy") == model).row(0, named=True), strategy=model),
        selection=evidence["verdicts"] if evidence else (),
    )
    verdicts = _verdicts(found, daily, rivals, spec=spec)
    trials = trials_in_words(evidence["selection"]["trials"]) if evidence else f"not counted; {facts['fits']} fits"
    base = currency["base"] if currency else None
    return plain(
        {
            "facts": dict(facts),
            "model": model,
            "baseline": baseline,
            "over_baseline": _over_baseline(losses, noise, model=model, baseline=baseline, spec=spec)._asdict(),
            **_period(losses, years=years, missing_years=missing_years, model=model),
            "headline": headline(found),
            "tiles": tiles(found, coverage=pooled_coverage(losses, model=model, spec=spec), subject=model),
            "verdicts": verdicts,
            **_books(daily, strategies, model=model, spec=spec),
            "forecasts": _first(_with_intervals(metrics, losses, noise, baseline=baseline, spec=spec), "model", model),
            "forecasts_by_year": metrics.filter(pl.col("year").is_not_null()).to_dicts(),
            "smallest_difference": rules.smallest_difference,
            "evidence": _without_verdicts(evidence),
            **_coverage(contract),
            "importance": importance,
            "neighbours": list(neighbours),
            "reading": [list(line) for line in reading],
            "rivals": [dict(card) for card in rivals],
            "factor": factor,
            "currency": currency,
            "planted": planted,
            "survivorship": survivorship,
            "portfolio_risk": portfolio_risk,
            "not_tested": _not_tested(verdicts, evidence=evidence is not None, noise=noise, base=base),
            "caveats": general_caveats(years=years, trials=trials, facts=facts, base=base, survivors=survivorship),
        }
    )


def _verdicts(
    found: Findings, daily: pl.DataFrame, rivals: Sequence[Mapping[str, Any]], *, spec: BacktestSpec
) -> list[dict[str, Any]]:
    returns = return_difference_verdicts(daily, spec=spec)
    of_rivals = [entry for card in rivals for entry in card["verdicts"]]
    return [*found.forecasts, *returns, *of_rivals, found.trading, *found.calibration, *found.selection]


def _without_verdicts(evidence: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {key: value for key, value in evidence.items() if key != "verdicts"} if evidence else None


def _calibration(metrics: pl.DataFrame, contract: CoverageContract | None, *, model: str) -> list[dict[str, Any]]:
    by_group = [contract_verdict(contract.cells, model=model)] if contract else []
    return [coverage_verdict(metrics, model=model), *by_group]


def _coverage(contract: CoverageContract | None) -> dict[str, Any]:
    return {
        "coverage_cells": contract.cells.to_dicts() if contract else [],
        "coverage_limits": contract.limits.model_dump() if contract else None,
    }


def _period(losses: DailyLosses, *, years: Sequence[int], missing_years: Sequence[int], model: str) -> dict[str, Any]:
    dates = losses.scores.filter(pl.col("model") == model)["date"]
    at_hand = {"years": list(years), "missing_years": sorted(missing_years), "partial": bool(missing_years)}
    return {**at_hand, "first_decision": dates.min(), "last_decision": dates.max()}


def _books(daily: pl.DataFrame, strategies: pl.DataFrame, *, model: str, spec: BacktestSpec) -> dict[str, Any]:
    """Return the scores of the strategies and the rules that they were traded by."""
    total = strategies.filter(pl.col("year").is_null()).join(_annual_means(daily), on="strategy")
    return {
        "strategies": _first(total, "strategy", model),
        "risk_books": risk_scores(daily, (*risk_strategies(), EQUAL_WEIGHT), spec=spec),
        "target_volatility": TARGET_VOLATILITY,
        "tear_sheet": tear_sheet(daily, strategy=model),
        "strategies_by_year": strategies.filter(pl.col("year").is_not_null()).to_dicts(),
        "simulation": spec.model_dump(),
        "simulation_sentence": _simulation_sentence(spec),
    }


def _require_inputs(facts: Mapping[str, Any], daily: pl.DataFrame, metrics: pl.DataFrame, *, model: str) -> None:
    """Raise BadInput where a fact, the model's book or its matured forecasts are missing."""
    if absent := [name for name in FACTS if name not in facts]:
        raise BadInput(f"backtest report: facts {absent} are missing; have {sorted(facts)}")
    if model not in (have := sorted(daily["strategy"].unique())):
        raise BadInput(f"backtest report: no book of {model} among {have}; materialise backtest with it first")
    if model not in metrics["model"]:
        have = metrics["model"].unique().to_list()
        raise BadInput(f"backtest report: no matured test forecast of {model}; have {have}")


def plain(value: Any) -> Any:
    """Return the value in JSON's types: NaN and infinity become null, dates ISO text, tuples lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a summary holds numbers, texts, dates, lists and mappings, not {type(value).__name__}")


def _pinball_verdicts(
    losses: DailyLosses,
    noise: TrainingNoise,
    *,
    model: str,
    compared: Sequence[str],
    spec: BacktestSpec,
    rules: VerdictSpec,
) -> list[dict[str, Any]]:
    horizons = losses.scores["horizon"].unique().sort().to_list()
    verdicts: list[dict[str, Any]] = []
    seen: list[pl.DataFrame] = []
    for other in (name for name in compared if name in losses.models and name != model):
        pair = losses.pair(other, model).rename({"loss": "reference", "reference": "loss"})
        if any(_same_losses(pair, earlier) for earlier in seen):
            continue  # the same forecasts under another name, such as the best single fit of one year
        seen.append(pair)
        verdicts.append(
            pinball_verdict(
                Pair(model, other, pair),
                horizons=horizons,
                noise=noise,
                spec=spec,
                smallest=rules.smallest_difference,
            )
        )
    return verdicts


def _same_losses(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    columns = ["loss", "reference"]
    return first.select(DAY).equals(second.select(DAY)) and np.allclose(
        first.select(columns), second.select(columns), rtol=EPS, atol=0.0
    )


def _over_baseline(
    losses: DailyLosses, noise: TrainingNoise, *, model: str, baseline: str, spec: BacktestSpec
) -> Interval:
    """Return the model's pinball loss over the baseline's, averaged over the horizons that it was scored on."""
    scored = losses.scores.filter(pl.col("model") == model)["horizon"].unique().sort().to_list()
    return ratio_interval(Pair(model, baseline, losses.pair(model, baseline)), horizons=scored, noise=noise, spec=spec)


def _with_intervals(
    metrics: pl.DataFrame, losses: DailyLosses, noise: TrainingNoise, *, baseline: str, spec: BacktestSpec
) -> pl.DataFrame:
    """Return the rows over all years, with the interval of each pinball ratio."""
    total = metrics.filter(pl.col("year").is_null()).drop("year")
    intervals: list[dict[str, Any]] = []
    for name in total["model"].unique(maintain_order=True):
        pair = Pair(name, baseline, losses.pair(name, baseline))
        for horizon in total.filter(pl.col("model") == name)["horizon"]:
            found = Interval(1.0, 1.0, 1.0)
            if name != baseline:
                found = ratio_interval(pair, horizons=[horizon], noise=noise, spec=spec)
            ends = {"pinball_ratio_low": found.low, "pinball_ratio_high": found.high}
            intervals.append({"model": name, "horizon": horizon, **ends})
    table = pl.DataFrame(intervals, schema_overrides={"horizon": total.schema["horizon"]}, infer_schema_length=None)
    return total.join(table, on=["model", "horizon"], how="left", maintain_order="left")


def _annual_means(daily: pl.DataFrame) -> pl.DataFrame:
    """Return strategy and arithmetic gross_annual_mean, cost_annual_mean, net_annual_mean: gross less cost is net."""
    rows = []
    for (strategy,), book in daily.sort("strategy", "date").group_by("strategy", maintain_order=True):
        per_year = sessions_per_year(book["date"].to_numpy())
        means = {
            f"{name}_annual_mean": annual_mean(book[column].to_numpy(), sessions_per_year=per_year)
            for name, column in (("gross", "gross_return"), ("cost", "cost"), ("net", "net_return"))
        }
        rows.append({"strategy": strategy, **means})
    return pl.DataFrame(rows)


def _first(table: pl.DataFrame, column: str, name: str) -> list[dict[str, Any]]:
    """Return the rows with ``name`` first, the others in alphabetical order."""
    keys = [column, *(["horizon"] if "horizon" in table.columns else [])]
    return table.sort(pl.col(column) != name, *keys).to_dicts()


def _simulation_sentence(spec: BacktestSpec) -> str:
    execution = {
        "next_open": "at each ticker's next open",
        "same_close": "at the same close (optimistic: the price that the decision was made from)",
    }[spec.execution]
    return (
        f"Decided at the close, executed {execution}; {cost_in_words(spec.cost_bps)} of each trade's value on each side, "
        f"after netting; {spec.kelly_fraction:g} x Kelly on the {spec.horizon_sessions}-session forecast, in as many "
        f"tranches; smoothing {spec.smoothing:g}; at most {100 * spec.name_cap:g} % a ticker and {spec.gross_cap:g} x "
        f"gross; {spec.book} book{_neutrality(spec)}."
    )


def _neutrality(spec: BacktestSpec) -> str:
    if spec.book != "neutral":
        return ""
    return ", without net position, forecast scale or past beta in any region; a location without a view is no edge"


def _not_tested(
    verdicts: Sequence[Mapping[str, Any]], *, evidence: bool, noise: TrainingNoise, base: str | None
) -> list[str]:
    if evidence:
        selection = (
            "Selection beyond the count: trials are taken for independent, and the intervals above treat each strategy "
            "as the only trial; the verdicts under Selection do not."
        )
        impact = (
            "Fills: every trade is filled at its open, whatever its size; the capacity curve charges a rule of thumb "
            f"for it{'' if base else ', and adds amounts in different currencies'}."
        )
    else:
        selection = (
            "Selection: the intervals treat each strategy as the only trial; there is no deflated Sharpe ratio, "
            "PBO or SPA test."
        )
        impact = "Market impact and capacity: every trade fills at its open, whatever its size."
    training = (
        "Training noise of the books: returns are those of the fits that were trained, and only days are resampled."
    )
    if noise.pooled is None:
        training = (
            "Training noise: no network has two fits in a year, so nothing says how much of a difference is the seed's; "
            "only days are resampled."
        )
    return [
        *[f"{entry['claim']}: {entry['sentence']}" for entry in verdicts if entry["verdict"] == "not tested"],
        training,
        f"{impact} Borrow costs and interest on cash are zero{', in every currency' if base else ''}.",
        selection,
        "The MLP baseline's original: the baseline is a reimplementation; the original's own results are unknown.",
    ]


def trials_in_words(trials: Mapping[str, int]) -> str:
    """Return the trials by kind, from ``evidence.selection``: the one place that counts them."""
    kinds = f"{trials['fits']} fits, {trials['looks']} test-set evaluations, {trials['declared']} declared"
    return f"{trials['total']} ({kinds})"


def who_survived(facts: Mapping[str, Any]) -> str:
    """Return who is in the panel: survivors, unless ``facts`` of a universe say that membership is point in time."""
    if "members_ever" not in facts:
        return (
            "Survivorship: unless the panel was assembled point in time, it holds tickers that are known to have survived; "
            "long books look better than they would have been."
        )
    absent = facts["universe_without_prices"]
    left = (
        f"{absent} of the tickers that it lists have no prices in the panel ({facts['universe_unpriced']}); as far as these "
        "are tickers that went under, the panel still holds survivors."
        if absent
        else "Every ticker that it lists has prices in the panel."
    )
    return (
        f"Universe: members are taken point in time from the universe file, {facts['members_ever']} over time and "
        f"{facts['members_today']} on the panel's last day; fits, averages, ranks and books see members alone. {left}"
    )


def returns_in(base: str | None) -> str:
    """Return what the books' returns count in, in a sentence; ``base`` None: each in its own currency."""
    if base is None:
        return (
            "Returns are in each ticker's local currency, as if hedged at no cost; nothing is converted and no currency "
            "risk is counted."
        )
    return (
        f"Returns of the books are in {base}, unhedged: the value of a position moves with its exchange rate, and neither "
        "hedging nor the difference of interest rates earns or costs anything. Forecasts and their scores stay in each "
        "ticker's local currency."
    )


def general_caveats(
    *,
    years: Sequence[int],
    trials: str,
    facts: Mapping[str, Any],
    base: str | None = None,
    survivors: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the caveats that hold for every panel; ``trials``: their number in words; ``facts`` of the run; ``base``: the
    books' currency, None where each return counts in its own; ``survivors``: the section on survivorship.
    """
    seen = [year for year in years if year in SEEN_YEARS]
    evaluated = (
        f"The test years {seen[0]} to {seen[-1]} were evaluated before, while methods were chosen; only later data is "
        "untouched."
        if seen
        else None
    )
    sentences = [
        who_survived(facts),
        survivorship_in_words(survivors) if survivors else None,
        returns_in(base),
        evaluated,
        f"Trials so far: {trials}. Each test-set evaluation makes the best result look better than it is.",
    ]
    return [sentence for sentence in sentences if sentence]
