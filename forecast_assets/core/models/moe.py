"""B5: the TFT of B3 with a mixture of experts on its last hidden state, gated by the macro regime alone.

After Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer (2017), without its
noise: with a handful of experts all of them are computed, ``active`` of them are mixed. Theirs is also the loss that
keeps the gate from using one expert only. The TFT's own output layer stays beside the experts, as one that is always
used (Dai et al., DeepSeekMoE, 2024), so that B3 is what remains where the experts' outputs are zero.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.catalogue import MoeSpec
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

NUMBERS = len(HORIZONS) * len(QUANTILES)

GATE_GAIN, INITIAL_EXPERT_STD = 4.0, 0.05
"""Factor on the gate's first weights, and standard deviation of the experts' own.

With a nearly even gate and experts whose outputs are zero, all experts get the same gradient, on average over the regimes,
and what changes sign with the regime averages out: on the planted panel such a mixture learns nothing in eight epochs.
"""


class Moe(Tft):
    """The TFT on ``observed`` and ``known``, plus experts mixed by the regime.

    The regime stands in the last columns, after the TFT's own variables, and is read in a window's last row, as known at the
    forecast origin. A column of ``regime`` may be among ``observed`` too; it is then a variable of both.
    """

    def __init__(self, spec: MoeSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...]) -> None:
        super().__init__(spec, stats=stats, lookback=lookback, static=static)
        self.balance_weight = spec.balance_weight
        self.gate = Gate(len(spec.regime), hidden=spec.gate_hidden, experts=spec.experts, active=spec.active)
        self.experts = Experts(spec.hidden, experts=spec.experts)

    def raw(self, batch: Batch) -> Tensor:
        """Return the raw numbers of each forecast, (B, 3, 7)."""
        return self.mixture(batch)[0]

    def mixture(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the raw numbers of each forecast, (B, 3, 7), and the experts' mixing weights, (B, E)."""
        tft = self.outputs(batch)
        share = self.gate(self.regime(batch))
        mixed = (share[..., None] * self.experts(tft.hidden)).sum(dim=1)  # (B, E, 21) -> (B, 21)
        return tft.raw + mixed.view(tft.raw.shape), share

    def regime(self, batch: Batch) -> Tensor:
        """Return the gate's inputs for each forecast, (B, R), in units of the fold's training rows; 0 where not known."""
        last = batch.rows.index_select(1, batch.offsets)  # (K, T, C) -> (K, M, C)
        return last[..., len(self.variables) :].flatten(0, 1)

    def loss(self, batch: Batch) -> Tensor:
        """Return the TFT's loss plus ``balance_weight`` times the imbalance of the experts' use in the batch."""
        raw, share = self.mixture(batch)
        return self.loss_of(raw, batch) + self.balance_weight * imbalance(share)


@torch.no_grad()
def gate_shares(model: Moe, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Tensor:
    """Return a trained model's mixing weights for the forecasts at rows ``ends``: (M,) -> (M, E)."""
    columns = panel.columns(model.reads.optional)
    shares: Tensor = model.gate(stats.standardise(panel.features[ends][:, columns], columns))
    return shares


class Gate(nn.Module):
    """Map the regime to mixing weights: non-negative, they add up to 1, all but ``active`` are 0."""

    def __init__(self, regime: int, *, hidden: int, experts: int, active: int) -> None:
        super().__init__()
        self.experts, self.active = experts, active
        self.hidden = nn.Linear(regime, hidden)
        self.output = nn.Linear(hidden, experts)
        with torch.no_grad():
            self.hidden.weight *= GATE_GAIN
            self.output.weight *= GATE_GAIN

    def forward(self, regime: Tensor) -> Tensor:
        """(B, R) -> (B, E)."""
        score = self.output(functional.gelu(self.hidden(regime)))
        if self.active < self.experts:
            kept = score.topk(self.active, dim=-1).indices
            score = torch.full_like(score, float("-inf")).scatter(-1, kept, score.gather(-1, kept))
        return score.softmax(dim=-1)


class Experts(nn.Module):
    """E networks of two layers side by side, each with a hidden layer of its own and small initial outputs."""

    def __init__(self, hidden: int, *, experts: int) -> None:
        super().__init__()
        self.experts = experts
        self.inner = nn.Linear(hidden, experts * hidden)
        self.weight = nn.Parameter(INITIAL_EXPERT_STD * torch.randn(experts, hidden, NUMBERS))
        self.bias = nn.Parameter(torch.zeros(experts, NUMBERS))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, H) -> (B, E, 21)."""
        inner = functional.gelu(self.inner(hidden)).view(-1, self.experts, hidden.shape[-1])  # (B, E H) -> (B, E, H)
        return torch.einsum("beh,ehn->ben", inner, self.weight) + self.bias


def imbalance(share: Tensor) -> Tensor:
    """Return the squared coefficient of variation of the experts' use in a batch, (B, E) -> scalar; 0 for equal use."""
    use = share.mean(dim=0)
    return use.var(correction=0) / use.mean().square()
