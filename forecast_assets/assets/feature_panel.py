"""Features and targets."""

from pathlib import Path

import polars as pl

from forecast_assets.assets.causality import CAUSAL, causal_checks
from forecast_assets.assets.product import TABLE, Product, write_table
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import FeatureSpec


@stage(group="panel", kinds={"polars"}, checks=CAUSAL)
def feature_panel(calendar_panel: pl.LazyFrame, features: FeatureSpec, folder: Path) -> Product:
    """Causal features, known-future calendar and targets with their label ends, per ticker and session."""
    from forecast_assets.core.panel.build import columns, feature_parts
    from forecast_assets.core.panel.digests import YearDigests
    from forecast_assets.core.panel.parts import part_sizes, ticker_parts
    from forecast_assets.core.panel.proofs import prove_features

    digests = YearDigests()
    parts = feature_parts(lambda: ticker_parts(calendar_panel), features=features)
    write_table(digests.watch(parts), folder / TABLE)
    return Product(
        facts={"columns": len(columns(features)), "parts": len(part_sizes(calendar_panel))},
        checks=causal_checks(prove_features(calendar_panel, features=features)),
        slices=digests.digests(),
    )
