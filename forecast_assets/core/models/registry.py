"""All networks in one table: the asset key names the model, its spec and its class."""

from collections.abc import Callable

from forecast_assets.core.models.base import ForecastModel
from forecast_assets.core.models.mlp import NormalMlp
from forecast_assets.core.models.tft import TickerTft

MODELS: dict[str, Callable[..., ForecastModel]] = {"b0_mlp": NormalMlp, "b2_tft_ticker": TickerTft}
"""Asset key -> constructor ``(spec, *, stats, lookback)``. The spec is the ``Settings`` field of the same name."""
