"""A panel of calibrated Normal forecasts whose outcomes share a factor: what is true of it is known."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import HORIZONS, TARGETS
from forecast_assets.core.joint.past import label_ends
from forecast_assets_tests.helpers.scores import normal_quantiles

FIRST = dt.date(2019, 1, 1)
SIGMA = 0.02


class JointPanel(NamedTuple):
    """Forecasts with outcomes and label ends, and the rows that these ended on."""

    forecasts: pl.DataFrame  # a forecast table with label_end
    rows: pl.DataFrame  # date, ticker, is_missing
    tickers: tuple[str, ...]
    days: NDArray[np.datetime64]  # of the forecasts


def joint_panel(
    *,
    tickers: int = 6,
    sessions: int = 160,
    correlation: float = 0.6,
    seed: int = 0,
    first: dt.date = FIRST,
    names: Sequence[str] = (),
) -> JointPanel:
    """Return Normal one-session returns of equal pairwise correlation, every day a session; ``names`` of the tickers."""
    rng = np.random.default_rng(seed)
    total = sessions + HORIZONS[-1]
    common, own = rng.normal(size=(total, 1)), rng.normal(size=(total, tickers))
    returns = SIGMA * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    called = tuple(names) or tuple(f"T{k:02d}" for k in range(tickers))
    dates = np.datetime64(first) + np.arange(total)
    level = np.concatenate([np.zeros((1, tickers)), np.cumsum(returns, axis=0)])
    y = np.stack([level[h : h + sessions] - level[:sessions] for h in HORIZONS], axis=-1)  # (sessions, N, H)
    sigma = np.broadcast_to(SIGMA * np.sqrt(HORIZONS), (sessions * tickers, len(HORIZONS)))
    forecasts = forecast_table(
        date=np.repeat(dates[:sessions], tickers),
        ticker=list(called) * sessions,
        quantiles=normal_quantiles(np.zeros_like(sigma), sigma),
        y=y.reshape(-1, len(HORIZONS)),
        split="test",
        model="ensemble",
    )
    rows = pl.DataFrame({"date": np.repeat(dates, tickers), "ticker": list(called) * total, "is_missing": False})
    rows = rows.with_columns(pl.col("date").cast(pl.Date))
    ended = forecasts.join(label_ends(rows), on=["date", "ticker", "horizon"], how="left")
    return JointPanel(ended, rows, called, dates[:sessions])


def feature_panel(panel: JointPanel) -> pl.DataFrame:
    """Its targets are the outcomes, also of the rows that were forecast at night."""
    wide = panel.forecasts.pivot(on="horizon", index=["date", "ticker"], values="y")
    targets = {name: pl.col(str(h)) for h, name in zip(HORIZONS, TARGETS, strict=True)}
    rows = panel.rows.join(wide, on=["date", "ticker"], how="left").with_columns(**targets)
    return rows.with_columns(sector=pl.lit("Energy")).select("date", "ticker", "is_missing", "sector", *TARGETS)


def correlations(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the correlation of each pair of rows (N, n), (N (N - 1) / 2,)."""
    matrix = np.asarray(np.corrcoef(values))
    pairs: NDArray[np.float64] = matrix[np.triu_indices(len(values), k=1)]
    return pairs
