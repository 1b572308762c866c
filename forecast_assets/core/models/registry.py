"""All networks in one table: the asset key names the model, its spec and its class."""

from collections.abc import Callable
from functools import partial
from typing import Any

from forecast_assets.core.models.base import ForecastModel
from forecast_assets.core.models.maml import Maml
from forecast_assets.core.models.mlp import NormalMlp
from forecast_assets.core.models.moe import Moe
from forecast_assets.core.models.patchtst import PatchTst
from forecast_assets.core.models.tft.model import Tft


def _graph(spec: Any, **given: Any) -> ForecastModel:
    """B6, imported where it is asked for: torch_geometric takes seconds, and no other network needs it."""
    from forecast_assets.core.models.graph import GraphTft

    return GraphTft(spec, static=("ticker", "sector"), **given)


MODELS: dict[str, Callable[..., ForecastModel]] = {
    "b0_mlp": NormalMlp,
    "b1_tft": partial(Tft, static=()),
    "b2_tft_ticker": partial(Tft, static=("ticker",)),
    "b3_tft_sector": partial(Tft, static=("ticker", "sector")),
    "b4_patchtst": PatchTst,
    "b5_moe": partial(Moe, static=("ticker", "sector")),
    "b6_graph": _graph,
    "b7_maml": partial(Maml, static=("sector",)),
}
"""Asset key -> constructor ``(spec, *, stats, lookback)``. The spec is the ``Settings`` field of the same name."""
