"""B5: the TFT of B3 with a mixture of experts on its last hidden state; a gate reads the macro regime and nothing else.

After Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer (2017), without its
noise: with a handful of experts all of them are computed, ``active`` of them are mixed. Theirs is also the loss that
keeps the gate from using one expert only. The TFT's own output layer stays beside the experts, as one that is always
used (Dai et al., DeepSeekMoE, 2024), so that B3 is what remains where the experts say nothing.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.specs import MoeSpec
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors

NUMBERS = len(HORIZONS) * len(QUANTILES)

GATE_GAIN, INITIAL_EXPERT_STD = 4.0, 0.05
"""Factor on the gate's first weights, and standard deviation of the experts' own.

With a gate that is nearly even and experts that are silent, all experts get the same gradient, on average over the regimes,
and what switches sign with the regime averages out: on the planted panel such a mixture learns nothing in eight epochs.
"""


class Moe(Tft):
    """The TFT on ``observed`` and ``known``; what a regime changes is the experts' business.

    The regime stands in the last columns, after the TFT's own variables, and is read in a window's last row: the state of
    the world as known at the decision. A name of ``regime`` may be among ``observed`` too; it is then a variable of both.
    """

    def __init__(self, spec: MoeSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...]) -> None:
        super().__init__(spec, stats=stats, lookback=lookback, static=static)
        self.columns = (*self.variables, *spec.regime)
        self.balance_weight = spec.balance_weight
        self.gate = Gate(len(spec.regime), hidden=spec.gate_hidden, experts=spec.experts, active=spec.active)
        self.experts = Experts(spec.hidden, experts=spec.experts)

    def raw(self, batch: Batch) -> Tensor:
        """Raw numbers of each decision, (B, 3, 7)."""
        return self.mixed(batch)[0]

    def mixed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Raw numbers of each decision, (B, 3, 7), and how much of each expert is in them, (B, E)."""
        seen = self.look(batch)
        share = self.gate(self.regime(batch))
        said = self.experts(seen.hidden)  # (B, E, 21)
        mixture = (share[..., None] * said).sum(dim=1)  # (B, 21)
        return seen.raw + mixture.view(seen.raw.shape), share

    def regime(self, batch: Batch) -> Tensor:
        """What the gate reads of each decision, (B, R), in units of the fold's training rows."""
        last = batch.rows.index_select(1, batch.offsets)  # (K, T, C) -> (K, M, C)
        return known_regime(last[..., len(self.variables) :].flatten(0, 1))

    @property
    def required(self) -> tuple[str, ...]:
        """What the TFT reads: a macro feed may pause."""
        return self.variables

    def loss(self, batch: Batch) -> Tensor:
        """That of the other networks, plus ``balance_weight`` times the imbalance of the experts' use in the batch."""
        raw, share = self.mixed(batch)
        return self.loss_of(raw, batch) + self.balance_weight * imbalance(share)


def known_regime(standardised: Tensor) -> Tensor:
    """A value that was not known at the decision, NaN, as the mean of the training rows."""
    return torch.nan_to_num(standardised, nan=0.0)


@torch.no_grad()
def gate_shares(model: Moe, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Tensor:
    """How much of each expert a trained model mixes for the decisions at rows ``ends``: (M,) -> (M, E)."""
    columns = panel.columns(model.columns[len(model.variables) :])
    shares: Tensor = model.gate(known_regime(stats.standardise(panel.features[ends][:, columns], columns)))
    return shares


class Gate(nn.Module):
    """Regime -> how much of each expert is mixed: non-negative, adds up to 1, all but ``active`` are 0."""

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
    """E networks of two layers side by side: each starts from a hidden layer of its own and says little at first."""

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
    """Squared coefficient of variation of the experts' use in a batch, (B, E) -> scalar; 0 where all are used alike."""
    use = share.mean(dim=0)
    return use.var(correction=0) / use.mean().square()
