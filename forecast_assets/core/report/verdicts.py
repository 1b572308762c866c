"""Sentences from numbers: each claim of the report with its estimate, its interval and what they allow to say.

"beats" and "loses" mean that the whole 95 % interval lies on one side; "no evidence" is a verdict like any other, and
"not tested" says that an input was not there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from forecast_assets.core.backtest.comparison import beta_hedge, return_difference
from forecast_assets.core.errors import BadInput
from forecast_assets.core.evaluation.significance import Interval, bootstrap_interval
from forecast_assets.core.specs import BacktestSpec, ResamplingSpec

COVERAGE_95_RANGE = (0.92, 0.98)
"""The plan's criterion for the 95 % band, asked of every year and horizon."""

RETURN_DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "naive": ("ensemble", "b0_mlp_naive", "B0 traded naively, every day and without smoothing"),
    "same rule": ("ensemble", "b0_mlp", "B0 with the same sizing and smoothing"),
    "directional": ("ensemble_directional", "b0_mlp_directional", "B0, neither book neutralised"),
    "hedged": ("ensemble", "b0_mlp", "B0, both hedged with a past-only beta"),
}
"""The four versions of return_difference, fixed in advance: our strategy, the rival's, and what is compared."""


def verdict(claim: str, outcome: str, sentence: str, interval: Interval | None = None) -> dict[str, Any]:
    """One entry of the report's first section; JSON-safe but for NaN, which ``summary.plain`` turns into null."""
    estimate, low, high = interval if interval is not None else (None, None, None)
    return {"claim": claim, "verdict": outcome, "sentence": sentence, "estimate": estimate, "low": low, "high": high}


def return_difference_verdicts(daily: pl.DataFrame, *, market: str, spec: BacktestSpec) -> list[dict[str, Any]]:
    """Ensemble against B0 at equal 10 % volatility, annual net return, in the four versions.

    ``daily``: joined daily table; ``market``: its equal-weight strategy, for the hedge. A version whose strategies are
    not in the table is "not tested".
    """
    have = set(daily["strategy"].unique())
    verdicts = []
    for version, (ours, rival, meaning) in RETURN_DIFFERENCES.items():
        claim = f"ReturnDifference, {version}: ensemble against {meaning}"
        needed = [ours, rival, *([market] if version == "hedged" else [])]
        if absent := [name for name in needed if name not in have]:
            verdicts.append(
                verdict(claim, "not tested", f"There is no book of {', '.join(absent)} in this run.")
                | {"version": version}
            )
            continue
        books = [daily.filter(pl.col("strategy") == name).sort("date") for name in (ours, rival)]
        if version == "hedged":
            index = daily.filter(pl.col("strategy") == market)
            books = [beta_hedge(book, index, cost_bps=spec.cost_bps) for book in books]
        found = return_difference(books[0], books[1], samples=spec.bootstrap_samples, seed=spec.seed).difference
        sentence = (
            f"{_points(found)} points a year at equal 10 % volatility, net of {spec.cost_bps:g} bp."
            if found.estimate == found.estimate
            else "One side never traded, so no difference is defined."
        )
        verdicts.append(verdict(claim, found.verdict, sentence, found) | {"version": version})
    return verdicts


def ratio_interval(losses: pl.DataFrame, *, horizons: Sequence[int], spec: ResamplingSpec) -> Interval:
    """Pinball loss over a rival's, averaged over horizons, with its interval.

    ``losses``: date, horizon, loss, reference - sums over the decisions of a day that both made. Days are resampled in
    blocks, all horizons together; only days on which every horizon has matured count.
    """
    wide = losses.filter(pl.col("horizon").is_in(list(horizons))).pivot(
        on="horizon", on_columns=list(horizons), index="date", values=["loss", "reference"]
    )
    table = (
        wide.drop_nulls().sort("date").select(*[f"loss_{h}" for h in horizons], *[f"reference_{h}" for h in horizons])
    )
    if not table.height:
        return Interval(float("nan"), float("nan"), float("nan"))
    count = len(horizons)
    return bootstrap_interval(
        table.to_numpy(),
        lambda days: float((days[:, :count].sum(axis=0) / days[:, count:].sum(axis=0)).mean()),
        samples=spec.bootstrap_samples,
        seed=spec.seed,
    )


