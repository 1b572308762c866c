"""Audit a model on a fold for look-ahead: its forecast at an origin has to be the same whatever comes later.

What is handed to a model was known at each origin's close, but one call holds many origins, and a model can make the
forecast of one depend on others that come later: standardise over all of them, fill backwards, run a network over a block
from both ends. So a model is fitted on a sample and asked again with the later origins left out, their values garbage or
exchanged at random, and in another order. It is fitted again where all after its last label is garbage. What a file holds
beside, such as a table of future winners, can't be seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.models.protocol import Origins, Training, shaped_quantiles
from forecast_assets.core.training.estimator import ask_estimator, fit_on, weights_of
from forecast_assets.core.training.fit import forecast
from forecast_assets.core.training.trained import load_weights
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.labels import training_labels
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

Quantiles = NDArray[np.float64]  # (B, 3, 7)
Predict = Callable[[PanelTensors, Tensor], Quantiles]
"""Forecasts at rows (B,) of a panel."""

TICKERS = 8  # of the sample
FITTED_ROWS = 4_000  # training origins that a model is fitted on, at most
ASKED_SESSIONS = 120  # whose origins are forecast: the last ones of the fold
CUTS = 6  # days at which what is later is changed
TOLERANCE = 1e-5  # rounding of single precision, as a share of a quantile's largest number
WEIGHT_NOISE = 0.1
"""Standard deviation of what is added to a network's first weights, since layers that begin at zero hide what they read."""
FORWARD = "the network's forward()"

TESTS = {
    "truncation": "the origins after {cut} are left out",
    "poison": "the values after {cut} are garbage",
    "shuffle": "the values after {cut} are exchanged at random",
    "arrival": "the values of exchanges that close later on {cut} are garbage",
    "order": "the origins are asked in another order and without every second one",
    "fit": "the values after the last label of training, {cut}, are garbage",
}
GARBAGE_SPREAD = 2.0
LAST = {"arrival": 1, "order": 2}
"""Tests whose leaks are shown where no other found one: look-ahead by days says more."""


@dataclass(frozen=True)
class OriginLeak:
    """The first origin, by date, whose forecast one way of changing the others has changed."""

    test: str
    cut: np.datetime64
    ticker: str
    date: np.datetime64
    horizon: int
    level: float
    was: float
    now: float

    @property
    def looks_ahead(self) -> bool:
        """Whether values made the difference, and not only which other origins were asked."""
        return self.test not in ("truncation", "order")

    def sentence(self, *, predict: str) -> str:
        """Return what was seen, in words; ``predict`` is what a forecast is made by."""
        fault = "depends on what else is asked" if self.test == "order" else "looks ahead"
        return (
            f"{'fit()' if self.test == 'fit' else predict} {fault}: quantile {self.level:g} of {self.ticker} over "
            f"{self.horizon} sessions on {self.date} changes from {self.was:.6g} to {self.now:.6g} when "
            f"{TESTS[self.test].format(cut=self.cut)} ({self.test})"
        )


class NotJudged(Exception):
    """A model whose forecasts are not the same for the same origins."""


def audit_model(
    fit: Callable[[PanelTensors], Predict], *, panel: PanelTensors, fold: Fold, known_at: Tensor
) -> OriginLeak | None:
    """Return the first leak, or None where nothing changes with what comes later.

    ``fit`` returns the model as it is fitted on a panel's training origins. ``known_at`` (N,) int64: when each row is known
    to other exchanges. Raises NotJudged for a model that forecasts otherwise when it is asked, or fitted, again.
    """
    asked = asked_origins(panel, fold)
    predict = fit(panel)
    whole = predict(panel, asked)
    compare = _Comparison(panel, asked, whole)
    if compare(predict(panel, asked)) is not None:
        raise NotJudged("predict() returns other forecasts when it is asked again for the same origins")
    found = [_fit_leak(fit, compare, panel=panel, fold=fold, asked=asked)]
    some = torch.randperm(len(asked), generator=torch.Generator().manual_seed(0))[::2]
    found.append(compare(predict(panel, asked[some]), at=some, test="order"))
    for test, cut, at, other in _changed(panel, asked, known_at):
        found.append(compare(predict(other, asked)[at], at=at, test=test, cut=cut))
        if test == "poison":
            found.append(compare(predict(_emptied(other, cut), asked[at]), at=at, test="truncation", cut=cut))
    leaks = [leak for leak in found if leak is not None]
    if not any(leak.looks_ahead for leak in leaks):
        leaks = [leak for leak in leaks if leak.test == "order"] or leaks
    return min(leaks, key=lambda leak: (LAST.get(leak.test, 0), leak.date), default=None)


