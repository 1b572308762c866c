"""Verdicts of the report: each claim with its estimate, its interval and a sentence.

"beats" and "loses": the whole 95 % interval lies on one side; otherwise "no evidence". Forecasts are judged by the smallest
difference that matters too, see ``Interval.judged``. "not tested": an input is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from forecast_assets.core.backtest.comparison import ReturnDifference, beta_hedge, return_difference
from forecast_assets.core.backtest.costs import cost_in_words
from forecast_assets.core.backtest.strategies import EQUAL_WEIGHT
from forecast_assets.core.evaluation.loss_ratio import Pair, ratio_interval
from forecast_assets.core.evaluation.significance import NAN, Interval
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.report.formats import decimal, percent, points, session_count
from forecast_assets.core.report.titles import listed, title
from forecast_assets.core.scores.trading import TARGET_VOLATILITY
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec

COVERAGE_95_RANGE = (0.92, 0.98)  # the criterion for the 95 % band, applied to every year and horizon

NEARLY_EMPTY = 10  # a book that has to be scaled up by more to reach the target volatility

RETURN_DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "equal weight": ("ensemble", EQUAL_WEIGHT, "each as it is simulated"),
    "naive": ("ensemble", "b0_mlp_naive", "the baseline traded daily without smoothing"),
    "same rule": ("ensemble", "b0_mlp", "both sized alike"),
    "directional": ("ensemble_directional", "b0_mlp_directional", "neither book neutral"),
    "hedged": ("ensemble", "b0_mlp", "both beta-hedged (betas of past sessions only)"),
}
"""Versions of the comparison, fixed in advance: the ensemble's strategy, the other one's, and how both are traded."""


def verdict(
    claim: str, outcome: str, sentence: str, interval: Interval | None = None, *, measure: str | None = None
) -> dict[str, Any]:
    """Return one entry of the report's verdicts; ``summary.plain`` turns its NaN into null.

    ``measure``: what the interval is of, a key of ``forest.SCALES``.
    """
    estimate, low, high = interval if interval is not None else (None, None, None)
    numbers = {"estimate": estimate, "low": low, "high": high, "measure": measure}
    return {"claim": claim, "verdict": outcome, "sentence": sentence, **numbers}


def return_difference_verdicts(daily: pl.DataFrame, *, spec: BacktestSpec) -> list[dict[str, Any]]:
    """Return the ensemble's annual net return over another strategy's at equal 10 % volatility, in each version.

    ``daily``: joined daily table. A version whose strategies are not in the table, or the equal-weight book that a hedge
    needs, is "not tested".
    """
    have = set(daily["strategy"].unique())
    verdicts = []
    for version, (ensemble, baseline, _) in RETURN_DIFFERENCES.items():
        claim = return_difference_claim(version)
        needed = [ensemble, baseline, *([EQUAL_WEIGHT] if version == "hedged" else [])]
        if absent := [name for name in needed if name not in have]:
            sentence = f"Not simulated in this run: {listed(absent)}."
            verdicts.append(verdict(claim, "not tested", sentence) | {"version": version})
            continue
        first, second, *index = (daily.filter(pl.col("strategy") == name).sort("date") for name in needed)
        if index:
            first, second = (beta_hedge(book, index[0], cost_bps=spec.cost_bps) for book in (first, second))
        found = return_difference(first, second, samples=spec.bootstrap_samples, seed=spec.seed)
        start = first["date"].min() if index else None
        sentence = difference_sentence(found, (ensemble, baseline), spec=spec, hedged_from=start)
        entry = verdict(claim, found.interval.verdict, sentence, found.interval, measure="annual return")
        verdicts.append(entry | {"version": version, "costs": found.costs})
    return verdicts


def difference_sentence(
    found: ReturnDifference, strategies: tuple[str, str], *, spec: BacktestSpec, hedged_from: Any = None
) -> str:
    """Return the estimate in words: how much of it is costs where that is most, which book is nearly empty and only large
    because it is scaled, and since when both have been hedged.

    ``strategies``: the first's return is the larger where the estimate is positive.
    """
    estimate, low, high = found.interval
    if found.sessions < 2:
        return "Too few sessions to compare."
    if estimate != estimate:
        return "One of the two never traded, so no difference is defined."
    sentence = (
        f"{points(estimate)} [{points(low)}, {points(high)}] percentage points a year, net of "
        f"{cost_in_words(spec.cost_bps)} a side."
    )
    if found.mostly_costs:
        pays = "less" if found.costs > 0 else "more"
        sentence += (
            f" Most of it is commissions: {title(strategies[0])} pays {decimal(100 * abs(found.costs), 1)} points "
            f"{pays} at the same volatility."
        )
    for name, factor in zip(strategies, found.scaling, strict=True):
        if factor > NEARLY_EMPTY:
            sentence += (
                f" {title(name)} holds next to nothing: {percent(TARGET_VOLATILITY / factor)} volatility, scaled up "
                f"{factor:.0f} times here."
            )
    return sentence + (f" Measured from {hedged_from}, the first hedged session." if hedged_from else "")


def return_difference_claim(version: str) -> str:
    """Return the claim of a version of ``RETURN_DIFFERENCES``."""
    _, other, how = RETURN_DIFFERENCES[version]
    over = "equal weight" if other == EQUAL_WEIGHT else "the MLP baseline"
    return f"Net return over {over}, each at 10 % volatility: {how}"


def pinball_verdict(
    pair: Pair, *, horizons: Sequence[int], noise: TrainingNoise, spec: ResamplingSpec, smallest: float
) -> dict[str, Any]:
    """Return whether the model's forecasts beat the other's, by their ratio of pinball losses (below 1 is better).

    ``smallest``: the difference of the ratio from 1 below which none matters.
    """
    overall, *single = (
        ratio_interval(pair, horizons=chosen, noise=noise, spec=spec) for chosen in (horizons, *([h] for h in horizons))
    )
    outcome = Interval(1 - overall.estimate, 1 - overall.high, 1 - overall.low).judged(smallest=smallest)
    parts = "; ".join(f"{session_count(h)} {ratio_text(ratio)}" for h, ratio in zip(horizons, single, strict=True))
    sentence = f"Ratio of pinball losses, below 1 is better: {ratio_text(overall)} on average; {parts}."
    claim = f"Forecasts: {title(pair.model)} against {title(pair.other)}"
    return verdict(claim, outcome, sentence, overall, measure="loss ratio") | {"rival": pair.other}


def coverage_verdict(metrics: pl.DataFrame, *, model: str) -> dict[str, Any]:
    """Return whether the 95 % band's coverage is inside ``COVERAGE_95_RANGE`` in every year and horizon."""
    low, high = COVERAGE_95_RANGE
    span = f"{100 * low:.0f} to {100 * high:.0f} %"
    claim = f"Calibration: the 95 % band of {title(model)} covers {span} in every year and horizon"
    rows = metrics.filter(pl.col("model") == model)
    yearly, overall = rows.filter(pl.col("year").is_not_null()), rows.filter(pl.col("year").is_null()).sort("horizon")
    if not yearly.height:
        return verdict(claim, "not tested", "No forecast of a test year has matured.")
    worst = yearly.sort((pl.col("coverage_95") - 0.95).abs(), "year", "horizon").row(-1, named=True)
    inside = yearly["coverage_95"].is_between(low, high)
    parts = "; ".join(
        f"{session_count(row['horizon'])}: 95 % band {percent(row['coverage_95'])}, 90 % band {percent(row['coverage_90'])}"
        for row in overall.iter_rows(named=True)
    )
    sentence = (
        f"{inside.sum()} of {len(inside)} inside; furthest off {percent(worst['coverage_95'])} "
        f"({worst['year']}, {session_count(worst['horizon'])}). Over all years, {parts}."
    )
    return verdict(claim, "met" if inside.all() else "missed", sentence)


def sharpe_verdict(row: Mapping[str, Any], *, strategy: str) -> dict[str, Any]:
    """Return whether the book earned anything net of costs; ``row``: the strategy's scores over all years."""
    interval = Interval(*(NAN if row[name] is None else row[name] for name in ("sharpe", "sharpe_low", "sharpe_high")))
    hedged = (
        ""
        if row["hedged_sharpe"] is None
        else f"; beta-hedged {decimal(row['hedged_sharpe'])}, measured from {row['hedged_from']}, the first hedged session"
    )
    sentence = (
        f"Net Sharpe ratio {decimal(interval.estimate)} [{decimal(interval.low)}, {decimal(interval.high)}]{hedged}."
        if interval.estimate == interval.estimate
        else "Nothing was ever held: the Sharpe ratio is undefined."
    )
    claim = f"Trading: {title(strategy)}, net of costs, against holding cash"
    return verdict(claim, interval.verdict, sentence, interval, measure="Sharpe ratio")


def ratio_text(interval: Interval) -> str:
    """Return a ratio of losses with the digits that differences between networks show in."""
    if interval.estimate != interval.estimate:
        return "-"
    return f"{interval.estimate:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
