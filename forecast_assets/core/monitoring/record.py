"""The record of issued forecasts: coverage and loss against HAR-X by horizon, with evidence that holds at every look.

One number per session enters, the mean over its tickers, since tickers of a session are not independent. Its session is
scored once the outcomes of the one before are all known: a confidence sequence and an e-value need that the outcomes
before an outcome are known when its forecast is made, and forecasts over h sessions are made again before the first ones
have matured. So with one closing time every h-th session is scored, where exchanges close at different hours every
(h + 1)-th: the later exchange's outcome of a session is not known yet when the earlier one's next forecasts are made.
The sessions between could make records of their own, but each would need its share of the error probability.

A session waits until all its outcomes are known or ``GRACE_SESSIONS`` have passed, and the later ones wait for it: so a
score that stands never changes, which a record that is looked at every day may not.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.evaluation.anytime import (
    ConfidenceSequence,
    confidence_sequence,
    log_e_values,
    log_e_values_above,
)
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.scores.quantile import Floats, mean_sigma_from_quantiles, pinball

Days = NDArray[np.datetime64]

GRACE_SESSIONS = 10  # after a session's last outcome is due: exchanges shut for longer holidays, tickers stop
LARGEST_GAIN = 0.05
"""A session's loss difference is cut there, in shares of the loss that HAR-X expects: some three standard deviations of
the difference between two plain volatility forecasts, measured on 2014 to 2018."""
BANDS = {"95": (0.95, "q025", "q975"), "90": (0.90, "q05", "q95")}
REFERENCE_COLUMNS = tuple(f"harx_{name}" for name in QUANTILE_COLUMNS)
NAN = float("nan")
_EXPECTED = float(np.mean([NormalDist().pdf(NormalDist().inv_cdf(level)) for level in QUANTILES]))
"""Mean pinball loss of a Normal with standard deviation 1 under its own quantiles."""


@dataclass(frozen=True)
class Evidence:
    """A mean over the scored sessions, its confidence sequence and e-value, all as of the last one; NaN without any."""

    mean: float
    low: float
    high: float
    e_value: float
    largest_e_value: float  # so far; 20 is reached with a probability of at most 1 / 20 where there is nothing to find


@dataclass(frozen=True)
class HorizonScores:
    """The record at one horizon."""

    horizon_sessions: int
    forecasts: int  # that have matured, of all sessions
    sessions: int  # that have matured
    scored_sessions: int  # of these, far enough apart
    since: str | None  # first and last scored session
    until: str | None
    coverage: dict[str, Evidence]  # "95" and "90"; e-values against that coverage
    loss_ratio: float  # pinball loss over HAR-X's, of all matured forecasts that both made; NaN without any
    gain: Evidence  # loss saved against HAR-X, share of what HAR-X expects; e-values against "nothing is saved"
    cut_sessions: int  # scored ones whose gain or loss exceeded LARGEST_GAIN


def record_scores(forecasts: pl.DataFrame, *, sessions: Days, one_close: bool) -> list[HorizonScores]:
    """Score issued forecasts by horizon.

    ``forecasts``: date, ticker, horizon, quantiles, ``REFERENCE_COLUMNS`` (null where HAR-X has none), ``y`` and
    ``label_end`` (both null where not matured). ``sessions``: those of the panel, ascending, up to the last one known.
    ``one_close``: whether all tickers' exchanges close at the same time.
    """
    longest = HORIZONS[-1] if _ends_are_shared(forecasts) else 0
    return [
        _scores(h, by_session(forecasts, horizon=h, sessions=sessions, due=max(h, longest)), one_close=one_close)
        for h in HORIZONS
    ]


def _ends_are_shared(forecasts: pl.DataFrame) -> bool:
    """Return whether all outcomes of a forecast origin count as known with the longest, as on a union calendar."""
    ends = (
        forecasts.drop_nulls("label_end")
        .group_by("date", "ticker")
        .agg(pl.len().alias("n"), pl.col("label_end").n_unique())
    )
    several = ends.filter(pl.col("n") > 1)
    return bool(several.height) and several["label_end"].max() == 1


def by_session(forecasts: pl.DataFrame, *, horizon: int, sessions: Days, due: int) -> pl.DataFrame:
    """Return one row per session whose score stands, of a horizon whose outcomes are ``due`` sessions after a forecast.

    Sorted: date, last_end (of its outcomes), n, n_both, covered_95 and covered_90 (shares), loss and loss_harx (sums of
    pinball where both have a forecast), expected (sum of what HAR-X expects).
    """
    mine = forecasts.filter(pl.col("horizon") == horizon)
    place = np.searchsorted(sessions, mine["date"].to_numpy(), side="right") - 1 + due + GRACE_SESSIONS
    passed = place < len(sessions)
    deadline = np.where(passed, sessions[np.minimum(place, len(sessions) - 1)], np.datetime64("NaT"))
    mine = mine.with_columns(deadline=pl.Series(deadline.astype("datetime64[D]")))
    in_time = pl.col("y").is_not_null() & (pl.col("label_end") <= pl.col("deadline")).fill_null(value=True)
    complete = mine.group_by("date").agg(
        stands=pl.col("deadline").is_not_null().all() | pl.col("y").is_not_null().all()
    )
    open_dates = complete.filter(~pl.col("stands"))["date"]
    before = pl.col("date") < open_dates.min() if len(open_dates) else pl.lit(value=True)
    rows = mine.filter(in_time, before)
    y, own, reference = (rows.select(names).to_numpy() for names in (["y"], QUANTILE_COLUMNS, REFERENCE_COLUMNS))
    both = np.isfinite(reference.astype(np.float64)).all(axis=1)
    harx = np.where(both[:, None], reference.astype(np.float64), own)  # where it has none, nothing is counted
    losses = [pinball(y[:, 0], quantiles, levels=QUANTILES).mean(axis=-1) * both for quantiles in (own, harx)]
    sigma = mean_sigma_from_quantiles(harx)[1] * both
    return (
        rows.with_columns(both=both, loss=losses[0], loss_harx=losses[1], expected=_EXPECTED * sigma)
        .group_by("date", maintain_order=True)
        .agg(
            last_end=pl.col("label_end").max(),
            n=pl.len(),
            n_both=pl.col("both").sum(),
            **{f"covered_{name}": pl.col("y").is_between(low, high).mean() for name, (_, low, high) in BANDS.items()},
            **{name: pl.col(name).sum() for name in ("loss", "loss_harx", "expected")},
        )
        .sort("date")
    )


def far_enough_apart(
    date: NDArray[np.datetime64], last_end: NDArray[np.datetime64], *, one_close: bool
) -> NDArray[np.bool_]:
    """Return which sessions (S,), ascending, are scored: each first one whose forecasts were made when the outcomes of the
    scored one before were known.
    """
    chosen = np.zeros(len(date), dtype=bool)
    known = np.datetime64("0001-01-01")
    for place in range(len(date)):
        if date[place] > known or (one_close and date[place] == known):
            chosen[place], known = True, last_end[place]
    return chosen


def _scores(horizon: int, daily: pl.DataFrame, *, one_close: bool) -> HorizonScores:
    chosen = far_enough_apart(daily["date"].to_numpy(), daily["last_end"].to_numpy(), one_close=one_close)
    scored = daily.filter(pl.Series(chosen, dtype=pl.Boolean))
    paired = scored.filter(pl.col("n_both") > 0)
    gain = ((paired["loss_harx"] - paired["loss"]) / paired["expected"]).to_numpy()
    cut = np.clip(gain, -LARGEST_GAIN, LARGEST_GAIN)
    days = scored["date"]
    reference = float(daily["loss_harx"].sum())
    return HorizonScores(
        horizon_sessions=horizon,
        forecasts=int(daily["n"].sum()),
        sessions=daily.height,
        scored_sessions=scored.height,
        since=str(days[0]) if len(days) else None,
        until=str(days[-1]) if len(days) else None,
        coverage={
            name: _evidence(scored[f"covered_{name}"].to_numpy(), against=level)
            for name, (level, _, _) in BANDS.items()
        },
        loss_ratio=float(daily["loss"].sum()) / reference if reference > 0 else NAN,
        gain=_gain(cut),
        cut_sessions=int((np.abs(gain) > LARGEST_GAIN).sum()),
    )


def _evidence(shares: Floats, *, against: float) -> Evidence:
    return _last(confidence_sequence(shares), log_e_values(shares, mean=against))


def _gain(gain: Floats) -> Evidence:
    """Return the evidence on gains (S,) within LARGEST_GAIN, as outcomes between 0 and 1."""
    outcomes = (1.0 + gain / LARGEST_GAIN) / 2.0
    found = confidence_sequence(outcomes)
    bounds = (LARGEST_GAIN * (2.0 * each - 1.0) for each in found)
    return _last(ConfidenceSequence(*bounds), log_e_values_above(outcomes, mean=0.5))


def _last(found: ConfidenceSequence, logs: Floats) -> Evidence:
    """Return what stands after the last session, from the logarithms (S,) of the e-values."""
    if not len(logs):
        return Evidence(mean=NAN, low=NAN, high=NAN, e_value=1.0, largest_e_value=1.0)
    now, largest = (float(np.exp(min(log, 700.0))) for log in (logs[-1], logs.max()))  # e^710 is too large for a float
    mean, low, high = (float(each[-1]) for each in found)
    return Evidence(mean=mean, low=low, high=high, e_value=now, largest_e_value=largest)
