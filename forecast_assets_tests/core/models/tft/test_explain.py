import pytest
import torch
from torch import Tensor

from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.catalogue import TftSpec
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.models.tft.network import TftSizes
from forecast_assets.core.windows.stats import FoldStats
from forecast_assets_tests.helpers.tft_oracle import oracle, oracle_inputs, translated

LOOKBACK = 12
SPEC = TftSpec(hidden=16, hidden_continuous=8, dropout=0.1, observed=("a", "b", "c"), known=("d", "e"))


def stats() -> FoldStats:
    """Statistics of a fold with eight tickers and three sectors."""
    ones = torch.ones(5)
    return FoldStats(
        mean=0 * ones,
        std=ones,
        volatility_weights=torch.zeros(3, 22),
        volatility_residual=torch.zeros(3),
        base_quantiles=torch.linspace(-2, 2, 7).expand(3, 7),
        shape_borders=torch.empty(0),
        shape_gaps=torch.ones(1, 3, 6),
        summary_mean=torch.zeros(4),
        summary_std=torch.ones(4),
        target_mean=torch.zeros(3),
        target_std=torch.ones(3),
        unconditional_mean=(0.0, 0.0, 0.0),
        ticker_ids=torch.arange(1, 9),
        sector_ids=torch.arange(1, 4),
        exchange_ids=torch.arange(1, 2),
    )


def batch() -> Batch:
    """Four blocks with three window ends each."""
    generator = torch.Generator().manual_seed(0)

    def ids(count: int) -> Tensor:
        return torch.randint(count, (4,), generator=generator).repeat_interleave(3)

    return Batch(
        rows=torch.randn(4, 20, 5, generator=generator),
        offsets=torch.tensor([11, 15, 19]),
        lookback=LOOKBACK,
        scale=torch.full((12, 3), 0.01),
        ticker=ids(9),
        sector=ids(4),
        exchange=ids(2),
        target=torch.zeros(12, 3),
        log_excess=torch.zeros(12, 3),
        summary=torch.zeros(12, 4),
        gap_factors=torch.ones(12, 3, 6),
    )


@pytest.mark.parametrize("static", [(), ("ticker",), ("ticker", "sector")], ids=str)
def test_importance_and_attention_are_those_of_pytorch_forecasting(static: tuple[str, ...]) -> None:
    model = Tft(SPEC, stats=stats(), lookback=LOOKBACK, static=static)
    widths = {"ticker": (9, 2), "sector": (4, 1)}
    sizes = TftSizes(16, 8, 4, 0.1, LOOKBACK, observed=3, known=2, static={name: widths[name] for name in static})
    theirs = oracle(sizes).eval()
    model.network.load_state_dict(translated(dict(theirs.state_dict()), sizes))
    model.train()
    ours, of = model.explain(batch()), batch()
    with torch.no_grad():
        ids = [of.per_block(getattr(of, name)) for name in static]
        stacked = torch.stack(ids, dim=1) if ids else torch.empty(4, 0, dtype=torch.int64)
        output = theirs(oracle_inputs(of.rows, of.offsets, stacked, lookback=LOOKBACK))
    expected = theirs.interpret_output(output, reduction="none")
    assert model.training
    assert expected["attention"].min() > 1e-4  # below 1e-5 it would have been dropped
    for values, name in ((ours.attention, "attention"), (ours.encoder, "encoder_variables")):
        assert values.std() > 0.001
        torch.testing.assert_close(values, expected[name], rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.decoder, expected["decoder_variables"], rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.static, expected["static_variables"], rtol=0, atol=1e-5)
    assert (ours.encoder_names, ours.decoder_names, ours.static_names) == (tuple("abcde"), ("d", "e"), static)
    assert (ours.attention.shape, ours.encoder.shape, ours.decoder.shape) == ((12, LOOKBACK), (12, 5), (12, 2))
