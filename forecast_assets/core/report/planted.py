"""What of the synthetic panel's planted signal the forecasts have found."""

from typing import Any

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.significance import bootstrap_interval
from forecast_assets.core.panel.demo import planted_signal
from forecast_assets.core.scores.rank import rank_ic
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import ResamplingSpec


def planted_section(
    forecasts: pl.DataFrame, panel: pl.DataFrame, *, strength: float, spec: ResamplingSpec
) -> dict[str, Any]:
    """Return the rank IC of the median over one session, that of the planted return, and the share of it that was found.

    ``forecasts``: date, ticker, horizon, q50, y (null until known) of one model; ``panel``: as for ``planted_signal``;
    ``strength``: log return per unit of the signal, of either sign. The interval of the share comes from resampled blocks
    of days.
    """
    rows = forecasts.filter(pl.col("horizon") == 1).drop_nulls("y").sort("date", "ticker")
    rows = rows.join(planted_signal(panel), on=["date", "ticker"], how="left", maintain_order="left")
    known = rows.filter(pl.col("signal").is_not_null()).with_columns(expected=strength * pl.col("signal"))
    outcome, day = known["y"].to_numpy(), known["date"].to_numpy()
    found, planted = (rank_ic(known[name].to_numpy(), outcome, day=day) for name in ("q50", "expected"))
    both = np.isfinite(found) & np.isfinite(planted)
    table = np.column_stack([found[both], planted[both]])

    def share(daily: Floats) -> float:
        of_model, of_signal = daily.sum(axis=0)
        return float(of_model / of_signal)

    return {
        "strength": strength,
        "dates": len(table),
        "rank_ic": float(table[:, 0].mean()),
        "rank_ic_planted": float(table[:, 1].mean()),
        "share": bootstrap_interval(table, share, samples=spec.bootstrap_samples, seed=spec.seed)._asdict(),
    }
