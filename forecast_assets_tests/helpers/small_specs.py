"""Settings of every model, so small that a fit takes a second, and a fold, for ``helpers.tensors.random_panel``."""

from forecast_assets.core.models.catalogue import (
    BoostedSpec,
    GraphSpec,
    MamlSpec,
    MlpSpec,
    MoeSpec,
    PatchTstSpec,
    SummarySpec,
    TftSpec,
)
from forecast_assets.core.models.entry import ModelSpec
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.tensors import PanelTensors

TFT = TftSpec(
    epochs=2,
    samples_per_epoch=256,
    ends_per_block=4,
    stride_sessions=2,
    hidden=4,
    hidden_continuous=4,
    heads=2,
    observed=("log_return", "noise_1"),
    known=("noise_2",),
)
GRAPH = GraphSpec(
    **TFT.model_dump(), messages=("log_return",), neighbours=2, window_sessions=20, min_pairs=10, edge_hidden=4
)
SPECS: dict[str, ModelSpec] = {
    "b0_mlp": MlpSpec(epochs=2, samples_per_epoch=512, hidden=8),
    "b1_tft": TFT,
    "b2_tft_ticker": TFT,
    "b3_tft_sector": TFT,
    "b4_patchtst": PatchTstSpec(
        epochs=2,
        samples_per_epoch=256,
        patch_sessions=4,
        patch_stride=2,
        hidden=4,
        heads=2,
        feed_forward=8,
        observed=("log_return", "noise_1"),
        known=("noise_2",),
    ),
    "b5_moe": MoeSpec(**TFT.model_dump(), regime=("noise_1",), experts=3, active=2, gate_hidden=4),
    "b6_graph": GRAPH,
    "b7_maml": MamlSpec(**TFT.model_dump(), support_sessions=15, inner_steps=3, description_width=3),
    "b8_summary": SummarySpec(epochs=2, samples_per_epoch=512, summary_hidden=8),
    "g0_lightgbm": BoostedSpec(rounds=3),
}


def small_fold(panel: PanelTensors, *, lookback: int) -> Fold:
    """The fold that tests 2019, with 40 sessions of validation."""
    spec = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    return make_fold(panel, year=2019, spec=spec, lookback=lookback)
