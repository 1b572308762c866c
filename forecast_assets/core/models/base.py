"""What all networks share: the batch they take, the quantile head, and the pinball loss."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.explanation import Explanation
from forecast_assets.core.reads import Reads
from forecast_assets.core.windows.labels import Labels
from forecast_assets.core.windows.past import Past, past_of
from forecast_assets.core.windows.stats import UNKNOWN_ID, FoldStats, quantiles_of
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, WindowBatch, single_windows


@dataclass(frozen=True)
class Batch:
    """Inputs and labels of B = K M forecasts: K blocks of T consecutive sessions, M windows in each, in block-major order.

    ``window`` is for networks that share nothing between overlapping windows.
    """

    rows: Tensor  # (K, T, C) standardised features, the model's ``reads.columns``
    offsets: Tensor  # (M,) int64 position in a block at which each window ends, at least ``lookback`` - 1
    lookback: int  # L, sessions of a window
    scale: Tensor  # (B, 3) volatility forecast over each horizon, log-return units
    ticker: Tensor  # (B,) int64 embedding id
    sector: Tensor  # (B,) int64 embedding id
    exchange: Tensor  # (B,) int64 embedding id
    target: Tensor  # (B, 3) log returns, NaN where there is no valid label or the slot is no forecast origin
    log_excess: Tensor  # (B, 3) log of realised volatility over ``scale``, see ``Labels``; NaN where ``target`` is
    summary: Tensor  # (B, S) standardised numbers that sum up the ticker's history at the origin
    gap_factors: Tensor  # (B, 3, 6) on the base distribution's distances between neighbouring quantiles
    neighbours: Tensor | None = None  # (K, T, k, C') standardised ``reads.messages`` of each row's neighbours
    edges: Tensor | None = None  # (K, T, k) signed correlation with each of them, 0 where there is no neighbour
    past: Past | None = None  # returns of the blocks' sessions, for ``reads.support_sessions``

    @property
    def window(self) -> Tensor:
        """Copy of each window, (B, L, C)."""
        steps = torch.arange(1 - self.lookback, 1, device=self.offsets.device)
        return self.rows[:, self.offsets[:, None] + steps].flatten(0, 1)  # (K, T, C) -> (K, M, L, C) -> (B, L, C)

    def per_block(self, ids: Tensor) -> Tensor:
        """Return the ids of the blocks, (K,), from those of their windows, (B,), which share them."""
        return ids.view(self.rows.shape[0], -1)[:, 0]  # a size that tracing follows, unlike len()


class ForecastModel(nn.Module):
    """Base of the networks: ``reads`` and ``lookback`` say what its batches hold."""

    reads: Reads
    lookback: int

    def forward(self, batch: Batch) -> Tensor:
        """Return quantiles of the log return over each horizon, (B, 3, 7), non-decreasing by construction."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Return the scalar that training minimises."""
        return standardised_pinball(self(batch), batch.target, batch.scale)

    def explain(self, batch: Batch) -> Explanation | None:
        """Return variable importance and attention of each forecast; None for a network without them."""
        return None

    def quantile_head(self) -> "QuantileHead | None":
        """Return the head whose location has to be earned; None for a network that publishes what it learned (B0)."""
        return None