def asked_origins(panel: PanelTensors, fold: Fold) -> Tensor:
    """Return the origins of the fold's last sessions, (B,)."""
    sessions = panel.date[fold.origins].unique()[-ASKED_SESSIONS:]
    return fold.origins[panel.date[fold.origins] >= sessions[0]]


def sample_rows(panel: PanelTensors, fold: Fold) -> Tensor:
    """Return all rows of a few tickers that have origins in each split, as many of each exchange as there are, (M,)."""
    counts = [
        torch.bincount(panel.ticker[rows].long(), minlength=len(panel.tickers))
        for rows in (fold.train, fold.validation, fold.test)
    ]
    usable = torch.stack(counts).min(dim=0).values > 0
    last = torch.zeros(len(panel.tickers), dtype=torch.int64)
    last[panel.ticker.long()] = panel.exchange.long()
    most = sorted(torch.nonzero(usable).flatten().tolist(), key=lambda code: -int(counts[0][code]))
    rank: dict[int, int] = {}
    places = []
    for code in most:  # the first of each exchange, then the second of each
        exchange = int(last[code])
        rank[exchange] = rank.get(exchange, -1) + 1
        places.append((rank[exchange], code))
    chosen = torch.tensor([code for _, code in sorted(places)[:TICKERS]], dtype=panel.ticker.dtype)
    return torch.nonzero(torch.isin(panel.ticker, chosen)).flatten()


