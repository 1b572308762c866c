"""Features and targets."""

import polars as pl

from forecast_assets.assets.causality import CAUSAL, causal_checks
from forecast_assets.assets.product import TABLE, Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import FeatureSpec


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def feature_panel(calendar_panel: pl.LazyFrame, features: FeatureSpec) -> Product:
    """Causal features, known-future calendar and targets with their label ends, per ticker and session."""
    from forecast_assets.core.panel import build
    from forecast_assets.core.panel.digests import year_digests
    from forecast_assets.core.panel.proofs import prove_features

    frame = build.feature_panel(calendar_panel.collect(), features=features)
    return Product(
        files={TABLE: frame},
        facts={"columns": frame.width, "tickers": frame["ticker"].n_unique()},
        checks=causal_checks(prove_features(calendar_panel, features=features)),
        slices=year_digests(frame),
    )
