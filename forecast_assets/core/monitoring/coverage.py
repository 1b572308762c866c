"""Coverage monitors: a rule with fixed limits on daily coverage, and an alarm with limits calibrated on the model's past.

The fixed rule is crude, since on a small cross-section a perfect 95 % band exceeds 99 % on many days: information only.
The calibrated alarm is the one that warns.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.monitoring.blocks import block_positions
from forecast_assets.core.specs import DriftSpec

SESSIONS_PER_YEAR = 252
EPISODES = {"start": pl.Date, "end": pl.Date, "days": pl.UInt32, "side": pl.String, "ongoing": pl.Boolean}
"""An episode: first and last forecast day, days in it, "below", "above" or "both", and whether it is ongoing."""


@dataclass(frozen=True)
class CoverageLimits:
    """Limits of the alarm's statistic, an EWMA of covered ticker-days over an EWMA of ticker-days.

    It alarms outside [low, high] until half-way back to ``centre``. ``false_alerts_per_year``: on the resampled years
    that the limits were set on; ``history_days``: real days that these were drawn from.
    """

    centre: float
    low: float
    high: float
    decay: float
    mean_names: float
    false_alerts_per_year: float
    history_days: int


def coverage_by_day(forecasts: pl.DataFrame, *, model: str, horizon: int) -> pl.DataFrame:
    """Return the share of the matured cross-section inside the central 95 % and 90 % bands, per forecast day.

    Counts the matured test forecasts of one model and horizon. A band includes its ends.
    Returns date, names (u32), covered_95 (u32), coverage_95, coverage_90, sorted by date; no row on a day without one.
    """
    inside_95 = pl.col("y").is_between("q025", "q975")
    return (
        forecasts.filter(
            (pl.col("model") == model) & (pl.col("horizon") == horizon) & (pl.col("split") == "test"),
            pl.col("y").is_not_null(),
        )
        .group_by("date", maintain_order=True)
        .agg(
            names=pl.len(),
            covered_95=inside_95.sum(),
            coverage_95=inside_95.mean(),
            coverage_90=pl.col("y").is_between("q05", "q95").mean(),
        )
        .sort("date")
    )


def coverage_rule(daily_coverage: pl.DataFrame, spec: DriftSpec) -> pl.DataFrame:
    """Return the EPISODES of the fixed rule: the 95 % band covers less than ``coverage_low`` or more than ``coverage_high``
    of the matured cross-section on at least ``coverage_days`` days in a row.

    ``daily_coverage``: from ``coverage_by_day``.
    """
    share = daily_coverage["coverage_95"].to_numpy()
    below, above = share < spec.coverage_low, share > spec.coverage_high
    return _episodes(daily_coverage["date"], below=below, above=above, at_least=spec.coverage_days)


def calibrate_limits(history: pl.DataFrame, *, spec: DriftSpec) -> CoverageLimits:
    """Return the limits that a model with coverage as in ``history`` leaves ``spec.false_alerts_per_year`` times a year.

    ``history``: the walk-forward's ``coverage_by_day``, out of sample. Years of 252 days are resampled from it in blocks
    of ``spec.alarm_block_sessions`` days; half of the false alerts are allowed on each side, and each limit is the
    tightest that keeps to it. Raises BadInput where the history has fewer days than five blocks.
    """
    days, block = history.height, spec.alarm_block_sessions
    if days < (needed := 5 * block):
        raise BadInput(
            f"coverage alarm: {days} days of walk-forward coverage, at least {needed} are needed; "
            "forecast more test years or lower drift.alarm_block_sessions"
        )
    covered, names = (history[name].to_numpy().astype(np.float64) for name in ("covered_95", "names"))
    centre, mean_names = float(covered.sum() / names.sum()), float(names.mean())
    generator, draws = np.random.default_rng(spec.seed), spec.bootstrap_samples
    drawn = block_positions(generator, draws=draws, sessions=days, length=SESSIONS_PER_YEAR, block=block)
    paths = _smooth(covered[drawn], names[drawn], centre=centre, mean_names=mean_names, decay=spec.alarm_decay)
    budget = spec.false_alerts_per_year / 2
    low, false_low = _tightest(paths - centre, budget=budget)
    high, false_high = _tightest(centre - paths, budget=budget)
    return CoverageLimits(
        centre=centre,
        low=centre + low,
        high=centre - high,
        decay=spec.alarm_decay,
        mean_names=mean_names,
        false_alerts_per_year=false_low + false_high,
        history_days=days,
    )


def alarm_statistic(daily_coverage: pl.DataFrame, *, limits: CoverageLimits) -> pl.DataFrame:
    """Return the alarm's statistic by day: date and ``smoothed_coverage``; starts at the limits' centre."""
    covered, names = (daily_coverage[name].to_numpy().astype(np.float64)[None] for name in ("covered_95", "names"))
    smoothed = _smooth(covered, names, centre=limits.centre, mean_names=limits.mean_names, decay=limits.decay)
    return daily_coverage.select("date").with_columns(pl.Series("smoothed_coverage", smoothed[0]))


def coverage_alarm(daily_coverage: pl.DataFrame, *, limits: CoverageLimits) -> pl.DataFrame:
    """Return the EPISODES in which the smoothed 95 % coverage left its limits, each until it is half-way back."""
    away = alarm_statistic(daily_coverage, limits=limits)["smoothed_coverage"].to_numpy() - limits.centre
    below = alarming(away[None], limits.low - limits.centre)[0]
    above = alarming(-away[None], limits.centre - limits.high)[0]
    return _episodes(daily_coverage["date"], below=below, above=above, at_least=1)


def _smooth(
    covered: NDArray[np.float64], names: NDArray[np.float64], *, centre: float, mean_names: float, decay: float
) -> NDArray[np.float64]:
    """Return the EWMA of covered over the EWMA of names, (paths, days) each: a holiday with few tickers weighs little."""
    inside = np.full(len(covered), centre * mean_names)
    total = np.full(len(covered), mean_names)
    smoothed = np.empty_like(covered)
    for day in range(covered.shape[1]):
        inside = decay * inside + (1 - decay) * covered[:, day]
        total = decay * total + (1 - decay) * names[:, day]
        smoothed[:, day] = inside / total
    return smoothed


def alarming(away: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    """Return the days on which a statistic (paths, days) has been below ``limit`` (< 0) and not yet above half of it."""
    state = np.zeros(len(away), dtype=bool)
    on = np.zeros(away.shape, dtype=bool)
    for day in range(away.shape[1]):
        state = np.where(state, away[:, day] < limit / 2, away[:, day] < limit)
        on[:, day] = state
    return on


def _tightest(away: NDArray[np.float64], *, budget: float) -> tuple[float, float]:
    """Return the limit (<= 0) nearest to 0 at which paths alarm at most ``budget`` times on average, and how often.

    Searched from the outside in, since close to 0 alarms merge and their number falls again.
    """
    best = (float(min(away.min(), 0.0)), 0.0)  # never crossed on these paths: an alarm needs strictly less
    for limit in np.quantile(away.min(axis=1), np.linspace(0, 1, 101)):
        on = alarming(away, float(limit))
        starts = on[:, 0].sum() + (on[:, 1:] & ~on[:, :-1]).sum()
        rate = float(starts / len(away))
        if rate > budget or limit >= 0:
            break
        best = (float(limit), rate)
    return best


def _episodes(dates: pl.Series, *, below: NDArray[np.bool_], above: NDArray[np.bool_], at_least: int) -> pl.DataFrame:
    """Return the runs of at least ``at_least`` days below or above; ongoing where a run reaches the last day."""
    runs = (
        pl.DataFrame({"date": dates, "below": below, "above": above})
        .with_columns(outside=pl.col("below") | pl.col("above"), last=pl.col("date") == pl.col("date").max())
        .with_columns(run=pl.col("outside").rle_id())
        .filter("outside")
        .group_by("run", maintain_order=True)
        .agg(
            start=pl.col("date").first(),
            end=pl.col("date").last(),
            days=pl.len(),
            side=pl.when(pl.col("below").all())
            .then(pl.lit("below"))
            .when(pl.col("above").all())
            .then(pl.lit("above"))
            .otherwise(pl.lit("both"))
            .first(),
            ongoing=pl.col("last").any(),
        )
        .filter(pl.col("days") >= at_least)
    )
    return runs.select(list(EPISODES)).cast(EPISODES)  # type: ignore[arg-type]
