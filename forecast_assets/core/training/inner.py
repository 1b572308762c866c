"""The inner walk-forward: score settings on years before the first test year.

Each inner year is a fold like any test year, purged on both borders: trained on what came before, best epoch by its own
validation rows, scored on the year's forecasts. Only settings are kept, weights never. All of it reads ``search_panel``,
which ends with the last session before the first test year, labels included.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.catalogue import FitSpec
from forecast_assets.core.scores.quantile import coverage, pinball
from forecast_assets.core.specs import CalibrationSpec, FoldSpec
from forecast_assets.core.training.calibrate import calibrate_fold
from forecast_assets.core.training.fit import FoldTrainer, Hardware, Resumable
from forecast_assets.core.windows.folds import Fold, labels_end_before, make_fold, origins_in, rows_before
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors

Floats = NDArray[np.float64]


class Pruned(Exception):
    """The trial was stopped: others were better at the same step."""


@dataclass(frozen=True)
class Candidate:
    """Settings of one trial."""

    model: str
    spec: FitSpec
    lookback: int


@dataclass(frozen=True)
class Budget:
    """What all candidates have in common: years, folds, calibration, seed."""

    years: tuple[int, ...]
    folds: FoldSpec
    calibration: CalibrationSpec
    seed: int


@dataclass(frozen=True)
class InnerYear:
    """One inner year's uncalibrated forecasts."""

    fold: Fold
    quantiles: Floats  # (validation + test, 3, 7), in the order of ``fold.origins``
    unconditional_mean: tuple[float, ...]  # (3,) simple return over each horizon in the training labels


@dataclass(frozen=True)
class InnerScore:
    """Scores of settings over all inner years' forecasts, each forecast counting once."""

    pinball: tuple[float, ...]  # (3,) calibrated, per horizon
    coverage_95: tuple[float, ...]  # (3,) calibrated, per horizon

    @property
    def loss(self) -> float:
        """The geometric mean of the pinball losses, in log-return units: a per cent counts the same at each horizon."""
        return float(np.exp(np.mean(np.log(self.pinball))))


@dataclass(frozen=True)
class Progress:
    """Progress of a candidate after an epoch."""

    step: int  # epochs before this one, over all years
    value: float  # mean over the years so far of the best validation pinball
    year: int
    best: float  # of this year
    epoch: Mapping[str, float]  # the curve's entry


Report = Callable[[Progress], None]  # called after each epoch; may raise ``Pruned``


def search_panel(
    panel: PanelTensors, *, folds: FoldSpec, years: Sequence[int], lookback: int, tickers: int
) -> PanelTensors:
    """Return all that a search may read: at most ``tickers`` histories, as they were known before the first test year.

    Rows of the test years are cut off, and a row whose labels reach into them has none: it can be forecast and traded, but
    not be scored. Chosen are the tickers whose digests come first, of those with a forecast to score in one of the
    inner ``years`` at the longest ``lookback``; others take only places that are left. So a ticker that lists in a test year
    displaces none, and one that lists earlier at most one. Features that compare tickers stay as they are.
    """
    year = folds.first_test_year
    listed = rows_before(panel, year=year)
    counted = labels_end_before(panel, year=year)
    origins = origins_in(panel, [inner for inner in years if inner < year], lookback=lookback)
    scored = set(panel.ticker[origins[counted[origins]]].unique().tolist())
    order = sorted(
        panel.ticker[listed & panel.member].unique().tolist(),
        key=lambda code: (code not in scored, sha256(panel.tickers[code].encode()).digest()),
    )
    chosen = torch.zeros(len(panel.tickers), dtype=torch.bool)
    chosen[order[:tickers]] = True
    rows = torch.nonzero(listed & chosen[panel.ticker]).squeeze(1)
    known, labelled = panel.take(rows), counted[rows]
    return replace(
        known,
        targets=torch.where(labelled[:, None], known.targets, torch.nan),
        label_end=torch.where(labelled, known.label_end, NO_DATE),
    )