def fitting(
    entry: Model,
    spec: ModelSpec,
    *,
    fold: Fold,
    stats: FoldStats,
    lookback: int,
    on_call: Callable[[str], object] = lambda _: None,
) -> Callable[[PanelTensors], Predict]:
    """Return what fits the model of ``entry`` to some of the fold's training origins; a network of our loop stays untrained.

    ``on_call`` takes the running function. What is returned raises BadModel where the code of a file of one's own fails.
    """
    rows = fold.train[:: max(1, -(-len(fold.train) // FITTED_ROWS))]
    columns = spec.reads.columns

    def fit(panel: PanelTensors) -> Predict:
        if entry.estimator is None:
            on_call(FORWARD)
            return _network_of(entry, spec, None, stats=stats, lookback=lookback)
        labels = training_labels(panel, fold.train, stats=stats)
        train = Training(panel, rows, stats=stats, columns=columns, lookback=lookback, labels=labels)
        on_call("fit()")
        fitted = fit_on(entry, spec, train, seed=spec.seed)
        on_call(predict_of(entry))
        if entry.constructor is not None:
            return _network_of(entry, spec, weights_of(entry, fitted), stats=stats, lookback=lookback)

        def predict(panel: PanelTensors, ends: Tensor) -> Quantiles:
            origins = Origins(panel, ends, stats=stats, columns=columns, lookback=lookback)
            # Forecasts of garbage may be anything, and those of the fit are checked there.
            return ask_estimator(entry, fitted, origins, checked=shaped_quantiles)

        return predict

    return fit


def predict_of(entry: Model) -> str:
    """Return what the forecasts of a model are made by."""
    return "predict()" if entry.constructor is None else FORWARD


def _network_of(
    entry: Model, spec: ModelSpec, weights: dict[str, Tensor] | None, *, stats: FoldStats, lookback: int
) -> Predict:
    """Return a network's forecasts: with ``weights``, or with random ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = entry.build(spec, stats=stats, lookback=lookback)
        if weights is None:
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(WEIGHT_NOISE * torch.randn_like(parameter))
        else:
            load_weights(network, network.state_dict() | weights)
    network.eval()
    return lambda panel, ends: forecast(network, ends, panel=panel, stats=stats).double().numpy()


@dataclass(frozen=True)
class _Comparison:
    """The forecasts ``whole`` at the origins ``asked``, which others are held against."""

    panel: PanelTensors
    asked: Tensor
    whole: Quantiles

    def __call__(
        self, other: Quantiles, *, at: Tensor | None = None, test: str = "fit", cut: int = 0
    ) -> OriginLeak | None:
        """Return the first difference of ``other``, forecasts of the positions ``at`` (B',) of the origins, if any."""
        places = np.arange(len(self.asked)) if at is None else at.numpy()
        was = self.whole[places]
        size = np.nanmax(np.abs(self.whole), axis=0)
        differs = ~np.isclose(was, other, rtol=0, atol=TOLERANCE * size, equal_nan=True)
        if not differs.any():
            return None
        rows = self.asked[places].numpy()
        changed = np.flatnonzero(differs.any(axis=(1, 2)))
        dates = self.panel.date.numpy()[rows]
        first = changed[np.lexsort((rows[changed], dates[changed]))[0]]
        horizon, level = np.unravel_index(np.argmax(np.abs(was[first] - other[first])), was[first].shape)
        return OriginLeak(
            test=test,
            cut=np.datetime64(cut, "D"),
            ticker=self.panel.tickers[int(self.panel.ticker[rows[first]])],
            date=np.datetime64(int(dates[first]), "D"),
            horizon=HORIZONS[horizon],
            level=QUANTILES[level],
            was=float(was[first, horizon, level]),
            now=float(other[first, horizon, level]),
        )


def _fit_leak(
    fit: Callable[[PanelTensors], Predict], compare: _Comparison, *, panel: PanelTensors, fold: Fold, asked: Tensor
) -> OriginLeak | None:
    """Return the first forecast that changes when the model is fitted where all after its last label is garbage."""
    ended = int(panel.label_end[fold.train].max())
    trained = torch.zeros(panel.rows, dtype=torch.bool)
    trained[fold.train] = True
    changed = _poisoned(panel, panel.date > ended, outcomes=~trained)
    leak = compare(fit(changed)(panel, asked), test="fit", cut=ended)
    if leak is not None and compare(fit(panel)(panel, asked)) is not None:
        raise NotJudged("fit() gives another model when it is fitted again with the same seed")
    return leak


def _changed(panel: PanelTensors, asked: Tensor, known_at: Tensor) -> Iterator[tuple[str, int, Tensor, PanelTensors]]:
    """Yield test, cut, the positions of the origins up to it, and the panel with what is later changed."""
    days = panel.date[asked].unique()
    for number in range(CUTS):
        cut = int(days[(number + 1) * (len(days) - 1) // (CUTS + 1)])
        late = panel.date > cut
        outcomes = late | (panel.label_end >= cut)
        at = torch.nonzero(~late[asked]).flatten()
        yield "poison", cut, at, _poisoned(panel, late, outcomes=outcomes)
        yield "shuffle", cut, at, _shuffled(panel, late)
        times = known_at[panel.date == cut].unique()
        if len(times) > 1:
            late = late | ((panel.date == cut) & (known_at > times[number % (len(times) - 1)]))
            at = torch.nonzero(~late[asked]).flatten()
            yield "arrival", cut, at, _poisoned(panel, late, outcomes=outcomes)


def _poisoned(panel: PanelTensors, late: Tensor, *, outcomes: Tensor) -> PanelTensors:
    """Return the panel with garbage in the ``late`` rows (N,), and for the targets of the rows ``outcomes`` (N,).

    Each number is that of some row of its column, turned around the column's mean and spread out, so that nothing overflows.
    """
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(panel.rows, generator=generator)
    garbage: dict[str, Any] = {}
    for name, changed in (("features", late[:, None]), ("targets", outcomes[:, None])):
        values: Tensor = getattr(panel, name)
        mean = values.nanmean(dim=0)
        drawn = mean - GARBAGE_SPREAD * (values[order] - mean)
        garbage[name] = torch.where(changed & torch.isfinite(values), drawn.nan_to_num(0.0), values)
    return replace(panel, **garbage, scale=torch.where(late, GARBAGE_SPREAD * panel.scale[order], panel.scale))


def _emptied(panel: PanelTensors, cut: int) -> PanelTensors:
    """Return the panel with no number in the rows after the day ``cut``."""
    late, nothing = panel.date > cut, float("nan")
    return replace(
        panel,
        features=torch.where(late[:, None], nothing, panel.features),
        scale=torch.where(late, nothing, panel.scale),
        targets=torch.where(late[:, None], nothing, panel.targets),
    )


def _shuffled(panel: PanelTensors, late: Tensor) -> PanelTensors:
    """Return the panel with the values of the ``late`` rows exchanged."""
    order, rows = torch.arange(panel.rows), torch.nonzero(late).flatten()
    order[rows] = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(2))]
    return replace(panel, features=panel.features[order], scale=panel.scale[order], targets=panel.targets[order])
