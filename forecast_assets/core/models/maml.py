"""B7: a TFT without an embedding of the ticker, plus a linear head adapted to the ticker's past at each forecast origin.

Model-agnostic meta-learning (Finn, Abbeel, Levine, 2017), tasks being tickers: trained are the head's initial weights, the
step size of each (Li et al., Meta-SGD, 2017), and the features of a session that it takes, all of it through the steps,
second order included. Only the head adapts: the rest of a network, adapted too, changes little (Raghu et al., Rapid Learning
or Feature Reuse?, 2020). It adapts anew at every forecast origin, to outcomes that were known by then, so no weights belong
to a ticker: a new listing is treated like all others, one without a past by the head as trained.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.catalogue import MamlSpec
from forecast_assets.core.models.execution import exporting
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.windows.past import outcomes
from forecast_assets.core.windows.stats import CLIP, FoldStats


class Maml(Tft):
    """The TFT with ``static``; the adapted head moves the location alone, in the TFT's own raw numbers.

    So it has to be earned on validation rows like all else that is learned of the mean.
    """

    def __init__(self, spec: MamlSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...]) -> None:
        super().__init__(spec, stats=stats, lookback=lookback, static=static)
        self.new_listing_share = spec.new_listing_share
        self.describe = Description(len(self.variables), hidden=spec.hidden, width=spec.description_width)
        self.personal = AdaptedHead(
            self.describe.width, steps=spec.inner_steps, rate=spec.inner_rate, prior_sessions=spec.prior_sessions
        )

    def raw(self, batch: Batch) -> Tensor:
        """Return the raw numbers of each forecast, (B, 3, 7)."""
        described, support, outcome = self.episodes(batch)
        location = self.personal(described, support, outcome)  # (B, 3)
        after = self.head.base_gaps.shape[-1] - self.head.middle
        return self.outputs(batch).raw + functional.pad(location[..., None], (self.head.middle, after))

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the TFT's inputs, without the sessions before its windows."""
        before = 0 if batch.past is None else max(0, self.reads.support_sessions + 1 - self.lookback)
        return super().inputs(replace(batch, rows=batch.rows[:, before:], offsets=batch.offsets - before))

    def episodes(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of each forecast origin, (B, D), of the S sessions before it, (B, S, D), and their outcomes,
        (B, S, 3), in units of the volatility forecast from the base distribution's median; NaN where not known.
        """
        if batch.past is None:
            raise ValueError("b7_maml: the batch has no past; make it with the model's support_sessions")
        sessions = self.reads.support_sessions
        described = self.describe(batch.rows[..., : len(self.variables)])  # (K, T, D)
        at = batch.offsets[:, None] + torch.arange(-sessions, 0, device=batch.offsets.device)  # (M, S)
        outcome = outcomes(batch.past, batch.offsets, sessions=sessions) / batch.scale[:, None]  # (B, S, 3)
        outcome = (outcome - self.head.base_median).clamp(-CLIP, CLIP)
        if self.training and self.new_listing_share > 0:
            outcome = shortened(outcome, share=self.new_listing_share)
        return described[:, batch.offsets].flatten(0, 1), described[:, at].flatten(0, 1), outcome


def shortened(outcome: Tensor, *, share: float) -> Tensor:
    """Shorten the past of a ``share`` of forecasts to that of a new listing, any length as likely: (B, S, 3) -> same."""
    count, sessions, _ = outcome.shape
    ago = torch.arange(sessions, 0, -1, device=outcome.device)
    length = torch.randint(sessions + 1, (count, 1), device=outcome.device)
    hidden = (torch.rand(count, 1, device=outcome.device) < share) & (ago > length)  # (B, S)
    return torch.where(hidden[..., None], float("nan"), outcome)


class Description(nn.Module):
    """Map a session's variables to D features, a linear map and a hidden layer's correction of it; the last one is 1."""

    def __init__(self, variables: int, *, hidden: int, width: int) -> None:
        super().__init__()
        self.width = width + 1
        self.linear = nn.Linear(variables, width)
        self.hidden = nn.Linear(variables, hidden)
        self.output = nn.Linear(hidden, width, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """(..., V) -> (..., D)."""
        described = self.linear(rows) + self.output(functional.gelu(self.hidden(rows)))
        return functional.pad(described, (0, 1), value=1.0)


class AdaptedHead(nn.Module):
    """A linear map (3, D) that takes ``steps`` gradient steps on each forecast's support before it is applied.

    The loss is half the squared error over a horizon's known outcomes, divided by their number plus a learned
    ``prior_sessions``: one outcome moves the weights by little, and none by nothing. Steps are divided by one plus the mean
    square of the features, as in normalised LMS, which bounds the curvature: with rates below 2 no step overshoots.
    """

    def __init__(self, width: int, *, steps: int, rate: float, prior_sessions: float) -> None:
        super().__init__()
        self.steps = steps
        self.weight = nn.Parameter(torch.zeros(len(HORIZONS), width))
        self.rate_logit = nn.Parameter(torch.full((len(HORIZONS), width), rate / 2).logit())
        self.log_prior = nn.Parameter(torch.full((len(HORIZONS),), prior_sessions).log())

    def forward(self, described: Tensor, support: Tensor, outcome: Tensor) -> Tensor:
        """(B, D), (B, S, D) and (B, S, 3) with NaN where not known -> (B, 3)."""
        return (self.adapted(support, outcome) @ described[..., None]).squeeze(-1)

    def adapted(self, support: Tensor, outcome: Tensor) -> Tensor:
        """Return the head of each forecast, (B, 3, D)."""
        errors = squared_errors(support, outcome, prior_sessions=self.log_prior.exp())
        curvature = errors.gram.diagonal(dim1=-2, dim2=-1).sum(dim=-1)  # (B, 3) the trace: at least the largest one
        rate = 2 * torch.sigmoid(self.rate_logit) / (1 + curvature[..., None])  # (B, 3, D)
        # Neither tracing nor export follows torch.func; outside training the gradient written out is quicker too.
        if exporting() or not torch.is_grad_enabled():
            return self.by_hand(errors, rate)
        return vmap(self.by_gradient)(errors, rate)

    def by_gradient(self, errors: "SquaredErrors", rate: Tensor) -> Tensor:
        """Take the steps of one forecast: its rates (3, D) -> its head (3, D)."""
        weight: Tensor = self.weight
        for _ in range(self.steps):
            weight = weight - rate * grad(inner_loss)(weight, errors)
        return weight

    def by_hand(self, errors: "SquaredErrors", rate: Tensor) -> Tensor:
        """Take the steps of all forecasts: (B, 3, D) -> (B, 3, D)."""
        weight = self.weight.expand_as(rate)
        for _ in range(self.steps):
            weight = weight - rate * ((errors.gram @ weight[..., None]).squeeze(-1) - errors.moment)
        return weight


class SquaredErrors(NamedTuple):
    """Weighted squared errors of any linear head on a support, in the moments that they depend on: a number per horizon and
    pair of features instead of one per session, however many steps are taken.
    """

    gram: Tensor  # (..., 3, D, D)
    moment: Tensor  # (..., 3, D)


def squared_errors(support: Tensor, outcome: Tensor, *, prior_sessions: Tensor) -> SquaredErrors:
    """Return the moments of a support (B, S, D) with outcomes (B, S, 3), NaN where not known; ``prior_sessions``: (3,)."""
    known = torch.isfinite(outcome)
    share = known / (known.sum(dim=1, keepdim=True) + prior_sessions)  # (B, S, 3)
    weighed = support.mT[:, None] * share.mT[:, :, None]  # (B, 1, D, S) * (B, 3, 1, S) -> (B, 3, D, S)
    moment = (share * torch.where(known, outcome, 0.0)).mT @ support  # (B, 3, S) @ (B, S, D) -> (B, 3, D)
    return SquaredErrors(weighed @ support[:, None], moment)


def inner_loss(weight: Tensor, errors: SquaredErrors) -> Tensor:
    """Return half the weighted squared error of a head (3, D) on one support, up to a constant: scalar."""
    product = (errors.gram * weight[..., None, :]).sum(dim=-1)  # (3, D) gram @ weight; a batched product is slower
    return (weight * (0.5 * product - errors.moment)).sum()
