"""Drift of the features from a reference period: Kolmogorov-Smirnov distances with a block-resampled null.

The usual p value of the test assumes independent rows; on a panel of persistent, correlated features it rejects most of
the time without drift. The null distribution here comes from the reference period, resampled in blocks of sessions.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.monitoring.blocks import block_positions
from forecast_assets.core.specs import DriftSpec

GRID = 200  # quantiles of the reference at which two distributions are compared: a distance is exact to 1 / GRID


@dataclass(frozen=True)
class Periods:
    """Two periods of one feature panel, the recent one right after the reference."""

    reference: pl.DataFrame
    recent: pl.DataFrame


def split_periods(feature_panel: pl.DataFrame, *, spec: DriftSpec, as_of: dt.date) -> Periods:
    """Return the last ``recent_sessions`` union sessions up to ``as_of``, and up to ``reference_sessions`` before them.

    Raises BadInput where the panel has too few sessions for a reference of twice the recent period.
    """
    seen = feature_panel.filter(pl.col("date") <= as_of)
    sessions = seen["date"].unique().sort()
    if len(sessions) < (needed := 3 * spec.recent_sessions):
        raise BadInput(
            f"drift: {len(sessions)} sessions up to {as_of}, at least {needed} are needed; lower drift.recent_sessions"
        )
    border = sessions[-spec.recent_sessions]
    start = sessions[-min(len(sessions), spec.recent_sessions + spec.reference_sessions)]
    return Periods(
        reference=seen.filter((pl.col("date") >= start) & (pl.col("date") < border)),
        recent=seen.filter(pl.col("date") >= border),
    )


def feature_drift(
    reference: pl.DataFrame, recent: pl.DataFrame, *, features: Sequence[str], spec: DriftSpec
) -> pl.DataFrame:
    """Return the Kolmogorov-Smirnov distance of each feature between two periods, tested against no drift.

    ``reference`` and ``recent`` are rows of a feature panel (date, is_missing, features); filled rows, nulls and NaN
    are left out. Distances are taken over all rows of a period, at ``GRID`` pooled quantiles of the reference.

    The null: both periods are resampled from the reference in blocks of whole sessions, with all their tickers, each
    block as long as the recent period. Only k = reference / recent of these do not overlap, so the null's width is itself
    an estimate; as in Student's t, each draw is multiplied by sqrt(k / chi-squared(k)). The p value is (1 + draws at least
    as far) / (1 + draws). ``alert`` is the Benjamini-Hochberg rule over the features at ``spec.false_discovery_rate``
    (Benjamini and Hochberg 1995); there are at least features / rate draws, since with fewer the smallest p value could
    never pass it. A feature with values in the reference and no recent ones has no distance (null) and alerts.
    ``critical_distance``: exceeded without drift in a share ``rate`` of cases; among many features an alert takes more.

    Returns feature, ks_distance, critical_distance, p_value, alert: one row per feature, in the order given. Raises
    BadInput where a feature is missing or the reference is shorter than twice the recent period.
    """
    if absent := [name for name in features if name not in reference.columns or name not in recent.columns]:
        raise BadInput(f"drift: features {absent} are not in the feature panel; have {sorted(reference.columns)}")
    reference, recent = (frame.filter(~pl.col("is_missing")) for frame in (reference, recent))
    days, recent_days = reference["date"].n_unique(), recent["date"].n_unique()
    if not recent_days or days < 2 * recent_days:
        raise BadInput(
            f"drift: {recent_days} recent and {days} reference sessions; the reference must be at least twice as long"
        )

    draws = max(spec.bootstrap_samples, int(np.ceil(len(features) / spec.false_discovery_rate)))
    *weights, widening = _null_draws(spec.seed, draws=draws, sessions=days, recent=recent_days)
    session = reference["date"].rank("dense").to_numpy().astype(np.int64) - 1
    rows: list[tuple[str, float | None, float | None, float | None]] = []
    for name in features:
        old, new = _values(reference, name), _values(recent, name)
        finite_old, finite_new = np.isfinite(old), np.isfinite(new)
        if not finite_old.any() or not finite_new.any():
            rows.append((name, None, None, 0.0 if finite_old.any() else None))
            continue
        edges = np.unique(np.quantile(old[finite_old], np.linspace(0, 1, GRID + 1)))
        counts = _counts(old[finite_old], session[finite_old], edges=edges, sessions=days)  # (days, edges + 1)
        lately = _counts(new[finite_new], np.zeros(finite_new.sum(), np.int64), edges=edges, sessions=1)
        distance = float(_distance(lately, counts.sum(axis=0, keepdims=True))[0])
        null = widening * _distance(weights[0] @ counts, weights[1] @ counts)  # (draws,)
        critical = float(np.quantile(np.nan_to_num(null), 1 - spec.false_discovery_rate))
        rows.append((name, distance, critical, float((1 + np.sum(null >= distance - 1e-12)) / (1 + draws))))

    numbers = dict.fromkeys(("ks_distance", "critical_distance", "p_value"), pl.Float64)
    result = pl.DataFrame(rows, schema={"feature": pl.String, **numbers}, orient="row")
    alert = benjamini_hochberg(result["p_value"].fill_null(1.0).to_numpy(), rate=spec.false_discovery_rate)
    return result.with_columns(
        p_value=pl.when(pl.col("ks_distance").is_not_null()).then("p_value"), alert=pl.Series(alert)
    )


def benjamini_hochberg(p_values: NDArray[np.float64], *, rate: float) -> NDArray[np.bool_]:
    """Return which of (n,) p values are discoveries at rate ``rate``: all up to the last sorted p_k <= k rate / n."""
    n, ordered = len(p_values), np.sort(p_values)
    passed = ordered[ordered <= rate * np.arange(1, n + 1) / n]
    return p_values <= passed[-1] if passed.size else np.zeros(n, dtype=bool)


def _values(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


@lru_cache(maxsize=2)
def _null_draws(
    seed: int, *, draws: int, sessions: int, recent: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return the null's weights of the recent period and of the reference, (draws, sessions), and its widening (draws,).

    They depend on lengths alone, so that many nights share one draw.
    """
    generator = np.random.default_rng(seed)
    recently, reference = (
        _session_weights(generator, draws=draws, sessions=sessions, length=length, block=recent)
        for length in (recent, sessions)
    )
    blocks = sessions // recent
    return recently, reference, np.sqrt(blocks / generator.chisquare(blocks, size=draws))


