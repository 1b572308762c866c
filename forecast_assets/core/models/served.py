"""A whole ensemble as one module on plain tensors, which is traced into ``model.pt``.

Everything between a ticker's feature history and its calibrated quantiles is inside: the volatility forecast,
standardisation, every member, their combination and the calibration, whose state is an input.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel
from forecast_assets.core.reads import union
from forecast_assets.core.windows.past import LOG_RETURN, Past
from forecast_assets.core.windows.stats import CLIP, SHAPE_FEATURE, FoldStats, standardised_summary
from forecast_assets.core.windows.summary import summary
from forecast_assets.core.windows.volatility import predicted, regressors


class Inputs(NamedTuple):
    """Inputs of B forecasts; the last three only where a member reads them, else None and not passed."""

    features: Tensor  # (B, H, F) float32 of the last H sessions, the forecast origin's last, unscaled
    complete: Tensor  # (B,) int64 complete sessions up to the forecast origin; those before are not read
    scale: Tensor  # (B,) float32 EWMA volatility at the forecast origin's close
    ids: Tensor  # (B, 3) int64 embedding ids of ticker, sector, exchange
    cell: Tensor  # (B,) int64 row of ``log_factor``
    log_factor: Tensor  # (C, 3, 7) float64 of the calibration, for each combination of groups among the forecasts
    quoted: Tensor | None = None  # (B, H) bool sessions that were quoted, for ``reads.support_sessions``
    neighbours: Tensor | None = None  # (B, L, k, C') float32 ``reads.messages`` of each session's neighbours, unscaled
    edges: Tensor | None = None  # (B, L, k) float32 signed correlation with each; 0 for none

    def arguments(self) -> tuple[Tensor, ...]:
        """Return the arguments of the module: all tensors that are not None."""
        return tuple(tensor for tensor in self if tensor is not None)


class _Histories(NamedTuple):
    """Histories concatenated along the rows, as ``volatility`` reads them."""

    features: Tensor
    scale: Tensor
    run_length: Tensor
    feature_names: tuple[str, ...]


class ServedEnsemble(nn.Module):
    """Members of one lookback, each in group k mod ``groups`` of the median of means.

    ``forward`` takes ``Inputs.arguments`` and returns calibrated and raw quantiles of the log return, 2 x (B, 3, 7) float64,
    non-decreasing.
    """

    mean: Tensor
    std: Tensor
    volatility_weights: Tensor
    shape_borders: Tensor
    shape_gaps: Tensor
    summary_mean: Tensor
    summary_std: Tensor
    message_columns: Tensor

    def __init__(
        self, members: Sequence[ForecastModel], *, stats: FoldStats, feature_names: tuple[str, ...], groups: int
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.lookback = members[0].lookback
        self.feature_names, self.groups = feature_names, min(groups, len(members))
        self.support = [member.reads.support_sessions for member in members]
        self.reads_messages = [bool(member.reads.messages) for member in members]
        reads = union([member.reads for member in members])
        self.optional_inputs = (
            *(("quoted",) if reads.support_sessions else ()),
            *(("neighbours", "edges") if reads.messages else ()),
        )
        self.register_buffer("mean", stats.mean)
        self.register_buffer("std", stats.std)
        self.register_buffer("volatility_weights", stats.volatility_weights)
        self.has_shapes = len(stats.shape_borders) > 0
        self.register_buffer("shape_borders", stats.shape_borders)
        self.register_buffer("shape_gaps", stats.shape_gaps)
        self.register_buffer("summary_mean", stats.summary_mean)
        self.register_buffer("summary_std", stats.summary_std)
        for k, member in enumerate(members):
            self.register_buffer(f"columns_{k}", positions(member.reads.columns, feature_names), persistent=False)
            self.register_buffer(f"messages_{k}", positions(member.reads.messages, reads.messages), persistent=False)
        self.register_buffer("message_columns", positions(reads.messages, feature_names), persistent=False)

    def forward(
        self,
        features: Tensor,
        complete: Tensor,
        scale: Tensor,
        ids: Tensor,
        cell: Tensor,
        log_factor: Tensor,
        *optional: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        named = dict(zip(self.optional_inputs, optional, strict=True))
        inputs = Inputs(features, complete, scale, ids, cell, log_factor, **named)
        origin = self.origin(features, complete, scale)  # (B, 3), (B, S)
        messages = None
        if inputs.neighbours is not None:
            messages = self.standardised(inputs.neighbours, self.message_columns)  # (B, L, k, C')
        batches = (self.batch(k, inputs, origin=origin, messages=messages) for k in range(len(self.members)))
        each = [member(batch).double() for member, batch in zip(self.members, batches, strict=True)]
        raw = self.combine(torch.stack(each))  # (K, B, 3, 7) -> (B, 3, 7)
        return calibrated(raw, log_factor[cell]), raw

    def origin(self, features: Tensor, complete: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the volatility forecast over each horizon, (B, 3), and the standardised summary, (B, S)."""
        count, sessions = features.shape[:2]
        last = (torch.arange(count, device=features.device) + 1) * sessions - 1
        histories = _Histories(
            features.reshape(-1, features.shape[2]),
            scale[:, None].expand(-1, sessions).reshape(-1),
            complete[:, None].expand(-1, sessions).reshape(-1),
            self.feature_names,
        )
        x = regressors(histories, last)
        forecast = predicted(x, weights=self.volatility_weights)
        numbers = summary(histories, last, x=x, volatility=forecast)
        return forecast, standardised_summary(numbers, mean=self.summary_mean, std=self.summary_std)

    def batch(self, k: int, inputs: Inputs, *, origin: tuple[Tensor, Tensor], messages: Tensor | None) -> Batch:
        """Return the batch of member ``k``: one window per block, without labels."""
        forecast, numbers = origin
        nothing = torch.full_like(forecast, float("nan"))
        support, columns = self.support[k], getattr(self, f"columns_{k}")
        shown = inputs.features[:, -max(self.lookback, support + 1) :]  # (B, T, F)
        rows = self.standardised(shown.index_select(2, columns), columns)
        neighbours = None
        if messages is not None and self.reads_messages[k]:
            neighbours = messages.index_select(3, getattr(self, f"messages_{k}"))
        return Batch(
            rows=rows,
            offsets=torch.tensor([shown.shape[1] - 1], device=rows.device),
            lookback=self.lookback,
            scale=forecast,
            ticker=inputs.ids[:, 0],
            sector=inputs.ids[:, 1],
            exchange=inputs.ids[:, 2],
            target=nothing,
            log_excess=nothing,
            summary=numbers,
            gap_factors=self.gap_factors(inputs.features[:, -1]),
            neighbours=neighbours,
            edges=None if neighbours is None else inputs.edges,
            past=self.past(inputs, shown) if support else None,
        )

    def gap_factors(self, last: Tensor) -> Tensor:
        """Return ``FoldStats.gap_factors`` of the last sessions ``last`` (B, F)."""
        if not self.has_shapes:
            return self.shape_gaps.expand(last.shape[0], -1, -1)
        value = last[:, self.feature_names.index(SHAPE_FEATURE)].contiguous()
        return self.shape_gaps[torch.searchsorted(self.shape_borders, value)]

    def standardised(self, values: Tensor, columns: Tensor) -> Tensor:
        """Standardise the last axis of ``values``, which holds ``columns`` (C,) of the features, as ``FoldStats`` does."""
        return torch.nan_to_num(((values - self.mean[columns]) / self.std[columns]).clamp(-CLIP, CLIP), nan=0.0)

    def past(self, inputs: Inputs, shown: Tensor) -> Past:
        """Return the past of the sessions of ``shown`` (B, T, F), the last of the history."""
        assert inputs.quoted is not None  # by ``optional_inputs``
        sessions = shown.shape[1]
        ago = torch.arange(sessions, 0, -1, device=shown.device) - 1
        quoted = inputs.quoted[:, -sessions:] & (ago < inputs.complete[:, None])  # (B, T)
        return Past(torch.where(quoted, shown[..., self.feature_names.index(LOG_RETURN)], 0.0), quoted)

    def combine(self, each: Tensor) -> Tensor:
        """Return the median of means of ``core.training.ensemble``, (K, B, 3, 7) -> (B, 3, 7)."""
        means = torch.stack([each[group :: self.groups].mean(dim=0) for group in range(self.groups)])
        ordered = means.sort(dim=0).values
        middle = (ordered[(self.groups - 1) // 2] + ordered[self.groups // 2]) / 2
        return middle.sort(dim=-1).values


def positions(names: Sequence[str], among: Sequence[str]) -> Tensor:
    """Return where ``names`` stand in ``among``, (len(names),) int64."""
    return torch.tensor([among.index(name) for name in names], dtype=torch.int64)


def calibrated(raw: Tensor, log_factor: Tensor) -> Tensor:
    """Return ``core.training.calibrate.apply`` on tensors, of raw (B, 3, 7) and each forecast's factors (B, 3, 7)."""
    middle = QUANTILES.index(0.5)
    median = raw[..., middle : middle + 1]
    return (median + torch.exp(log_factor) * (raw - median)).sort(dim=-1).values
