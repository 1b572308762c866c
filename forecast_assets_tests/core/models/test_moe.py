"""B5: the gate reads the regime alone, the experts start small, the mixture is the gate's weighted sum."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.base import Batch, make_batch
from forecast_assets.core.models.catalogue import MoeSpec, TftSpec
from forecast_assets.core.models.moe import Gate, Moe, imbalance
from forecast_assets.core.models.tft.model import Tft
from forecast_assets.core.panel.macro import MACRO_NAMES
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.core.windows.window_batches import Layout, single_windows
from forecast_assets_tests.helpers.regime import CALENDAR, DRIFT, OWN, regime_panel
from forecast_assets_tests.helpers.tensors import VOLATILITY

LOOKBACK = 5
STATIC = ("ticker", "sector")
TFT = TftSpec(hidden=8, hidden_continuous=4, heads=2, observed=OWN, known=(CALENDAR,))
SPEC = MoeSpec(**TFT.model_dump(), gate_hidden=4)


@pytest.fixture(scope="module")
def planted() -> tuple[PanelTensors, Tensor]:
    return regime_panel(tickers=4, sessions=620)


@pytest.fixture(scope="module")
def fold(planted: tuple[PanelTensors, Tensor]) -> Fold:
    spec = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    return make_fold(planted[0], year=2019, spec=spec, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(planted: tuple[PanelTensors, Tensor], fold: Fold) -> FoldStats:
    return fit_stats(planted[0], fold)


@pytest.fixture
def batch(planted: tuple[PanelTensors, Tensor], fold: Fold, stats: FoldStats) -> Iterator[Batch]:
    panel = planted[0]
    with torch.no_grad():
        yield make_batch(
            panel,
            single_windows(fold.validation[:16]),
            layout=Layout(ends=1, stride=1),
            stats=stats,
            reads=SPEC.reads,
            lookback=LOOKBACK,
        )


def moe(stats: FoldStats, *, spec: MoeSpec = SPEC, active: bool) -> Moe:
    """In eval mode; ``active``: neither the experts nor the TFT's output layer are zero, else both are."""
    torch.manual_seed(0)
    model = Moe(spec, stats=stats, lookback=LOOKBACK, static=STATIC).eval()
    for weight in (model.experts.weight, model.network.output.weight):
        nn.init.normal_(weight, std=0.5 if active else 0.0)
    return model


def test_the_gate_reads_the_macro_columns_of_the_feature_panel() -> None:
    assert MoeSpec.model_fields["regime"].default == MACRO_NAMES


def test_more_active_experts_than_there_are_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"at most experts \(3\)"):
        MoeSpec(**TFT.model_dump(), experts=3, active=4)


def test_an_untrained_network_forecasts_nearly_the_base_distribution(batch: Batch, stats: FoldStats) -> None:
    torch.manual_seed(0)
    quantiles = Moe(SPEC, stats=stats, lookback=LOOKBACK, static=STATIC).eval()(batch)
    off = (quantiles / batch.scale[..., None] - stats.base_quantiles).abs()
    assert float(off.max()) < 0.25  # of a volatility, in the tails; their base is two of it
    assert float(off[..., QUANTILES.index(0.5)].max()) < 0.05


def test_with_experts_of_zero_it_is_b3_with_the_same_weights(batch: Batch, stats: FoldStats) -> None:
    model = moe(stats, active=False)
    nn.init.normal_(model.network.output.weight, std=0.5)
    b3 = Tft(TFT, stats=stats, lookback=LOOKBACK, static=STATIC).eval()
    b3.load_state_dict({name: value for name, value in model.state_dict().items() if name in b3.state_dict()})
    assert torch.equal(model(batch), b3(batch))


def test_the_mixture_is_the_gates_weighted_sum_of_the_experts_outputs(batch: Batch, stats: FoldStats) -> None:
    """Against a loop over forecasts and experts."""
    model = moe(stats, active=True)
    raw, share = model.mixture(batch)
    tft, hidden = model.outputs(batch), SPEC.hidden
    for b in range(len(raw)):
        expected = tft.raw[b].flatten()
        for e in range(SPEC.experts):
            rows = slice(e * hidden, (e + 1) * hidden)
            inner = nn.functional.gelu(
                model.experts.inner.weight[rows] @ tft.hidden[b] + model.experts.inner.bias[rows]
            )
            expected = expected + share[b, e] * (inner @ model.experts.weight[e] + model.experts.bias[e])
        torch.testing.assert_close(raw[b].flatten(), expected, rtol=1e-4, atol=1e-5)