def standardised_pinball(quantiles: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Return the mean pinball loss over valid labels and levels, in units of each forecast's own volatility forecast.

    Without the standardisation the longest horizon and the most volatile tickers would dominate the fit.
    ``quantiles``: (B, 3, 7), ``target``: (B, 3) with NaN where not valid, ``scale``: (B, 3).
    """
    valid = torch.isfinite(target)
    error = (torch.where(valid, target, 0.0)[..., None] - quantiles) / scale[..., None]  # (B, 3, 7)
    levels = torch.tensor(QUANTILES, dtype=error.dtype, device=error.device)
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)  # (B, 3)
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def make_batch(
    panel: PanelTensors,
    runs: WindowBatch,
    *,
    layout: Layout,
    stats: FoldStats,
    reads: Reads,
    lookback: int,
    labels: Labels | None = None,
) -> Batch:
    """Gather the rows that a model ``reads``, standardise them and look up their ids; on the device of the arguments.

    With ``reads.support_sessions`` a block begins early enough to show as many sessions before its first window end.
    ``labels`` are those of the forecast origins of training, which are filled in; without them there are none.
    """
    ends, counts = runs.ends(layout)  # 2 x (K, M)
    if labels is not None:
        counts = counts & labels.origins[ends]
    ends, counts = ends.flatten(), counts.flatten()  # (B,)
    reach = max(lookback, reads.support_sessions + 1)
    shown = runs.rows(layout, lookback=reach)  # (K, T)
    past = None
    if reads.support_sessions:
        # Sessions before the windows may not exist, or belong to another ticker: the segment's first row stands for them.
        first = runs.last - panel.run_length[runs.last] + 1  # (K,)
        past = past_of(panel, shown, first=first)
        shown = torch.maximum(shown, first[:, None])
    columns = panel.columns(reads.columns).to(ends.device)
    rows = panel.features.index_select(0, shown.flatten()).index_select(1, columns)  # (K T, F) -> (K T, C)
    scale, summary = stats.origin(panel, ends)
    target = torch.where(counts[:, None], panel.targets[ends], float("nan"))
    if labels is None:  # a forecast reads nothing that lies ahead
        excess = torch.full_like(scale, float("nan"))
    else:
        excess = labels.log_excess(panel, ends, forecast=scale, stats=stats)
        excess = torch.where(torch.isfinite(target), excess, float("nan"))
    neighbours, edges = None, None
    if reads.messages:
        messages = panel.columns(reads.messages).to(ends.device)
        neighbours, edges = neighbour_messages(panel, shown, messages)
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
        summary=summary,
        gap_factors=stats.gap_factors(panel, ends),
        neighbours=neighbours,
        edges=edges,
        past=past,
    )


def single_batch(model: ForecastModel, ends: Tensor, *, panel: PanelTensors, stats: FoldStats) -> Batch:
    """Return the batch of the forecasts at rows ``ends`` (B,), one window per block."""
    runs, layout = single_windows(ends), Layout(ends=1, stride=1)
    return make_batch(panel, runs, layout=layout, stats=stats, reads=model.reads, lookback=model.lookback)


def neighbour_messages(panel: PanelTensors, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Return the raw ``columns`` of the k neighbours of ``rows`` (...), (..., k, C'), and the weight of each edge, (..., k).

    The weight is 0 where there is no neighbour or one of its columns is missing. Raises ValueError for a panel without a
    graph.
    """
    if panel.graph is None:
        raise ValueError("windowed_tensors: the panel has no graph; a model that reads neighbours needs one")
    graph = panel.graph.of(rows)
    neighbour, weight = graph.neighbour.long(), graph.weight  # 2 x (..., k)
    values = panel.features[neighbour.clamp(min=0)[..., None], columns]  # (..., k, C')
    complete = (neighbour >= 0) & torch.isfinite(values).all(dim=-1)
    return torch.where(complete[..., None], values, 0.0), torch.where(complete, weight, 0.0)


class QuantileHead(nn.Module):
    """Map seven raw numbers per horizon to ordered quantiles around a base distribution: location, scale and shape.

    The median moves by its raw number: freely in training, times the horizon's ``location_slope`` in a forecast. The slope
    is 1 until ``publish`` sets the one that the validation rows bear out (``core.training.location``), 0 where they show
    nothing. The other six numbers are for the gaps between adjacent quantiles: their mean is the log of a factor on all
    gaps, the scale; what each differs from it, times ``shape_shrink``, is the log of a factor on that gap alone. All in
    units of the volatility forecast, so raw numbers of zero give exactly HAR-X, the volatility forecast with the training
    rows' quantiles: training starts from a strong baseline.
    """

    base_median: Tensor
    base_gaps: Tensor
    location_slope: Tensor
    location_error: Tensor

    def __init__(self, base_quantiles: Tensor, *, shape_shrink: float) -> None:
        super().__init__()
        self.middle = QUANTILES.index(0.5)
        self.shape_shrink = shape_shrink
        self.register_buffer("base_median", base_quantiles[:, self.middle].clone())  # (3,)
        self.register_buffer("base_gaps", base_quantiles.diff(dim=-1).clamp(min=1e-6))  # (3, 6)
        self.register_buffer("location_slope", torch.ones(len(base_quantiles)))  # (3,)
        self.register_buffer("location_error", torch.zeros(len(base_quantiles)))  # (3,) the slope's standard error

    def deviation(self, quantiles: Tensor, scale: Tensor) -> Tensor:
        """Return the location of forecasts (B, 3, 7) less the base median, in volatility forecasts (B, 3): (B, 3)."""
        return quantiles[..., self.middle] / scale - self.base_median

    def publish(self, slope: Sequence[float], error: Sequence[float]) -> None:
        """Set the factor on the learned location and its standard error, both (3,)."""
        self.location_slope.copy_(torch.tensor(slope))
        self.location_error.copy_(torch.tensor(error))

    def published(self, learned: Tensor, scale: Tensor) -> Tensor:
        """Return the quantiles (B, 3, 7) with ``location_slope``, from those whose slope is 1."""
        shift = (self.location_slope - 1) * self.deviation(learned, scale) * scale  # (B, 3)
        return learned + shift[..., None]

    def gap_numbers(self, raw: Tensor) -> Tensor:
        """Return the raw numbers of the gaps, (B, 3, 7) -> (B, 3, 6)."""
        return torch.cat([raw[..., : self.middle], raw[..., self.middle + 1 :]], dim=-1)

    def log_scale(self, raw: Tensor) -> Tensor:
        """Return the log of the factor on the volatility forecast, (B, 3, 7) -> (B, 3)."""
        return self.gap_numbers(raw).mean(dim=-1)

    def forward(self, raw: Tensor, scale: Tensor, gap_factors: Tensor) -> Tensor:
        """Return quantiles of the log return, (B, 3, 7), from raw numbers (B, 3, 7) and volatility forecasts (B, 3).

        ``gap_factors`` (B, 3, 6): on the distances between the base distribution's neighbouring quantiles.
        """
        log_scale, gap_numbers = self.log_scale(raw)[..., None], self.gap_numbers(raw)
        median = self.base_median + raw[..., self.middle]  # (B, 3)
        log_factor = log_scale + self.shape_shrink * (gap_numbers - log_scale)  # (B, 3, 6)
        gaps = self.base_gaps * gap_factors * torch.exp(log_factor.clamp(-4.0, 4.0))
        learned = quantiles_of(median, gaps) * scale[..., None]
        # By the one function that ``judge`` applies to what was learned: a slope gives the same bits either way.
        return learned if self.training else self.published(learned, scale)


GAIN = 10.0
"""Factor on the linear location's weights. The optimiser's steps have the same size for every weight, so this one learns ten
times as fast as the rest of a network."""

LOCATION_CLIP = 4.0
"""Standard deviations that the linear location reads of an input: a line fitted to ordinary days says little of others."""


class LinearLocation(nn.Module):
    """Map the inputs of the last session to what they add to the location, linear, and zero at first.

    What a linear regression finds, a network behind variable selection, recurrence and attention finds with ten times the
    samples. Signals in returns are weak and nearly linear; this path finds them first, and the network learns the rest.
    """

    def __init__(self, variables: int) -> None:
        super().__init__()
        self.variables = variables
        self.weight = nn.Parameter(torch.zeros(len(HORIZONS), variables))
        self.bias = nn.Parameter(torch.zeros(len(HORIZONS)))

    def forward(self, last: Tensor) -> Tensor:
        """(B, V) standardised -> (B, 3) in units of the volatility forecast."""
        return GAIN * nn.functional.linear(last.clamp(-LOCATION_CLIP, LOCATION_CLIP), self.weight, self.bias)


class SummaryNetwork(nn.Module):
    """Map the summary of a ticker's history to raw numbers of the gaps, which are zero at first; two hidden layers.

    The sessions of a window show neither what is older nor what the volatility regression reads. It is a matter of scale
    and shape alone: of the location a summary says no more than a line does.
    """

    def __init__(self, numbers: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        with torch.random.fork_rng(
            devices=[]
        ):  # a network's other first weights are those that it has without a summary
            self.hidden = nn.Sequential(
                *(nn.Linear(numbers, hidden), nn.GELU(), nn.Dropout(dropout)),
                *(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout)),
            )
            self.output = nn.Linear(hidden, len(HORIZONS) * (len(QUANTILES) - 1))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, summary: Tensor) -> Tensor:
        """(B, S) -> (B, 3, 7), zero for the location."""
        gaps = self.output(self.hidden(summary)).unflatten(1, (len(HORIZONS), len(QUANTILES) - 1))
        middle = QUANTILES.index(0.5)
        return torch.cat([gaps[..., :middle], torch.zeros_like(gaps[..., :1]), gaps[..., middle:]], dim=-1)


