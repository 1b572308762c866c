"""Verdicts of the report: each claim with its estimate, its interval and a sentence.

"beats" and "loses": the whole 95 % interval lies on one side; otherwise "no evidence". "not tested": an input is missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from forecast_assets.core.backtest.comparison import beta_hedge, return_difference
from forecast_assets.core.backtest.costs import cost_in_words
from forecast_assets.core.evaluation.significance import NAN, Interval, bootstrap_interval
from forecast_assets.core.report.formats import decimal, percent, points, session_count
from forecast_assets.core.report.titles import listed, title
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec

COVERAGE_95_RANGE = (0.92, 0.98)  # the criterion for the 95 % band, applied to every year and horizon

RETURN_DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "naive": ("ensemble", "b0_mlp_naive", "the baseline traded daily without smoothing"),
    "same rule": ("ensemble", "b0_mlp", "both sized alike"),
    "directional": ("ensemble_directional", "b0_mlp_directional", "neither book neutral"),
    "hedged": ("ensemble", "b0_mlp", "both beta-hedged (betas of past sessions only)"),
}
"""Versions of the comparison, fixed in advance: the ensemble's strategy, the MLP baseline's, and how both are traded."""


def verdict(claim: str, outcome: str, sentence: str, interval: Interval | None = None) -> dict[str, Any]:
    """Return one entry of the report's first section; ``summary.plain`` turns its NaN into null."""
    estimate, low, high = interval if interval is not None else (None, None, None)
    return {"claim": claim, "verdict": outcome, "sentence": sentence, "estimate": estimate, "low": low, "high": high}


def return_difference_verdicts(daily: pl.DataFrame, *, market: str, spec: BacktestSpec) -> list[dict[str, Any]]:
    """Return the ensemble's annual net return over the MLP baseline's at equal 10 % volatility, in each version.

    ``daily``: joined daily table; ``market``: its equal-weight strategy, for the hedge. A version whose strategies are
    not in the table is "not tested".
    """
    have = set(daily["strategy"].unique())
    verdicts = []
    for version, (ensemble, baseline, _) in RETURN_DIFFERENCES.items():
        claim = return_difference_claim(version)
        needed = [ensemble, baseline, *([market] if version == "hedged" else [])]
        if absent := [name for name in needed if name not in have]:
            sentence = f"Not simulated in this run: {listed(absent)}."
            verdicts.append(verdict(claim, "not tested", sentence) | {"version": version})
            continue
        first, second, *index = (daily.filter(pl.col("strategy") == name).sort("date") for name in needed)
        if index:
            first, second = (beta_hedge(book, index[0], cost_bps=spec.cost_bps) for book in (first, second))
        found = return_difference(first, second, samples=spec.bootstrap_samples, seed=spec.seed)
        sentence = (
            f"{points(found.estimate)} [{points(found.low)}, {points(found.high)}] percentage points a year, net of "
            f"{cost_in_words(spec.cost_bps)} a side."
            if found.estimate == found.estimate
            else "One of the two never traded, so no difference is defined."
        )
        verdicts.append(verdict(claim, found.verdict, sentence, found) | {"version": version})
    return verdicts


def return_difference_claim(version: str) -> str:
    """Return the claim of a version of ``RETURN_DIFFERENCES``."""
    return f"Net return over the MLP baseline, each at 10 % volatility: {RETURN_DIFFERENCES[version][2]}"


def ratio_interval(losses: pl.DataFrame, *, horizons: Sequence[int], spec: ResamplingSpec) -> Interval:
    """Return a model's pinball loss over another's, averaged over horizons, with its interval.

    ``losses``: date, horizon, loss, reference - sums over the decisions of a day that both made. Days are resampled in
    blocks, all horizons together; only days on which every horizon has matured count.
    """
    matured = losses.filter(pl.col("horizon").is_in(list(horizons)))
    wide = matured.pivot(on="horizon", on_columns=list(horizons), index="date", values=["loss", "reference"])
    columns = [f"{name}_{horizon}" for name in ("loss", "reference") for horizon in horizons]
    table = wide.drop_nulls().sort("date").select(columns).to_numpy()
    if not len(table):
        return Interval(NAN, NAN, NAN)

    def mean_ratio(days: Floats) -> float:
        return float((days[:, : len(horizons)].sum(axis=0) / days[:, len(horizons) :].sum(axis=0)).mean())

    return bootstrap_interval(table, mean_ratio, samples=spec.bootstrap_samples, seed=spec.seed)


def pinball_verdict(
    model: str, other: str, pair: pl.DataFrame, *, horizons: Sequence[int], spec: ResamplingSpec, digits: int = 3
) -> dict[str, Any]:
    """Return whether the model's forecasts beat another's, by their ratio of pinball losses (below 1 is better).

    ``pair``: losses of both as for ``ratio_interval``.
    """
    overall = ratio_interval(pair, horizons=horizons, spec=spec)
    by_horizon = {horizon: ratio_interval(pair, horizons=[horizon], spec=spec) for horizon in horizons}
    outcome = Interval(1 - overall.estimate, 1 - overall.high, 1 - overall.low).verdict
    parts = "; ".join(f"{session_count(horizon)} {_ratio(ratio, digits)}" for horizon, ratio in by_horizon.items())
    sentence = f"Ratio of pinball losses, below 1 is better: {_ratio(overall, digits)} on average; {parts}."
    return verdict(f"Forecasts: {title(model)} against {title(other)}", outcome, sentence, overall) | {"rival": other}


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
    hedged = "" if row["hedged_sharpe"] is None else f"; beta-hedged {decimal(row['hedged_sharpe'])}"
    sentence = (
        f"Net Sharpe ratio {decimal(interval.estimate)} [{decimal(interval.low)}, {decimal(interval.high)}]{hedged}."
        if interval.estimate == interval.estimate
        else "Nothing was ever held: the Sharpe ratio is undefined."
    )
    claim = f"Trading: {title(strategy)}, net of costs, against holding cash"
    return verdict(claim, interval.verdict, sentence, interval)


def _ratio(interval: Interval, digits: int) -> str:
    if interval.estimate != interval.estimate:
        return "-"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