def test_the_gate_depends_on_the_regime_at_the_forecast_origin_alone(batch: Batch, stats: FoldStats) -> None:
    model, own = moe(stats, active=True), len(OWN) + 1
    others, before, now = batch.rows.clone(), batch.rows.clone(), batch.rows.clone()
    others[..., :own] += 1.0
    before[:, :-1, own:] += 1.0
    now[:, -1, own:] += 1.0
    share = model.mixture(batch)[1]
    assert torch.equal(model.mixture(replace(batch, rows=others))[1], share)
    assert torch.equal(model(replace(batch, rows=before)), model(batch))
    changed_raw, changed_share = model.mixture(replace(batch, rows=now))
    assert (changed_share - share).abs().max() > 1e-3
    assert (changed_raw - model.raw(batch)).abs().max() > 1e-4


@pytest.mark.parametrize("active", [1, 2, 4])
def test_a_gate_mixes_the_likeliest_experts_and_no_other(active: int) -> None:
    torch.manual_seed(0)
    gate, dense = (Gate(3, hidden=4, experts=4, active=count) for count in (active, 4))
    dense.load_state_dict(gate.state_dict())
    regime = torch.randn(50, 3)
    share, all_of_them = gate(regime), dense(regime)
    assert ((share > 0).sum(dim=-1) == active).all()
    torch.testing.assert_close(share.sum(dim=-1), torch.ones(50))
    likeliest = all_of_them.topk(active, dim=-1)
    expected = torch.zeros_like(share).scatter(-1, likeliest.indices, likeliest.values)
    torch.testing.assert_close(share, expected / expected.sum(dim=-1, keepdim=True))


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ([[0.5, 0.5], [0.5, 0.5]], 0.0),
        ([[1.0, 0.0], [0.0, 1.0]], 0.0),  # balanced over the batch
        ([[1.0, 0.0], [1.0, 0.0]], 1.0),  # one expert of two
        ([[1.0, 0.0, 0.0, 0.0]], 3.0),  # one of four
    ],
)
def test_imbalance_is_the_squared_coefficient_of_variation_of_use(share: list[list[float]], expected: float) -> None:
    assert imbalance(torch.tensor(share)).item() == pytest.approx(expected)


def test_the_loss_has_its_balance_term(batch: Batch, stats: FoldStats) -> None:
    batch = replace(batch, target=torch.full_like(batch.scale, 0.01))
    plain, weighed = (
        moe(stats, spec=SPEC.model_copy(update={"balance_weight": weight}), active=True) for weight in (0.0, 0.7)
    )
    expected = plain.loss(batch) + 0.7 * imbalance(plain.mixture(batch)[1])
    torch.testing.assert_close(weighed.loss(batch), expected)


def test_an_explanation_names_the_tfts_own_variables(batch: Batch, stats: FoldStats) -> None:
    found = moe(stats, active=True).explain(batch)
    assert (found.encoder_names, found.decoder_names) == ((*OWN, CALENDAR), (CALENDAR,))
    assert found.encoder.shape == (16, len(OWN) + 1)
    torch.testing.assert_close(found.encoder.sum(dim=-1), torch.ones(16))


def test_the_planted_drift_changes_sign_with_vix_and_volatility_does_not() -> None:
    panel, drift = regime_panel(tickers=8, sessions=1500, seed=3)
    matured = torch.isfinite(panel.targets[:, 0])
    outcome, drift = panel.targets[matured, 0], drift[matured]
    momentum, stress = panel.column("momentum")[matured], panel.column("vix")[matured] > 0.2
    rest = outcome - drift
    assert 0.3 < stress.float().mean() < 0.7
    assert rest.mean().abs() < 4 * VOLATILITY / len(rest) ** 0.5
    for side, sign in ((~stress, 1.0), (stress, -1.0)):
        torch.testing.assert_close(drift[side], sign * DRIFT * torch.tanh(2 * momentum[side]))
        assert sign * torch.corrcoef(torch.stack([outcome[side], momentum[side]]))[0, 1] > 0.2
        assert rest[side].std().item() == pytest.approx(VOLATILITY, rel=0.03)