class LocationScaleModel(ForecastModel):
    """A network of features and ids whose raw numbers (B, 3, 7) go through a ``QuantileHead``, plus those of a summary.

    An outcome is one draw and carries little information on volatility; realised volatility, measured from every session's
    range, carries much. So the scale is also fitted to that, which no score uses: on the years 2016 to 2018, networks
    fitted to outcomes alone lost to the volatility forecast that they start from, with both they beat it.
    """

    head: QuantileHead
    location: LinearLocation
    summary: SummaryNetwork
    volatility_weight: float
    unknown_share: float

    def quantile_head(self) -> QuantileHead:
        """Return the head."""
        return self.head

    def values(self, batch: Batch) -> Tensor:
        """Return the variables of each session of the blocks, (K, T, V): here the first columns of the rows."""
        return batch.rows[..., : self.location.variables]

    def with_unknown(self, ids: Tensor) -> Tensor:
        """Return static ids; in training a share of them replaced by the unknown one, so that it is trained too."""
        if self.training and self.unknown_share > 0:
            hidden = torch.rand(ids.shape, device=ids.device) < self.unknown_share
            return torch.where(hidden, UNKNOWN_ID, ids)
        return ids

    def raw(self, batch: Batch) -> Tensor:
        """Return the network's raw numbers for each forecast, (B, 3, 7), without the linear location."""
        raise NotImplementedError

    def located(self, raw: Tensor, batch: Batch) -> Tensor:
        """Return raw numbers (B, 3, 7) plus the summary's, and plus the linear location of the last sessions."""
        after = len(QUANTILES) - 1 - self.head.middle
        location = nn.functional.pad(self.location(self.last_values(batch))[..., None], (self.head.middle, after))
        return raw + self.summary(batch.summary) + location

    def last_values(self, batch: Batch) -> Tensor:
        """Return what the linear location reads of each forecast: the variables of its last session, (B, V)."""
        parts = {name: getattr(batch, name) for name in ("rows", "neighbours", "edges")}
        last = {name: part.index_select(1, batch.offsets) for name, part in parts.items() if part is not None}
        return self.values(replace(batch, **last)).flatten(0, 1)  # (K, M, V) -> (B, V)

    def forward(self, batch: Batch) -> Tensor:
        """Return quantiles of the log return, (B, 3, 7)."""
        return self.head(self.located(self.raw(batch), batch), batch.scale, batch.gap_factors)

    def loss(self, batch: Batch) -> Tensor:
        """Return the standardised pinball loss, plus ``volatility_weight`` times the squared error of the log scale."""
        return self.loss_of(self.raw(batch), batch)

    def loss_of(self, raw: Tensor, batch: Batch) -> Tensor:
        """Return ``loss`` for the network's raw numbers (B, 3, 7)."""
        raw = self.located(raw, batch)
        pinball = standardised_pinball(self.head(raw, batch.scale, batch.gap_factors), batch.target, batch.scale)
        known = torch.isfinite(batch.log_excess)
        error = self.head.log_scale(raw) - torch.where(known, batch.log_excess, 0.0)
        squared = (error.square() * known).sum() / known.sum().clamp(min=1)
        return pinball + self.volatility_weight * squared
