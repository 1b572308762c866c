"""Published forecasts, scores and explanations as values: what commands print, and ``Forecaster`` for Python."""

from forecast_assets.forecaster.api import Forecaster

__all__ = ["Forecaster"]
