"""The feature panel put together."""

import polars as pl

from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.contracts import CALENDAR_PANEL, FEATURE_PANEL, validate
from forecast_assets.core.panel.features import SCALE, add_features
from forecast_assets.core.panel.features import feature_names as _feature_names
from forecast_assets.core.panel.known import add_known
from forecast_assets.core.panel.targets import add_targets
from forecast_assets.core.specs import FeatureSpec

KEYS = ("date", "ticker", "exchange", "sector", "region", "segment", "is_missing")


def feature_panel(calendar_panel: pl.DataFrame, *, features: FeatureSpec) -> pl.DataFrame:
    """Features, known-future columns, ``ewma_vol``, targets and ``label_end`` per row of the calendar panel.

    Sorted by ticker and date; prices and volume are left behind. Raises BadInput where the input breaks its contract.
    """
    validate(calendar_panel, CALENDAR_PANEL, "calendar_panel")
    panel = add_targets(add_known(add_features(calendar_panel, spec=features)))
    panel = panel.drop("open", "high", "low", "close", "volume")
    columns = [*KEYS, *_feature_names(panel), SCALE, *TARGETS, "label_end"]
    return validate(panel.select(columns).sort("ticker", "date"), FEATURE_PANEL, "feature_panel")
