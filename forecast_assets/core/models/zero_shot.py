"""F0: zero-shot forecasts of a Chronos foundation model, by its own loader (the extra ``chronos``); nothing is fitted.

It reads one ticker's own past: the log closes up to the forecast origin, less the last of them. Step h of what it forecasts
is then the log return over h sessions, and no price level is read. It may have been trained on any public series of its
time, prices among them, so only origins after ``training_cutoff`` say anything of it.

Ansari et al. 2024, "Chronos: Learning the Language of Time Series"; 2025, "Chronos-2: From Univariate to Universal
Forecasting".
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.core.errors import BadModel, BadSetting, UserError
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.specs import ChronosSpec
from forecast_assets.core.windows.tensors import PanelTensors

Floats = NDArray[np.float64]

_BOLT, _CHRONOS_2 = dt.date(2024, 11, 30), dt.date(2025, 11, 5)
RELEASED = {
    **{f"amazon/chronos-bolt-{size}": _BOLT for size in ("tiny", "mini", "small", "base")},
    "amazon/chronos-2": _CHRONOS_2,
}
"""Id on the hub -> a day on which its weights were public, so that their training data end before it.

Neither paper names the last day of the training data. The package's release notes date Chronos-Bolt's release to 26 November
2024 (model cards: 27 November) and Chronos-2's to 20 October 2025; what is here is the end of that month, and for Chronos-2
the last change of its page on the hub that is known to us.
"""

_MEDIAN = 0.5


class Cutoff(NamedTuple):
    """The last day that may be in a model's training data."""

    day: dt.date
    declared: bool  # in the settings; else its release is known


def training_cutoff(name: str, declared: dt.date | None) -> Cutoff:
    """Return the cutoff of the weights ``name``: the ``declared`` one, else the release of a model that is known.

    Raises BadSetting where there is neither, and for a day before the release: nobody outside can know it.
    """
    released = RELEASED.get(name)
    day = declared or released
    if day is None:
        raise BadSetting(
            f"f0_chronos: nothing says up to when {name} was trained, and it has to forecast days that it cannot have seen; "
            "set f0_chronos.trained_until to the last day that may be in its training data, such as the day of its release"
        )
    if released is not None and day < released:
        raise BadSetting(
            f"f0_chronos: trained_until={day} is before {released}, when {name} was new, and its authors name no last "
            "day of its training data; leave it unset, or give a later day"
        )
    return Cutoff(day, declared is not None)


@dataclass(frozen=True)
class Chronos:
    """A loaded model that forecasts quantiles."""

    pipeline: Any
    levels: tuple[float, ...]  # (K,) ascending, those that it was trained for
    name: str
    context: int  # sessions that it reads at most

    def predict(self, paths: Tensor) -> Floats:
        """Return quantiles of the next steps of ``paths`` (B, L), NaN where unknown: (B, K, the longest of HORIZONS).

        Raises BadModel where the package raises, or returns what is not finite; a lack of memory is none of its faults.
        """
        from chronos import Chronos2Pipeline

        is_multivariate = isinstance(self.pipeline, Chronos2Pipeline)
        with _fault_of(self.name, "forecast"):
            if is_multivariate:  # each series by itself: a batch is no group that it may learn across
                found = self.pipeline.predict(paths[:, None], prediction_length=HORIZONS[-1], batch_size=len(paths))
                steps = torch.cat(list(found))  # B of (1, K, T) -> (B, K, T)
            else:
                steps = self.pipeline.predict(paths, prediction_length=HORIZONS[-1])
        if bad := int((~torch.isfinite(steps)).any(dim=-1).any(dim=-1).sum()):
            raise BadModel(
                f"f0_chronos: {self.name} forecast values that are not finite for {bad} of {len(paths)} origins"
            )
        values: Floats = steps.double().numpy()
        return values


