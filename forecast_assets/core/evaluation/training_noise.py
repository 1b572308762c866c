"""Training noise: how much the loss of a network depends on its seed, estimated from the single fits of the same fold.

Two fits of one model on the same data differ only by chance, yet on enough days each has its own mean loss, so that an
interval from days alone calls one of them better. A comparison in which a network takes part therefore resamples both: days,
and what another fit of each year's network would have lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from forecast_assets.core.evaluation.daily_losses import DAY, FITS, forecast_losses
from forecast_assets.core.evaluation.forecast_table import RAW_SUFFIX
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.scores.quantile import Floats

ENOUGH = 4
"""Degrees of freedom from which on a model's own deviations are used, instead of those of all networks together."""

CALIBRATIONS = (RAW_SUFFIX, "_split")  # suffixes of the same fits under another calibration, or none


def fit_losses(tables: Iterable[pl.DataFrame], *, combined: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return ``DailyLosses.fits`` of one period: daily sums of the uncalibrated losses of every single fit.

    ``tables``: forecast tables of single fits, ``model`` being "<network>/<seed>". ``combined``: forecasts made of some of
    these fits, such as the ensemble, and their names; the rows of those fits stand under both.
    """
    parts = [pl.DataFrame(schema=FITS)]
    for table in tables:
        rows = forecast_losses(table).rename({"model": "fit"}).sort("fit", *DAY, maintain_order=True)
        daily = rows.group_by("fit", *DAY, maintain_order=True).agg(pl.len().alias("n"), loss=pl.col("pinball").sum())
        parts.append(daily.with_columns(model=pl.col("fit").str.replace(r"/[^/]*$", "")).select(*FITS))
    single = pl.concat(parts)
    for name, fits in combined.items():
        parts.append(single.filter(pl.col("fit").is_in(list(fits))).with_columns(model=pl.lit(name)))
    return pl.concat(parts).sort("model", "fit", *DAY)


class Deviations(NamedTuple):
    """Relative deviations of single fits from the mean of their model and year."""

    values: (
        Floats  # (D, H); scaled so that their mean square is the variance of a fit, whatever the number of fits a year
    )
    freedom: int  # fits less means

    def draw(self, samples: int, rng: np.random.Generator) -> Floats:
        """Return deviations (samples, H) of fits that were never trained."""
        drawn: Floats = self.values[rng.integers(len(self.values), size=samples)]
        return drawn

    def scales(self, samples: int, rng: np.random.Generator) -> Floats:
        """Return factors (samples,) by which the true scale may differ from that of so few fits: Student's t in effect."""
        factors: Floats = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=samples))
        return factors


@dataclass(frozen=True)
class TrainingNoise:
    """Deviations of the networks' fits, and the fits behind each model that was trained."""

    own: Mapping[str, Deviations]  # by network
    pooled: Deviations | None  # of all networks; None where no network has two fits in a year
    behind: Mapping[tuple[str, int], tuple[str, ...]]
    """Model and year -> networks of the fits that its forecasts are the mean of; one for a network, whose best is used."""

    @classmethod
    def of(cls, fits: pl.DataFrame) -> "TrainingNoise":
        """Return the noise that the losses of single fits show (``DailyLosses.fits``, of all years)."""
        yearly = (
            fits.sort("model", "fit", *DAY)
            .group_by("model", "fit", "horizon", pl.col("date").dt.year().alias("year"), maintain_order=True)
            .agg(loss=pl.col("loss").sum() / pl.col("n").sum())
            .pivot(on="horizon", on_columns=list(HORIZONS), index=["model", "year", "fit"], values="loss")
            .with_columns(network=pl.col("fit").str.replace(r"/[^/]*$", ""))
            .sort("model", "year", "fit")
        )
        values, freedom, behind = defaultdict[str, list[Floats]](list), defaultdict[str, int](int), {}
        for (model, year), rows in yearly.group_by("model", "year", maintain_order=True):
            networks = rows["network"].to_list()
            behind[str(model), int(year)] = tuple(networks) if model != networks[0] else (networks[0],)
            complete = rows.drop_nulls([str(h) for h in HORIZONS])
            count = complete.height
            if model != networks[0] or count < 2:
                continue
            losses = complete.select(str(h) for h in HORIZONS).to_numpy()  # (K, H)
            values[str(model)].append((losses / losses.mean(axis=0) - 1.0) * np.sqrt(count / (count - 1)))
            freedom[str(model)] += count - 1
        own = {name: Deviations(np.concatenate(parts), freedom[name]) for name, parts in values.items()}
        everything = [part for parts in values.values() for part in parts]
        pooled = Deviations(np.concatenate(everything), sum(freedom.values())) if everything else None
        return cls(own, pooled, behind)

    def concerns(self, model: str, other: str) -> bool:
        """Return whether a comparison of the two has training noise: one was trained, and not both by the same fits."""
        first, second = trained_as(model), trained_as(other)
        trained = {name for name, _ in self.behind}
        return self.pooled is not None and first != second and bool(trained & {first, second})

    def draw(
        self, model: str, *, years: Sequence[int], horizons: Sequence[int], samples: int, rng: np.random.Generator
    ) -> Floats:
        """Return relative deviations (samples, years, H) of the model's loss if its fits were trained again.

        Those of a mean of several fits are, to first order, the mean of as many deviations. Zero for a model that was not
        trained, and where no network has two fits in a year.
        """
        columns = [HORIZONS.index(horizon) for horizon in horizons]
        drawn = np.zeros((samples, len(years), len(columns)))
        if self.pooled is None:
            return drawn
        scales: dict[str, Floats] = {}  # one per sample and source: the scale is the same in all years
        for place, year in enumerate(years):
            networks = self.behind.get((trained_as(model), year), ())
            for network in networks:
                name, source = self._source(network, self.pooled)
                if name not in scales:
                    scales[name] = source.scales(samples, rng)
                drawn[:, place] += scales[name][:, None] * source.draw(samples, rng)[:, columns] / len(networks)
        return drawn

    def _source(self, network: str, pooled: Deviations) -> tuple[str, Deviations]:
        """Return the deviations to draw from, with their name."""
        own = self.own.get(network)
        return (network, own) if own is not None and own.freedom >= ENOUGH else ("", pooled)


def trained_as(model: str) -> str:
    """Return the model whose fits ``model`` is made of: the name without its calibration's suffix."""
    for suffix in CALIBRATIONS:
        model = model.removesuffix(suffix)
    return model
