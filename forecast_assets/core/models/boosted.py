"""G0: gradient-boosted trees (LightGBM) of how much more volatile the sessions ahead are than forecast.

Location and scale: the quantiles are HAR-X's, their distances from the median times the exponential of a sum of trees, one
booster per horizon. The trees read the summary of a ticker's history, as B8 does, and are fitted to the log of realised
volatility over its forecast, less what an exchange's tickers share that session: a common error teaches when the market was
calm (``core.windows.labels``).

The fitted trees are tensors, so a forecast needs torch alone, in the bundle that is served too, and nothing is pickled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch  # before lightgbm, which then runs on torch's OpenMP and needs none of the system's
from torch import Tensor

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch, ForecastModel, QuantileHead
from forecast_assets.core.models.catalogue import BoostedSpec
from forecast_assets.core.models.protocol import Floats, Origins, Training
from forecast_assets.core.windows.stats import FoldStats

SMALLEST_LEAF = 200
"""Rows of a leaf at least, however small the panel: their labels overlap, and tickers share sessions."""


class BoostedTrees:
    """LightGBM's boosters as an estimator."""

    def __init__(self, spec: BoostedSpec) -> None:
        self.spec = spec

    def fit(self, train: Training, *, seed: int) -> "FittedTrees":
        """Fit one booster per horizon to every ``stride``-th origin."""
        import lightgbm

        train = train.part(slice(None, None, self.spec.stride))
        boosters = []
        for k in range(len(HORIZONS)):
            known = np.isfinite(train.log_excess[:, k])
            parameters = self._parameters(seed, rows=int(known.sum()))
            data = lightgbm.Dataset(train.summary[known], train.log_excess[known, k], params=parameters)
            boosters.append(lightgbm.train(parameters, data, num_boost_round=self.spec.rounds))
        return FittedTrees(self.spec, boosters)

    def _parameters(self, seed: int, *, rows: int) -> dict[str, Any]:
        """Return LightGBM's parameters; a leaf holds fewer rows where there are fewer in all."""
        leaf = min(self.spec.leaf_rows, max(SMALLEST_LEAF, rows // 100))
        return {
            "objective": "l2",
            "learning_rate": self.spec.learning_rate,
            "num_leaves": self.spec.leaves,
            "min_data_in_leaf": leaf,
            "feature_fraction": self.spec.feature_share,
            "bagging_fraction": self.spec.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.spec.shrinkage,
            "max_bin": 63,
            "use_missing": False,
            "seed": seed,
            # The same trees on any number of cores: a sum in another order is another split.
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }


@dataclass(frozen=True)
class FittedTrees:
    """The boosters of one fit, (3,)."""

    spec: BoostedSpec
    boosters: list[Any]

    def predict(self, origins: Origins) -> Floats:
        """Return the quantiles by LightGBM's own trees: what ``TreeNetwork`` has to agree with."""
        return origins.quantiles(np.stack([booster.predict(origins.summary) for booster in self.boosters], axis=1))

    def weights(self) -> dict[str, Tensor]:
        """Return the state of a ``TreeNetwork``."""
        made = empty_trees(self.spec, horizons=len(self.boosters))
        for k, booster in enumerate(self.boosters):
            for t, info in enumerate(booster.dump_model()["tree_info"]):
                one_tree = {name: tensor[k, t] for name, tensor in made.items()}
                _Writer(one_tree).write(info["tree_structure"])
        return made


def empty_trees(spec: BoostedSpec, *, horizons: int) -> dict[str, Tensor]:
    """Return H times T trees of I splits and L leaves that all give 0; what a tree lacks of them stays as it is here.

    A leaf is reached where its ``path``, summed over the splits with +1 for left and -1 for right, is its ``depth``.
    """
    trees, leaves = (horizons, spec.rounds), spec.leaves
    return {
        "column": torch.zeros(*trees, leaves - 1, dtype=torch.int64),  # of the summary, (H, T, I)
        "threshold": torch.zeros(
            *trees, leaves - 1, dtype=torch.float64
        ),  # the largest value that goes left, (H, T, I)
        "path": torch.zeros(
            *trees, leaves - 1, leaves
        ),  # 1 and -1 where a leaf is left or right of a split, (H, T, I, L)
        "depth": torch.full(
            (*trees, leaves), float(leaves)
        ),  # of each leaf; more than any has: never reached, (H, T, L)
        "value": torch.zeros(*trees, leaves, dtype=torch.float64),  # (H, T, L)
    }


@dataclass(frozen=True)
class _Writer:
    """Writes one tree of LightGBM's into the tensors of one tree."""

    tree: Mapping[str, Tensor]

    def write(self, node: Mapping[str, Any], turns: tuple[tuple[int, int], ...] = ()) -> None:
        """Write ``node`` and all below it; ``turns``: splits above it, with 1 for left and -1 for right."""
        if "split_index" not in node:
            leaf = int(node.get("leaf_index", 0))  # a tree of one leaf names none
            for split, side in turns:
                self.tree["path"][split, leaf] = side
            self.tree["depth"][leaf] = len(turns)
            self.tree["value"][leaf] = node["leaf_value"]
            return
        split = int(node["split_index"])
        self.tree["column"][split] = node["split_feature"]
        self.tree["threshold"][split] = node["threshold"]
        self.write(node["left_child"], (*turns, (split, 1)))
        self.write(node["right_child"], (*turns, (split, -1)))


class TreeNetwork(ForecastModel):
    """The trees as tensors. All splits of all trees are asked at once: a trace holds no loop of a tree's depth."""

    column: Tensor
    threshold: Tensor
    path: Tensor
    depth: Tensor
    value: Tensor

    def __init__(self, spec: BoostedSpec, *, stats: FoldStats, lookback: int) -> None:
        super().__init__()
        self.reads, self.lookback = spec.reads, lookback
        self.head = QuantileHead(stats.base_quantiles, shape_shrink=0.0)
        for name, tensor in empty_trees(spec, horizons=len(HORIZONS)).items():
            self.register_buffer(name, tensor)

    def log_scale(self, summary: Tensor) -> Tensor:
        """Return the sum of the trees of each horizon, (B, S) -> (B, 3)."""
        asked = summary.double().index_select(1, self.column.flatten()).unflatten(1, self.column.shape)  # (B, H, T, I)
        side = (asked <= self.threshold).to(self.path.dtype) * 2 - 1
        agreed = torch.einsum("bhti,htil->bhtl", side, self.path)  # whole numbers, exact in float32
        reached = (agreed == self.depth).to(self.value.dtype)
        return torch.einsum("bhtl,htl->bh", reached, self.value).to(summary.dtype)

    def forward(self, batch: Batch) -> Tensor:
        """Return quantiles of the log return, (B, 3, 7): the median is HAR-X's."""
        raw = self.log_scale(batch.summary)[..., None].expand(-1, -1, len(QUANTILES))
        unmoved = torch.arange(len(QUANTILES), device=raw.device) == self.head.middle
        return self.head(torch.where(unmoved, 0.0, raw), batch.scale, batch.gap_factors)