def load_chronos(folder: Path, *, name: str, accelerator: str) -> Chronos:
    """Load the weights in ``folder`` by the package's own loader; only safetensors are read, never a pickle.

    Raises BadModel where they are no weights of a Chronos model that forecasts quantiles, the median among them.
    """
    from chronos import BaseChronosPipeline, ForecastType
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with _fault_of(name, "be loaded"):
        pipeline = BaseChronosPipeline.from_pretrained(folder, dtype="float32", use_safetensors=True)
        pipeline.inner_model.to(accelerator)
    if pipeline.forecast_type is not ForecastType.QUANTILES:
        raise BadModel(
            f"f0_chronos: {name} draws samples, which is slow and random; take a chronos-bolt or a chronos-2 model"
        )
    levels = tuple(float(level) for level in pipeline.quantiles)
    if _MEDIAN not in levels or not levels[0] < _MEDIAN < levels[-1]:
        raise BadModel(
            f"f0_chronos: {name} forecasts the quantiles {list(levels)}, without a median between two others"
        )
    return Chronos(pipeline, levels, name, int(pipeline.model_context_length))


@contextmanager
def _fault_of(name: str, what: str) -> Iterator[None]:
    """Translate what the package raises: any exception, for files and models that are not ours."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")
        raise BadModel(f"f0_chronos: {name} cannot {what}: {type(error).__name__}: {said}") from error


def closing_paths(panel: PanelTensors, rows: Tensor, *, sessions: int) -> Tensor:
    """Return the log closes of the ``sessions`` up to each of ``rows`` (B,), less the last, (B, sessions) float32.

    NaN where a session has no quote, and before the ticker's segment. The last one is 0.
    """
    back = rows[:, None] + torch.arange(1 - sessions, 1)  # (B, L)
    segment = torch.cumsum(panel.segment_start, dim=0)
    place = back.clamp(min=0)
    same = (back >= 0) & (segment[place] == segment[rows][:, None])
    quoted = same & panel.observed[place]
    change = panel.column("log_return").double()[place]
    change = torch.where(quoted & ~panel.segment_start[place] & torch.isfinite(change), change, 0.0)
    later = change.flip(1).cumsum(1).flip(1) - change  # summed over the sessions after each, up to the last
    return torch.where(quoted, -later, torch.nan).float()


def at_levels(values: Floats, levels: Sequence[float]) -> Floats:
    """Return quantiles (..., K) at ``levels`` (K,) as quantiles at those of every forecast, (..., 7), non-decreasing.

    Values that cross are sorted. Between two levels they are linear in the Normal score; beyond the outermost one they go on
    along the line from the median through it, the tail of a Normal with its own width on each side.

    >>> from statistics import NormalDist
    >>> normal = [NormalDist(0, 2).inv_cdf(level) for level in (0.1, 0.5, 0.9)]
    >>> at_levels(np.array(normal), (0.1, 0.5, 0.9)).round(2).tolist()
    [-3.92, -3.29, -1.35, 0.0, 1.35, 3.29, 3.92]
    """
    ordered = np.sort(values, axis=-1)
    have, want = (np.array([NormalDist().inv_cdf(level) for level in of]) for of in (levels, QUANTILES))
    median = ordered[..., list(levels).index(_MEDIAN)]
    found = np.empty((*ordered.shape[:-1], len(want)))
    for k, score in enumerate(want):
        right = int(np.searchsorted(have, score))
        if right == 0 or right == len(have):
            outer = 0 if right == 0 else -1
            found[..., k] = median + (ordered[..., outer] - median) * (score / have[outer])
        else:
            share = (score - have[right - 1]) / (have[right] - have[right - 1])
            found[..., k] = ordered[..., right - 1] + share * (ordered[..., right] - ordered[..., right - 1])
    return np.sort(found, axis=-1)  # of equal values, by a rounding


def zero_shot(model: Chronos, panel: PanelTensors, rows: Tensor, *, spec: ChronosSpec) -> Floats:
    """Return quantiles of the log return for the forecast origins ``rows``: (M,) -> (M, 3, 7). Raises as ``predict``."""
    steps, sessions = [horizon - 1 for horizon in HORIZONS], min(spec.context_sessions, model.context)
    parts = [np.empty((0, len(HORIZONS), len(QUANTILES)))]
    for some in rows.split(spec.batch_size) if len(rows) else ():
        forecast = model.predict(closing_paths(panel, some, sessions=sessions))  # (B, K, T)
        parts.append(at_levels(forecast[:, :, steps].swapaxes(1, 2), model.levels))
    return np.concatenate(parts)
