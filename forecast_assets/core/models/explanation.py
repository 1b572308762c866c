"""What explains a forecast: selected variables, attended sessions, contributions of neighbours."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of each session in the windows of B forecasts, and what each contributed."""

    row: Tensor  # (B, L, k) int32 row of the neighbour, -1 for none; oldest session of the window first
    weight: Tensor  # (B, L, k) signed correlation with it, 0 for none
    influence: Tensor  # (B, L, k) added to the one-session median, log-return units, see ``attribution.influence``


@dataclass(frozen=True)
class Explanation:
    """Weights of B forecasts; each row of each of the first four tensors sums to 1, unless it has no column."""

    attention: Tensor  # (B, L) mean over heads; oldest session of the window first
    encoder: Tensor  # (B, V) selection weights, mean over the window's sessions
    decoder: Tensor  # (B, known) selection weights of the known-future covariates
    static: Tensor  # (B, S)
    encoder_names: tuple[str, ...]
    decoder_names: tuple[str, ...]
    static_names: tuple[str, ...]
    neighbours: Neighbours | None = None  # of a model that reads them, where they were asked for
