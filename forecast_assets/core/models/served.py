"""A whole ensemble as one module on plain tensors: what is traced into ``model.pt``.

Everything between a decision's feature history and its calibrated quantiles is inside: the volatility forecast,
standardisation, every member, their combination and the calibration, whose state is an input.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel
from forecast_assets.core.windows.past import LOG_RETURN, Past
from forecast_assets.core.windows.stats import CLIP, FoldStats
from forecast_assets.core.windows.volatility import volatility


class Inputs(NamedTuple):
    """B decisions, as the module takes them; the last three only where a member reads them, else None and not given."""

    features: Tensor  # (B, H, F) float32 of the last H sessions, the decision's last, unscaled
    complete: Tensor  # (B,) int64 complete sessions up to the decision; those before are not looked at
    scale: Tensor  # (B,) float32 EWMA volatility at the decision's close
    ids: Tensor  # (B, 3) int64 embedding ids of ticker, sector, exchange
    regime: Tensor  # (B,) int64 volatility regime
    log_factor: Tensor  # (3, 3, 7) float64 state of the calibration
    quoted: Tensor | None = None  # (B, H) bool sessions that were quoted, for who looks at what became of them
    neighbours: Tensor | None = None  # (B, L, k, C') float32 ``messages`` of each session's neighbours, unscaled
    edges: Tensor | None = None  # (B, L, k) float32 signed correlation with each; 0 for none

    def given(self) -> tuple[Tensor, ...]:
        """The arguments of the module."""
        return tuple(tensor for tensor in self if tensor is not None)


def told_names(members: Sequence[ForecastModel]) -> tuple[str, ...]:
    """Columns of neighbours that any of ``members`` reads, in the order of their first reader."""
    return tuple(dict.fromkeys(name for member in members for name in member.messages))


class _Histories(NamedTuple):
    """Histories one below the other, as ``volatility`` reads them."""

    features: Tensor
    scale: Tensor
    run_length: Tensor
    feature_names: tuple[str, ...]


class ServedEnsemble(nn.Module):
    """Members of one lookback, each in group k mod ``groups`` of the median of means.

    ``forward`` takes the fields of ``Inputs`` that are given and returns calibrated and raw quantiles of the log return,
    2 x (B, 3, 7) float64, non-decreasing.
    """

    mean: Tensor
    std: Tensor
    volatility_weights: Tensor
    messages_all: Tensor

    def __init__(
        self, members: Sequence[ForecastModel], *, stats: FoldStats, feature_names: tuple[str, ...], groups: int
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.lookback = members[0].lookback
        self.feature_names, self.groups = feature_names, min(groups, len(members))
        self.messages = told_names(members)
        self.support = [member.support_sessions for member in members]
        self.hears = [bool(member.messages) for member in members]
        self.others = (
            *(("quoted",) if any(self.support) else ()),
            *(("neighbours", "edges") if self.messages else ()),
        )
        self.register_buffer("mean", stats.mean)
        self.register_buffer("std", stats.std)
        self.register_buffer("volatility_weights", stats.volatility_weights)
        for k, member in enumerate(members):
            columns = torch.tensor([feature_names.index(name) for name in member.columns])
            self.register_buffer(f"columns_{k}", columns, persistent=False)
            told = torch.tensor([self.messages.index(name) for name in member.messages], dtype=torch.int64)
            self.register_buffer(f"messages_{k}", told, persistent=False)
        told = torch.tensor([feature_names.index(name) for name in self.messages], dtype=torch.int64)
        self.register_buffer("messages_all", told, persistent=False)

    def forward(
        self,
        features: Tensor,
        complete: Tensor,
        scale: Tensor,
        ids: Tensor,
        regime: Tensor,
        log_factor: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        inputs = Inputs(
            features, complete, scale, ids, regime, log_factor, **dict(zip(self.others, others, strict=True))
        )
        forecast = self.volatility(features, complete, scale)  # (B, 3)
        told = None if inputs.neighbours is None else self.told(inputs.neighbours)
        each = torch.stack(
            [
                member(self.batch(k, inputs, forecast=forecast, told=told)).double()
                for k, member in enumerate(self.members)
            ]
        )  # (K, B, 3, 7)
        raw = self.combine(each)
        return calibrated(raw, log_factor[regime]), raw

    def volatility(self, features: Tensor, complete: Tensor, scale: Tensor) -> Tensor:
        """Volatility forecast over each horizon, (B, 3)."""
        count, sessions = features.shape[0], features.shape[1]
        last = (torch.arange(count, device=features.device) + 1) * sessions - 1
        below = _Histories(
            features.reshape(-1, features.shape[2]),
            scale[:, None].expand(-1, sessions).reshape(-1),
            complete[:, None].expand(-1, sessions).reshape(-1),
            self.feature_names,
        )
        return volatility(below, last, weights=self.volatility_weights)

    def batch(self, k: int, inputs: Inputs, *, forecast: Tensor, told: Tensor | None) -> Batch:
        """What member ``k`` is given: each decision a run of its own; there are no labels."""
        nothing = torch.full_like(forecast, float("nan"))
        support, columns, messages = self.support[k], getattr(self, f"columns_{k}"), getattr(self, f"messages_{k}")
        shown = inputs.features[:, -max(self.lookback, support + 1) :]  # (B, T, F)
        rows = ((shown.index_select(2, columns) - self.mean[columns]) / self.std[columns]).clamp(-CLIP, CLIP)
        heard = told.index_select(3, messages) if told is not None and self.hears[k] else None
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
            neighbours=heard,
            edges=None if heard is None else inputs.edges,
            past=self.past(inputs, shown) if support else None,
        )

    def told(self, neighbours: Tensor) -> Tensor:
        """What neighbours tell, standardised: (B, L, k, C') -> (B, L, k, C')."""
        mean, std = self.mean[self.messages_all], self.std[self.messages_all]
        return ((neighbours - mean) / std).clamp(-CLIP, CLIP)

    def past(self, inputs: Inputs, shown: Tensor) -> Past:
        """What is known of the sessions of ``shown`` (B, T, F), the last of the history."""
        assert inputs.quoted is not None  # by ``others``
        sessions = shown.shape[1]
        ago = torch.arange(sessions, 0, -1, device=shown.device) - 1
        quoted = inputs.quoted[:, -sessions:] & (ago < inputs.complete[:, None])  # (B, T)
        return Past(torch.where(quoted, shown[..., self.feature_names.index(LOG_RETURN)], 0.0), quoted)

    def combine(self, each: Tensor) -> Tensor:
        """The median of means of ``core.training.ensemble``, (K, B, 3, 7) -> (B, 3, 7)."""
        means = torch.stack([each[group :: self.groups].mean(dim=0) for group in range(self.groups)])
        ordered = means.sort(dim=0).values
        middle = (ordered[(self.groups - 1) // 2] + ordered[self.groups // 2]) / 2
        return middle.sort(dim=-1).values


def calibrated(raw: Tensor, log_factor: Tensor) -> Tensor:
    """``core.training.calibrate.apply`` on tensors: raw (B, 3, 7) and each decision's factors (B, 3, 7)."""
    middle = QUANTILES.index(0.5)
    median = raw[..., middle : middle + 1]
    return (median + torch.exp(log_factor) * (raw - median)).sort(dim=-1).values