def _session_weights(
    generator: np.random.Generator, *, draws: int, sessions: int, length: int, block: int
) -> NDArray[np.float32]:
    """Return how often each session is in each draw, (draws, sessions).

    Whole numbers, exact in single precision below 2 ** 24 rows of a period and twice as quick to sum.
    """
    positions = block_positions(generator, draws=draws, sessions=sessions, length=length, block=block)
    flat = (np.arange(draws)[:, None] * sessions + positions).ravel()
    return np.bincount(flat, minlength=draws * sessions).reshape(draws, sessions).astype(np.float32)


def _counts(
    values: NDArray[np.float64], session: NDArray[np.int64], *, edges: NDArray[np.float64], sessions: int
) -> NDArray[np.float32]:
    """Count the rows of each session between neighbouring edges (edges[i-1], edges[i]]: (sessions, edges + 1)."""
    bins = len(edges) + 1
    flat = session * bins + np.searchsorted(edges, values, side="left")
    return np.bincount(flat, minlength=sessions * bins).reshape(sessions, bins).astype(np.float32)


def _distance(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest difference (draws,) of the distribution functions of two (draws, bins) count tables.

    NaN where a draw has no row; it then counts as not as far.
    """
    with np.errstate(invalid="ignore"):
        a, b = (table / table[:, -1:] for table in (np.cumsum(of, axis=1, dtype=np.float64) for of in (left, right)))
    return np.abs(a - b).max(axis=1)
