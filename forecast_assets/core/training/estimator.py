"""Fit an estimator on one fold and ask it for forecasts; what goes wrong in a file of one's own is one sentence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.errors import BadModel, UserError
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.models.protocol import Fitted, Origins, Training, WithWeights, checked_quantiles
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.labels import training_labels
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

ASKED_ROWS = 100_000
"""Origins of one call of ``predict``."""


class Answer(NamedTuple):
    """What a fitted estimator gives: weights of its entry's network, or, without one, forecasts."""

    weights: dict[str, Tensor]  # of what the network is not built with; empty without a network
    quantiles: NDArray[np.float64] | None  # (validation + test, 3, 7), at the fold's origins


def fit_estimator(
    entry: Model,
    spec: ModelSpec,
    panel: PanelTensors,
    *,
    fold: Fold,
    stats: FoldStats,
    lookback: int,
    seed: int,
    on_call: Callable[[str], object] | None = None,
) -> Answer:
    """Fit the estimator of ``entry`` to the fold's training origins; ``on_call`` takes the name of its function that runs.

    Raises BadModel where the code of a file of one's own raises or returns what is no forecast. A lack of memory or of disk
    is no fault of the model's, and a bug of ours keeps its traceback.
    """
    calls = on_call or (lambda _: None)
    columns = spec.reads.columns
    train = Training(
        panel, fold.train, stats=stats, columns=columns, lookback=lookback,
        labels=training_labels(panel, fold.train, stats=stats),
    )  # fmt: skip
    calls("fit()")
    fitted = fit_on(entry, spec, train, seed=seed)
    if entry.constructor is not None:
        return Answer(weights_of(entry, fitted), None)
    calls("predict()")
    origins = Origins(panel, fold.origins, stats=stats, columns=columns, lookback=lookback)
    parts = (origins.part(slice(k, k + ASKED_ROWS)) for k in range(0, len(origins), ASKED_ROWS))
    return Answer({}, np.concatenate([ask_estimator(entry, fitted, part) for part in parts]))


def fit_on(entry: Model, spec: ModelSpec, train: Training, *, seed: int) -> Fitted:
    """Return the estimator of ``entry`` fitted to ``train``. Raises as ``fit_estimator``."""
    with _fault_of(entry, "fit"):
        return entry.make_estimator(spec).fit(train, seed=seed)


def weights_of(entry: Model, fitted: Fitted) -> dict[str, Tensor]:
    """Return what a fitted estimator gives the network of ``entry``. Raises as ``fit_estimator``."""
    if not isinstance(fitted, WithWeights):
        raise BadModel(f"{_where(entry, 'fit')} returned a model without weights() for the network of {entry.key}")
    with _fault_of(entry, "weights"):
        return dict(fitted.weights())


def ask_estimator(
    entry: Model, fitted: Fitted, origins: Origins, *, checked: Callable[..., NDArray[np.float64]] = checked_quantiles
) -> NDArray[np.float64]:
    """Return a fitted estimator's quantiles at ``origins``, (n, 3, 7), ``checked``. Raises as ``fit_estimator``."""
    with _fault_of(entry, "predict"):
        found = fitted.predict(origins)
    return checked(found, origins=len(origins), where=_where(entry, "predict"))


def _where(entry: Model, function: str) -> str:
    return f"{entry.file or entry.key}: {function}()"


@contextmanager
def _fault_of(entry: Model, function: str) -> Iterator[None]:
    """Translate what the code of a file of one's own raises."""
    try:
        yield
    except (UserError, MemoryError, OSError):
        raise
    except Exception as error:
        if not entry.file:
            raise
        said = next(iter(str(error).splitlines()), "")
        raise BadModel(f"{_where(entry, function)} raised {type(error).__name__}: {said}") from error
