"""A model in one file: what an estimator is handed, and what it has to return.

An estimator has ``fit`` and what that returns ``predict``, in the manner of scikit-learn; it is made from its settings, an
``entry.ModelSpec``. It is fitted anew for every fold and seed, on forecast origins whose labels have matured, and then
asked for quantiles at others. All that it can read of an origin was known at that origin's close.

Folds and their purge, checks of what is returned, calibration, scores, books and reports are the host's.
``docs/own_model.md`` builds one.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from forecast_assets.core.errors import BadModel
from forecast_assets.core.horizons import HORIZONS, QUANTILES

if TYPE_CHECKING:
    from torch import Tensor

    from forecast_assets.core.windows.labels import Labels
    from forecast_assets.core.windows.stats import FoldStats
    from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.floating[Any]]


class Origins:
    """n forecast origins, each a ticker at the close of a session, and what was known there.

    Arrays are read when they are asked for; ``part`` divides origins that are too many to be read at once.
    """

    def __init__(
        self, panel: "PanelTensors", rows: "Tensor", *, stats: "FoldStats", columns: Sequence[str], lookback: int
    ) -> None:
        self._panel, self._rows, self._stats = panel, rows, stats
        self.columns, self.lookback = tuple(columns), lookback

    def __len__(self) -> int:
        return len(self._rows)

    def part(self, index: "slice | NDArray[Any]") -> "Origins":
        """Return some of the origins: a slice, positions, or a mask (n,)."""
        rows = self._rows[index]
        return Origins(self._panel, rows, stats=self._stats, columns=self.columns, lookback=self.lookback)

    @cached_property
    def date(self) -> "NDArray[np.datetime64]":
        """The day of each, (n,)."""
        return self._panel.date[self._rows].numpy().astype("datetime64[D]")

    @cached_property
    def ticker(self) -> "NDArray[np.str_]":
        """The ticker of each, (n,)."""
        return np.array(self._panel.tickers)[self._panel.ticker[self._rows].numpy()]

    @cached_property
    def volatility(self) -> Floats:
        """HAR-X's volatility forecast over each horizon, log-return units, (n, 3)."""
        return self._of_history[0]

    @cached_property
    def summary(self) -> Floats:
        """Numbers that sum up the ticker's history, standardised and finite, (n, S): see ``core.windows.summary``."""
        return self._of_history[1]

    @cached_property
    def _of_history(self) -> tuple[Floats, Floats]:
        from forecast_assets.core.windows.volatility import BLOCK_ROWS

        parts = [self._stats.origin(self._panel, rows) for rows in self._rows.split(BLOCK_ROWS)]
        volatility, summary = (np.concatenate([each.numpy() for each in of]) for of in zip(*parts, strict=True))
        return volatility, summary

    @cached_property
    def features(self) -> Floats:
        """The columns of the settings' ``reads`` at the origin, standardised, (n, C), in the order of ``columns``."""
        columns = self._panel.columns(self.columns)
        values: Floats = self._stats.standardise(self._panel.features[self._rows][:, columns], columns).numpy()
        return values

    @property
    def windows(self) -> Floats:
        """The same columns over the last ``lookback`` sessions, oldest first, (n, L, C): large, so read it in parts."""
        columns = self._panel.columns(self.columns)
        raw = self._panel.windows(self._rows, lookback=self.lookback, columns=columns)
        values: Floats = self._stats.standardise(raw, columns).numpy()
        return values

    def quantiles(self, log_scale: Any = 0.0) -> Floats:
        """Return HAR-X's quantiles with its volatility times ``exp(log_scale)``, a number or (n, 3): (n, 3, 7).

        The median stays where it is. Log returns, as ``predict`` has to return.
        """
        base = np.asarray(self._stats.base(self._panel, self._rows).numpy(), dtype=np.float64)
        median = base[..., QUANTILES.index(0.5), None]
        factor = np.broadcast_to(np.exp(log_scale), self.volatility.shape)[..., None]
        found: Floats = self.volatility[..., None].astype(np.float64) * (median + factor * (base - median))
        return found


