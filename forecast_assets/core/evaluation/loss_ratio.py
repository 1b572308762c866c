"""The ratio of two models' pinball losses with its interval, from resampled days and, of networks, resampled fits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.significance import (
    NAN,
    Interval,
    bootstrap_draws,
    optimal_block,
    percentile_interval,
)
from forecast_assets.core.evaluation.training_noise import TrainingNoise
from forecast_assets.core.specs import ResamplingSpec


class Pair(NamedTuple):
    """Two models that are compared."""

    model: str
    other: str
    losses: pl.DataFrame  # date, horizon, loss, reference: sums over the decisions of a day that both made


def ratio_interval(pair: Pair, *, horizons: Sequence[int], noise: TrainingNoise, spec: ResamplingSpec) -> Interval:
    """Return the model's pinball loss over the other's, averaged over horizons, with its interval.

    Days are resampled in blocks, all horizons together; only days on which every horizon has matured count. Where one of
    the two was trained, each resample also trains it again: its losses of a year deviate as those of another fit would.
    """
    matured = pair.losses.filter(pl.col("horizon").is_in(list(horizons)))
    wide = matured.pivot(on="horizon", on_columns=list(horizons), index="date", values=["loss", "reference"])
    wide = wide.drop_nulls().sort("date")
    if not wide.height:
        return Interval(NAN, NAN, NAN)
    losses = wide.select(f"{name}_{horizon}" for name in ("loss", "reference") for horizon in horizons).to_numpy()
    count = len(horizons)
    estimate = float(np.mean(losses[:, :count].sum(axis=0) / losses[:, count:].sum(axis=0)))
    years = wide["date"].dt.year()
    trained_years = years.unique().sort().to_list() if noise.concerns(pair.model, pair.other) else []
    membership = (years.to_numpy()[:, None] == np.array(trained_years)).astype(np.float64)  # (T, Y)
    if not trained_years:
        membership = np.ones((wide.height, 1))
    periods = membership.shape[1]
    sums = bootstrap_draws(
        np.concatenate([membership, losses], axis=1),
        lambda table: (table[:, :periods].T @ table[:, periods:]).ravel(),
        block=optimal_block(losses),
        samples=spec.bootstrap_samples,
        seed=spec.seed,
    ).reshape(-1, periods, 2, count)
    if trained_years:
        rng = np.random.default_rng([spec.seed, 1])  # not the stream that resamples the days
        for side, name in enumerate((pair.model, pair.other)):
            sums[:, :, side] *= 1.0 + noise.draw(
                name, years=trained_years, horizons=horizons, samples=len(sums), rng=rng
            )
    total = sums.sum(axis=1)  # (samples, 2, H)
    return percentile_interval(estimate, (total[:, 0] / total[:, 1]).mean(axis=-1))
