"""The trained models: one asset per model, one fold per year, several fits per fold."""

from forecast_assets.assets.fold.fold_work import FoldInputs
from forecast_assets.assets.fold.train_fold import train_fold
from forecast_assets.assets.framework.causality_checks import PURGED
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.partitions import years
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import (
    CalibrationSpec,
    GraphSpec,
    MamlSpec,
    MlpSpec,
    MoeSpec,
    PatchTstSpec,
    TftSpec,
)

network = stage(group="models", kinds={"torch"}, partitions=years, checks=(PURGED,), pool="gpu", tuned=True)


@network
def b0_mlp(b0_mlp_spec: MlpSpec, inputs: FoldInputs) -> StageOutput:
    """B0, the rival: the friend's 3-layer probabilistic MLP on 4 lagged returns, Normal output."""
    return train_fold("b0_mlp", b0_mlp_spec, inputs, calibration=None)


@network
def b1_tft(b1_tft_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B1: the Temporal Fusion Transformer without an embedding of the ticker, all horizons, 7 quantiles."""
    return train_fold("b1_tft", b1_tft_spec, inputs, calibration=calibration)


@network
def b2_tft_ticker(b2_tft_ticker_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B2: the Temporal Fusion Transformer with a ticker embedding, all horizons, 7 quantiles."""
    return train_fold("b2_tft_ticker", b2_tft_ticker_spec, inputs, calibration=calibration)


@network
def b3_tft_sector(b3_tft_sector_spec: TftSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B3: the Temporal Fusion Transformer with embeddings of ticker and sector, all horizons, 7 quantiles."""
    return train_fold("b3_tft_sector", b3_tft_sector_spec, inputs, calibration=calibration)


@network
def b4_patchtst(b4_patchtst_spec: PatchTstSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B4: a PatchTST encoder over the same variables, static context, the same quantile head."""
    return train_fold("b4_patchtst", b4_patchtst_spec, inputs, calibration=calibration)


@network
def b5_moe(b5_moe_spec: MoeSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B5: B3 with a mixture of experts that VIX and interest rates choose from; skipped, with the reason, without them."""
    return train_fold("b5_moe", b5_moe_spec, inputs, calibration=calibration)


@network
def b6_graph(b6_graph_spec: GraphSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B6: B3 with messages of the most correlated names, along a graph of the last 60 sessions as known at each decision."""
    return train_fold("b6_graph", b6_graph_spec, inputs, calibration=calibration)


@network
def b7_maml(b7_maml_spec: MamlSpec, calibration: CalibrationSpec, inputs: FoldInputs) -> StageOutput:
    """B7: the TFT without a ticker embedding, with a head that adapts to the ticker's last sessions by meta-learnt steps."""
    return train_fold("b7_maml", b7_maml_spec, inputs, calibration=calibration)


NETWORK_ASSETS = [b0_mlp, b1_tft, b2_tft_ticker, b3_tft_sector, b4_patchtst, b5_moe, b6_graph, b7_maml]