def pinball_verdict(
    model: str, rival: str, overall: Interval, by_horizon: Mapping[int, Interval], *, digits: int = 3
) -> dict[str, Any]:
    """Does the model's distribution beat the rival's? Ratios below 1 are better."""
    outcome = Interval(1 - overall.estimate, 1 - overall.high, 1 - overall.low).verdict
    parts = "; ".join(f"{_ahead(horizon)} {_ratio(ratio, digits)}" for horizon, ratio in by_horizon.items())
    sentence = f"Pinball loss over {rival}'s, below 1 is better: {_ratio(overall, digits)} on average; {parts}."
    return verdict(f"Forecasts: {model} against {rival}", outcome, sentence, overall) | {"rival": rival}


def coverage_verdict(metrics: pl.DataFrame, *, model: str) -> dict[str, Any]:
    """Is the 95 % band's coverage inside the plan's range in every year and horizon? Each level is named."""
    low, high = COVERAGE_95_RANGE
    claim = f"Calibration: {model}'s 95 % band covers {100 * low:.0f} to {100 * high:.0f} % in every year and horizon"
    rows = metrics.filter(pl.col("model") == model)
    yearly, overall = rows.filter(pl.col("year").is_not_null()), rows.filter(pl.col("year").is_null()).sort("horizon")
    if not yearly.height:
        return verdict(claim, "not tested", "No forecast of a test year has matured.")
    worst = (
        yearly.with_columns(distance=(pl.col("coverage_95") - 0.95).abs())
        .sort("distance", "year", "horizon")
        .row(-1, named=True)
    )
    inside = yearly["coverage_95"].is_between(low, high)
    parts = "; ".join(
        f"{_ahead(row['horizon'])}: "
        f"95 % band {100 * row['coverage_95']:.1f} %, 90 % band {100 * row['coverage_90']:.1f} %"
        for row in overall.iter_rows(named=True)
    )
    sentence = (
        f"{inside.sum()} of {len(inside)} inside; furthest off {100 * worst['coverage_95']:.1f} % "
        f"({worst['year']}, {_ahead(worst['horizon'])}). Over all years, {parts}."
    )
    return verdict(claim, "met" if inside.all() else "missed", sentence)


def sharpe_verdict(row: Mapping[str, Any], *, strategy: str) -> dict[str, Any]:
    """Did the book earn anything net of costs? ``row``: the strategy's scores over all years."""
    values = [row[name] if row[name] is not None else float("nan") for name in ("sharpe", "sharpe_low", "sharpe_high")]
    interval = Interval(*values)
    hedged = "" if row["hedged_sharpe"] is None else f"; beta-hedged {_number(row['hedged_sharpe'])}"
    sentence = (
        f"Net Sharpe {_number(interval.estimate)} [{_number(interval.low)}, {_number(interval.high)}]{hedged}."
        if interval.estimate == interval.estimate
        else "The book never held anything: its Sharpe ratio is undefined."
    )
    return verdict(f"Trading: {strategy} net of costs against holding cash", interval.verdict, sentence, interval)


def require_strategies(daily: pl.DataFrame, *, strategy: str) -> None:
    """Raises BadInput where the daily table lacks the strategy the report is about."""
    if strategy not in daily["strategy"].unique():
        have = sorted(daily["strategy"].unique())
        raise BadInput(f"backtest report: no book of {strategy} among {have}; materialise backtest with it first")


def _points(interval: Interval) -> str:
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]".replace(
        "-", "\u2212"
    )


def _ratio(interval: Interval, digits: int) -> str:
    if interval.estimate != interval.estimate:
        return "-"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _ahead(horizon: int) -> str:
    return "1 session" if horizon == 1 else f"{horizon} sessions"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")
