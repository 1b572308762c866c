"""Calibrated return forecasts over several horizons from a raw price panel, as Dagster assets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast_assets.forecaster import Forecaster as Forecaster

__all__ = ["Forecaster"]


def __getattr__(name: str) -> Any:
    """Import ``Forecaster`` when it is asked for: no command waits for what it needs."""
    if name != "Forecaster":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from forecast_assets.forecaster import Forecaster

    return Forecaster
