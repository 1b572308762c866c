"""The panel as tensors."""

import polars as pl

from forecast_assets.assets.causality import CAUSAL, causal_checks
from forecast_assets.assets.product import Product
from forecast_assets.assets.stage import stage
from forecast_assets.core.specs import WindowSpec
from forecast_assets.store.versions import Version

TENSORS = "panel.safetensors"


@stage(group="panel", kinds={"torch"}, checks=CAUSAL)
def windowed_tensors(feature_panel: Version, windows: WindowSpec) -> Product:
    """One contiguous, unscaled feature tensor, static codes and the index of valid window ends; no window is copied."""
    from safetensors.torch import save_file

    from forecast_assets.assets.product import TABLE
    from forecast_assets.core.panel.features import feature_names
    from forecast_assets.core.windows.build import build_tensors
    from forecast_assets.core.windows.proofs import prove_windows

    frame = pl.read_parquet(feature_panel.path(TABLE))
    panel = build_tensors(frame, feature_names=feature_names(frame))
    ends = panel.ends(windows.lookback)
    return Product(
        files={TENSORS: panel.save, "ends.safetensors": lambda path: save_file({"ends": ends}, path)},
        facts={"rows": panel.rows, "features": len(panel.feature_names), "windows": len(ends)},
        checks=causal_checks(prove_windows(frame.lazy(), lookback=windows.lookback)),
        slices=feature_panel.manifest.slices,
    )
