"""The one shape that all networks share: a batch of runs of windows in, quantiles of log returns out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.windows.past import Past, past_of
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, WindowBatch


@dataclass(frozen=True)
class Batch:
    """K runs of T consecutive sessions with M window ends each: B = K M decisions, in run-major order.

    All that a network may see of the decisions, and the labels it is trained on. ``window`` is for networks that share
    nothing between overlapping windows.
    """

    rows: Tensor  # (K, T, C) standardised features of the columns the model asked for
    offsets: Tensor  # (M,) int64 position in a run at which each window ends, at least ``lookback`` - 1
    lookback: int  # L, sessions of a window
    scale: Tensor  # (B, 3) volatility forecast over each horizon, log-return units
    ticker: Tensor  # (B,) int64 embedding id
    sector: Tensor  # (B,) int64 embedding id
    exchange: Tensor  # (B,) int64 embedding id
    target: Tensor  # (B, 3) log returns, NaN where there is no valid label or the slot is no decision
    log_excess: Tensor  # (B, 3) log of realised volatility over ``scale``, a label too; NaN where ``target`` is
    # For a model with ``messages`` only; a slot without a neighbour has the weight 0.
    neighbours: Tensor | None = (
        None  # (K, T, k, C') standardised columns of the rows that speak to each row of the runs
    )
    edges: Tensor | None = None  # (K, T, k) signed correlation with each of them
    past: Past | None = None  # returns of the runs' sessions, for a model with ``support_sessions``

    @property
    def window(self) -> Tensor:
        """The windows, each copied out, (B, L, C)."""
        steps = torch.arange(1 - self.lookback, 1, device=self.offsets.device)
        return self.rows[:, self.offsets[:, None] + steps].flatten(0, 1)  # (K, T, C) -> (K, M, L, C) -> (B, L, C)

    def per_run(self, ids: Tensor) -> Tensor:
        """Ids of decisions (B,) -> of runs (K,): the decisions of a run share them."""
        return ids.view(self.rows.shape[0], -1)[:, 0]  # a size that tracing follows, unlike len()


class ForecastModel(nn.Module):
    """Base of the networks.

    ``forward`` returns quantiles of the log return, (B, 3, 7), non-decreasing by construction. ``loss`` is what
    training minimises and defaults to the standardised pinball loss; ``columns`` and ``lookback`` say which windows
    the model reads.
    """

    columns: tuple[str, ...]
    lookback: int
    messages: tuple[str, ...] = ()
    """Columns that it reads of each row's neighbours in the panel's graph."""
    support_sessions: int = 0
    """Sessions before the decision whose outcomes the model looks at; it decides all the same where there are fewer."""

    @property
    def required(self) -> tuple[str, ...]:
        """Those of ``columns`` without which there is no forecast."""
        return self.columns

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles of the log return over each horizon, (B, 3, 7)."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Scalar training loss."""
        return standardised_pinball(self(batch), batch.target, batch.scale)