def inner_walk_forward(
    candidate: Candidate,
    budget: Budget,
    *,
    panel: PanelTensors,
    hardware: Hardware,
    report: Report,
    checkpoint: Resumable | None = None,
) -> list[InnerYear]:
    """Train ``candidate`` and forecast with it on each inner year, in order.

    Every candidate has the same years in the same order, so that values at one step compare. Where a year stops early, its
    last epoch is reported again for each remaining one. A ``checkpoint`` holds each year's fit in a folder of its own.
    """
    done: list[InnerYear] = []
    best: list[float] = []
    for position, year in enumerate(budget.years):
        fold = make_fold(panel, year=year, spec=budget.folds, lookback=candidate.lookback)
        stats = fit_stats(panel, fold)
        trainer = FoldTrainer(candidate.model, candidate.spec, panel, fold, stats, candidate.lookback, hardware)
        on_epoch = _reporter(report, year, position * candidate.spec.epochs, best)
        kept = checkpoint and Resumable(checkpoint.folder / str(year), key=f"{checkpoint.key}/{year}")
        trained = trainer.fit(budget.seed, on_epoch=on_epoch, checkpoint=kept)
        for epoch in range(len(trained.curve), candidate.spec.epochs):
            on_epoch({**trained.curve[-1], "epoch": epoch})
        best.append(trained.validation_pinball)
        done.append(InnerYear(fold, trainer.forecasts(trained), stats.unconditional_mean))
    return done


def inner_years(
    quantiles: Mapping[int, Floats], *, panel: PanelTensors, folds: FoldSpec, lookback: int
) -> list[InnerYear]:
    """Return the inner years of stored forecasts: year -> raw quantiles (validation + test, 3, 7)."""
    years = []
    for year in sorted(quantiles):
        fold = make_fold(panel, year=year, spec=folds, lookback=lookback)
        years.append(InnerYear(fold, quantiles[year], fit_stats(panel, fold).unconditional_mean))
    return years


def _reporter(report: Report, year: int, first: int, before: Sequence[float]) -> Callable[[Mapping[str, float]], None]:
    """Return the epoch callback of ``year``, which begins at step ``first``; ``before``: best values of earlier years."""
    best, earlier = math.inf, list(before)

    def on_epoch(epoch: Mapping[str, float]) -> None:
        nonlocal best
        best = min(best, epoch["validation_pinball"])
        report(Progress(first + int(epoch["epoch"]), float(np.mean([*earlier, best])), year, best, epoch))

    return on_epoch


def inner_score(years: Sequence[InnerYear], *, panel: PanelTensors, calibration: CalibrationSpec) -> InnerScore:
    """Score the forecasts of the inner years without their validation rows, calibrated as in a test year.

    A forecast counts over the horizons it has a label for; ``search_panel`` leaves none that ends in a test year.
    """
    forecasts, outcomes = [], []
    for year in years:
        quantiles = year.quantiles
        if calibration.enabled:
            quantiles = calibrate_fold(quantiles, panel=panel, fold=year.fold, spec=calibration).quantiles
        forecasts.append(quantiles[len(year.fold.validation) :])
        outcomes.append(panel.targets[year.fold.test].double().numpy())
    quantiles, y = np.concatenate(forecasts), np.concatenate(outcomes)  # (M, 3, 7), (M, 3)
    losses = np.nanmean(pinball(y, quantiles, levels=QUANTILES), axis=0)  # (3, 7)
    return InnerScore(
        pinball=tuple(float(loss) for loss in losses.mean(axis=1)),
        coverage_95=tuple(coverage(y[:, k], quantiles[:, k, 0], quantiles[:, k, -1]) for k in range(len(HORIZONS))),
    )


def usable_years(
    panel: PanelTensors, years: Sequence[int], *, folds: FoldSpec, lookbacks: Sequence[int]
) -> tuple[int, ...]:
    """Return those of ``years`` with enough history in the panel for all ``lookbacks``.

    Raises BadInput where there is none, ValueError for a test year.
    """
    if late := [year for year in years if year >= folds.first_test_year]:
        raise ValueError(
            f"sweep: {late[0]} is a test year; settings are chosen on years before {folds.first_test_year}"
        )
    usable = []
    for year in years:
        with suppress(BadInput):
            make_fold(panel, year=year, spec=folds, lookback=max(lookbacks))
            usable.append(year)
    if not usable:
        raise BadInput(
            f"sweep: no inner year of {list(years)} has {folds.validation_sessions + folds.purge_sessions} sessions and "
            f"{max(lookbacks)}-session windows before it; give more history or smaller sweep.lookbacks"
        )
    return tuple(usable)
