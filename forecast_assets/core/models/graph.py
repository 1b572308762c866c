"""B6: the TFT of B3 with messages of the most correlated names among its observed variables.

One layer of message passing (Gilmer et al., Neural Message Passing for Quantum Chemistry, 2017) over the rolling correlation
graph (``core.windows.graph``), session by session: edges run from the rows of neighbours, as known at a session's decision,
into the session's own row, with the correlation of that day. The TFT then sees what the neighbours did as it sees what the
ticker itself did: selected among the variables, remembered and attended to.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.specs import GraphSpec
from forecast_assets.core.windows.stats import FoldStats

NO_WEIGHT = 1e-6
"""Keeps the share of an edge defined where a row has none; next to any correlation it is nothing."""


class GraphTft(Tft):
    """The TFT with ``message_1``, ``message_2``, ... after ``observed``.

    A session without neighbours has messages of zero, so B3 is what the network is there, up to what it made of zeros.
    """

    def __init__(self, spec: GraphSpec, *, stats: FoldStats, lookback: int, static: tuple[str, ...]) -> None:
        made = tuple(f"message_{k}" for k in range(1, spec.message_width + 1))
        super().__init__(spec, stats=stats, lookback=lookback, static=static, made=made)
        self.messages = spec.messages
        self.own = len(spec.observed)
        self.passing = SignedMessages(len(spec.messages), width=spec.message_width, hidden=spec.edge_hidden)

    def shown(self, batch: Batch) -> Tensor:
        """Observed variables, messages, known variables: (K, T, V)."""
        heard = self.heard(batch)
        return torch.cat([batch.rows[..., : self.own], heard, batch.rows[..., self.own :]], dim=-1)

    def heard(self, batch: Batch) -> Tensor:
        """What the neighbours' messages to each session of the runs add up to, (K, T, width)."""
        assert batch.neighbours is not None
        assert batch.edges is not None
        runs, sessions = batch.rows.shape[:2]
        return self.passing(batch.neighbours.flatten(0, 1), batch.edges.flatten(0, 1)).view(runs, sessions, -1)


class SignedMessages(MessagePassing):
    """Sum over edges of share x gate x (V x): share is the edge's correlation, with its sign, over the sum of the absolute
    ones; the gate, between 0 and 2, depends on the edge.

    The gate sees the size of the correlation, and the neighbour's columns with its sign: a neighbour that falls and is
    correlated negatively is the same as one that rises and is correlated positively. It starts at 1, and V's first rows as
    the identity: the first messages are the columns' signed averages.
    """

    def __init__(self, columns: int, *, width: int, hidden: int) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.value = nn.Linear(columns, width, bias=False)
        with torch.no_grad():
            size = min(columns, width)
            self.value.weight[:size] = torch.eye(size, columns)
        self.edge = nn.Linear(columns + 2, hidden)
        self.gate = nn.Linear(hidden, width)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, neighbours: Tensor, weight: Tensor) -> Tensor:
        """Columns (N, k, C) of the neighbours of N rows and weights (N, k) of their edges, 0 for none -> (N, width)."""
        rows, count = weight.shape
        source = torch.arange(rows * count, device=weight.device)
        # A graph of two sides: each row's neighbours, gathered for it, and the rows themselves.
        edges = torch.stack([source, source // count])  # (2, N k)
        share = weight / (weight.abs().sum(dim=1, keepdim=True) + NO_WEIGHT)
        return self.propagate(
            edges,
            x=neighbours.reshape(-1, neighbours.shape[-1]),
            weight=weight.reshape(-1, 1),
            share=share.reshape(-1, 1),
            size=(None, rows),
        )

    def message(self, x_j: Tensor, weight: Tensor, share: Tensor) -> Tensor:
        """(E, C) columns, (E, 1) weights and shares -> (E, width)."""
        signed = weight.sign() * x_j
        hidden = functional.gelu(self.edge(torch.cat([weight.abs(), share.abs(), signed], dim=-1)))
        return 2.0 * torch.sigmoid(self.gate(hidden)) * share.abs() * self.value(signed)