class Training(Origins):
    """Forecast origins with their labels, all of which end before the first origin that is forecast."""

    def __init__(
        self,
        panel: "PanelTensors",
        rows: "Tensor",
        *,
        stats: "FoldStats",
        columns: Sequence[str],
        lookback: int,
        labels: "Labels",
    ) -> None:
        super().__init__(panel, rows, stats=stats, columns=columns, lookback=lookback)
        self._labels = labels

    def part(self, index: "slice | NDArray[Any]") -> "Training":
        """Return some of the origins with their labels: a slice, positions, or a mask (n,)."""
        rows = self._rows[index]
        own = {"stats": self._stats, "columns": self.columns, "lookback": self.lookback, "labels": self._labels}
        return Training(self._panel, rows, **own)  # type: ignore[arg-type]

    @cached_property
    def target(self) -> Floats:
        """The log return over each horizon, (n, 3); NaN where there is no valid label."""
        values: Floats = self._panel.targets[self._rows].numpy()
        return values

    @cached_property
    def log_excess(self) -> Floats:
        """Log realised volatility over ``volatility``, less what the exchange's tickers shared that session, (n, 3).

        NaN where there is no valid label. It says more of the scale of the quantiles than an outcome does: see
        ``core.windows.labels``.
        """
        from forecast_assets.core.windows.volatility import BLOCK_ROWS

        parts = []
        for rows in self._rows.split(BLOCK_ROWS):
            forecast = self._stats.volatility(self._panel, rows)
            parts.append(self._labels.log_excess(self._panel, rows, forecast=forecast, stats=self._stats).numpy())
        return np.where(np.isfinite(self.target), np.concatenate(parts), np.nan)


class Fitted(Protocol):
    """A fitted model."""

    def predict(self, origins: Origins) -> Floats:
        """Return quantiles of the log return at each origin, (n, 3, 7): horizons of 1, 5 and 20 sessions, levels of
        ``core.horizons.QUANTILES``, finite and non-decreasing.
        """


class Estimator(Protocol):
    """What fits a model."""

    def fit(self, train: Training, *, seed: int) -> Fitted:
        """Return the model fitted to ``train``: the same one for the same seed."""


@runtime_checkable
class WithWeights(Protocol):
    """A fitted model that a network of ours can forecast with: the entry's ``constructor``."""

    def weights(self) -> "dict[str, Tensor]":
        """Return tensors of the network's state by name; others keep the values that it is built with."""


def shaped_quantiles(found: Any, *, origins: int, where: str) -> NDArray[np.float64]:
    """Return what a model has returned as (origins, 3, 7) float64.

    Raises BadModel, which begins with ``where`` (file and function), for another shape.
    """
    shape = (origins, len(HORIZONS), len(QUANTILES))
    try:
        quantiles = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadModel(f"{where} returned {type(found).__name__}, which is no array of numbers {shape}") from error
    if quantiles.shape != shape:
        raise BadModel(f"{where} returned an array of shape {quantiles.shape}, and has to return {shape}")
    return quantiles


def checked_quantiles(found: Any, *, origins: int, where: str) -> NDArray[np.float64]:
    """Return what ``shaped_quantiles`` does; raises BadModel for a value that is not finite and quantiles that cross too."""
    quantiles = shaped_quantiles(found, origins=origins, where=where)
    if bad := int((~np.isfinite(quantiles).all(axis=(1, 2))).sum()):
        raise BadModel(f"{where} returned values that are not finite for {bad} of {origins} forecast origins")
    if bad := int((np.diff(quantiles, axis=-1) < 0).any(axis=(1, 2)).sum()):
        raise BadModel(f"{where} returned quantiles that cross for {bad} of {origins} forecast origins")
    return quantiles