def standardised_pinball(quantiles: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Mean pinball loss over matured labels and levels, in units of each decision's own volatility forecast.

    Without the standardisation the longest horizon and the wildest tickers would decide the fit.
    ``quantiles``: (B, 3, 7), ``target``: (B, 3) with NaN where not valid, ``scale``: (B, 3).
    """
    valid = torch.isfinite(target)
    error = (torch.where(valid, target, torch.zeros_like(target))[..., None] - quantiles) / scale[
        ..., None
    ]  # (B, 3, 7)
    levels = torch.tensor(QUANTILES, dtype=error.dtype, device=error.device)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)  # (B, 3)
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def make_batch(
    panel: PanelTensors,
    runs: WindowBatch,
    *,
    layout: Layout,
    stats: FoldStats,
    columns: Tensor,
    lookback: int,
    messages: Tensor | None = None,
    support_sessions: int = 0,
    decisions: Tensor | None = None,
) -> Batch:
    """Gather runs, standardise them and look up their ids; all index gathers, on the device of the arguments.

    ``columns`` are the positions of the model's features, ``messages`` those of what it reads of neighbours, None where it
    reads nothing of them. With ``support_sessions`` a run begins early enough to show as many sessions before its first
    end, and the batch has their ``past``. ``decisions`` (N,) bool says which rows count: the other slots' labels are NaN;
    without it, all slots of the runs do.
    """
    ends, counts = runs.ends(layout)  # 2 x (K, M)
    if decisions is not None:
        counts = counts & decisions[ends]
    ends, counts = ends.flatten(), counts.flatten()  # (B,)
    reach = max(lookback, support_sessions + 1)
    shown = runs.rows(layout, lookback=reach)  # (K, T)
    past = None
    if support_sessions:
        # Sessions before the windows may not be there, or belong to another ticker: the stretch's first row stands for them.
        first = runs.last - panel.run_length[runs.last] + 1  # (K,)
        past = past_of(panel, shown, first=first)
        shown = torch.maximum(shown, first[:, None])
    rows = panel.features.index_select(0, shown.flatten()).index_select(1, columns)  # (K T, F) -> (K T, C)
    scale = stats.volatility(panel, ends)
    target = torch.where(counts[:, None], panel.targets[ends], float("nan"))
    if decisions is None:  # a forecast: what is ahead is not looked at
        excess = torch.full_like(scale, float("nan"))
    else:
        excess = torch.where(torch.isfinite(target), stats.log_excess(panel, ends, forecast=scale), float("nan"))
    neighbours, edges = None, None
    if messages is not None:
        neighbours, edges = told(panel, shown, messages)
        neighbours = stats.standardise(neighbours, messages)
    return Batch(
        rows=stats.standardise(rows, columns).view(*shown.shape, -1),
        offsets=layout.offsets(reach, device=ends.device),
        lookback=lookback,
        scale=scale,
        ticker=stats.ticker_ids[panel.ticker[ends].long()],
        sector=stats.sector_ids[panel.sector[ends].long()],
        exchange=stats.exchange_ids[panel.exchange[ends].long()],
        target=target,
        log_excess=excess,
        neighbours=neighbours,
        edges=edges,
        past=past,
    )


def message_columns(model: ForecastModel, panel: PanelTensors) -> Tensor | None:
    """Positions of the model's ``messages`` in a panel's features; None where it reads nothing of neighbours."""
    return panel.columns(model.messages) if model.messages else None


def told(panel: PanelTensors, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """What the neighbours of ``rows`` (...) tell: their raw ``columns`` (..., k, C'), and the weight (..., k) of each edge.

    Where there is no neighbour, or one of its columns is missing, the weight is 0. Raises ValueError for a panel without a
    graph.
    """
    if panel.graph is None:
        raise ValueError("windowed_tensors: the panel has no graph; a model that reads neighbours needs one")
    graph = panel.graph.of(rows)
    neighbour, weight = graph.neighbour.long(), graph.weight  # 2 x (..., k)
    values = panel.features[neighbour.clamp(min=0)[..., None], columns]  # (..., k, C')
    speaks = (neighbour >= 0) & torch.isfinite(values).all(dim=-1)
    return torch.where(speaks[..., None], values, 0.0), torch.where(speaks, weight, 0.0)


class QuantileHead(nn.Module):
    """Seven raw numbers per horizon -> ordered quantiles around a base distribution: location, scale and shape.

    The median moves by ``location_shrink`` times its raw number. The other six are those of the gaps between neighbouring
    quantiles: their mean is the log of a factor on all gaps, the scale; what each differs from it, times ``shape_shrink``,
    is the log of a factor on that gap alone. All in units of the decision's volatility forecast, so raw numbers of zero
    give exactly the volatility forecast with the training rows' pooled quantiles: training starts from a strong baseline
    and can only be judged against it.
    """

    base_median: Tensor
    base_gaps: Tensor

    def __init__(self, base_quantiles: Tensor, *, location_shrink: float, shape_shrink: float) -> None:
        super().__init__()
        self.middle = QUANTILES.index(0.5)
        self.location_shrink, self.shape_shrink = location_shrink, shape_shrink
        self.register_buffer("base_median", base_quantiles[:, self.middle].clone())  # (3,)
        self.register_buffer("base_gaps", base_quantiles.diff(dim=-1).clamp(min=1e-6))  # (3, 6)

    def gap_numbers(self, raw: Tensor) -> Tensor:
        """The raw numbers of the gaps, (B, 3, 7) -> (B, 3, 6)."""
        return torch.cat([raw[..., : self.middle], raw[..., self.middle + 1 :]], dim=-1)

    def log_scale(self, raw: Tensor) -> Tensor:
        """Log of the factor on the volatility forecast, (B, 3, 7) -> (B, 3)."""
        return self.gap_numbers(raw).mean(dim=-1)

    def forward(self, raw: Tensor, scale: Tensor) -> Tensor:
        """(B, 3, 7) raw and (B, 3) scale -> (B, 3, 7) quantiles of the log return."""
        log_scale, gap_numbers = self.log_scale(raw)[..., None], self.gap_numbers(raw)
        median = self.base_median + self.location_shrink * raw[..., self.middle]  # (B, 3)
        log_factor = log_scale + self.shape_shrink * (gap_numbers - log_scale)  # (B, 3, 6)
        gaps = self.base_gaps * torch.exp(log_factor.clamp(-4.0, 4.0))
        below = median[..., None] - gaps[..., : self.middle].flip(-1).cumsum(-1).flip(-1)  # (B, 3, 3)
        above = median[..., None] + gaps[..., self.middle :].cumsum(-1)  # (B, 3, 3)
        return torch.cat([below, median[..., None], above], dim=-1) * scale[..., None]


class LocationScaleModel(ForecastModel):
    """A network whose raw numbers (B, 3, 7) go through a ``QuantileHead``.

    Outcomes say little about volatility, one draw per decision; realised volatility, measured from every session's range,
    says much. So the scale is also fitted to that, which no evaluation looks at: on the years 2016 to 2018, networks
    fitted to outcomes alone lost to the volatility forecast that they start from, with both they beat it.
    """

    head: QuantileHead
    volatility_weight: float

    def raw(self, batch: Batch) -> Tensor:
        """Raw numbers of each decision, (B, 3, 7)."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        """Quantiles of the log return, (B, 3, 7)."""
        return self.head(self.raw(batch), batch.scale)

    def loss(self, batch: Batch) -> Tensor:
        """Standardised pinball loss, plus ``volatility_weight`` times the squared error of the log scale."""
        return self.loss_of(self.raw(batch), batch)

    def loss_of(self, raw: Tensor, batch: Batch) -> Tensor:
        """``loss`` of raw numbers (B, 3, 7)."""
        pinball = standardised_pinball(self.head(raw, batch.scale), batch.target, batch.scale)
        known = torch.isfinite(batch.log_excess)
        error = self.head.log_scale(raw) - torch.where(known, batch.log_excess, 0.0)
        squared = (error.square() * known).sum() / known.sum().clamp(min=1)
        return pinball + self.volatility_weight * squared
