"""The PatchTST paper's own supervised forecaster, for benchmarks on its data and against its peers."""

from torch import Tensor, nn

from forecast_assets.core.models.patchtst import EncoderSizes, PatchEncoder, instance_normalise


class PatchTstForecaster(nn.Module):
    """Each channel's own future, by one linear map of its flattened encoding."""

    def __init__(self, sizes: EncoderSizes, *, horizon: int) -> None:
        super().__init__()
        self.encoder = PatchEncoder(sizes)
        self.output = nn.Linear(sizes.patches * sizes.hidden, horizon)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) -> (B, horizon, C), in the window's own units."""
        series, mean, deviation = instance_normalise(window.transpose(1, 2))  # (B, C, L)
        future = self.output(self.encoder(series.flatten(0, 1)).flatten(1)).view(*series.shape[:2], -1)
        return (future * deviation + mean).transpose(1, 2)  # (B, C, horizon) -> (B, horizon, C)
