"""B6: a message's definition, zero without neighbours, and planted contagion is learned and explained."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.attribution import attributions, influence
from forecast_assets.core.models.base import Batch, single_batch
from forecast_assets.core.models.catalogue import MODELS, GraphSpec, TftSpec
from forecast_assets.core.models.explanation import Neighbours
from forecast_assets.core.models.graph import GraphTft, SignedMessages
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.explain import neighbours_of
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.training.trained import trained_model
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets_tests.helpers.contagion import CALENDAR, DRIFT, OWN, Contagion, contagion_panel
from forecast_assets_tests.helpers.fits import predict
from forecast_assets_tests.helpers.scores import mean_pinball
from forecast_assets_tests.helpers.tensors import VOLATILITY

LOOKBACK = 5
CPU = Hardware(accelerator="cpu", precision="32-true")
TFT = TftSpec(
    hidden=8, hidden_continuous=4, heads=2, observed=OWN, known=(CALENDAR,),
    epochs=3, patience=3, samples_per_epoch=6_000, learning_rate=2e-2, batch_size=128, ends_per_block=8,
)  # fmt: skip
SPEC = GraphSpec(**TFT.model_dump(), messages=("log_return", "noise"), neighbours=4, edge_hidden=4)
FITTED = SPEC.model_copy(update={"messages": ("log_return",)})


@pytest.fixture(scope="module")
def planted() -> Contagion:
    made = contagion_panel(tickers=16, sessions=900, seed=2)
    return made._replace(panel=with_graph(made.panel, SPEC.graph))


@pytest.fixture(scope="module")
def fold(planted: Contagion) -> Fold:
    spec = FoldSpec(first_test_year=2020, validation_sessions=60, purge_sessions=21)
    return make_fold(planted.panel, year=2020, spec=spec, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(planted: Contagion, fold: Fold) -> FoldStats:
    return fit_stats(planted.panel, fold)


@pytest.fixture(scope="module")
def fitted(planted: Contagion, fold: Fold, stats: FoldStats) -> GraphTft:
    """A short fit."""
    done = FoldTrainer("b6_graph", FITTED, planted.panel, fold, stats, LOOKBACK, CPU).fit(0)
    model = trained_model("b6_graph", FITTED, done.weights, stats=stats, lookback=LOOKBACK)
    assert isinstance(model, GraphTft)
    return model


def random_model(stats: FoldStats) -> GraphTft:
    """In evaluation mode, with no weight at zero."""
    torch.manual_seed(0)
    model = GraphTft(SPEC, stats=stats, lookback=LOOKBACK, static=("ticker", "sector")).eval()
    for parameter in (*model.passing.parameters(), model.network.output.weight):
        nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def batch(planted: Contagion, fold: Fold, stats: FoldStats) -> Iterator[Batch]:
    with torch.no_grad():
        yield single_batch(random_model(stats), fold.validation[:16], panel=planted.panel, stats=stats)


def test_more_pairs_than_a_window_has_sessions_are_an_error() -> None:
    with pytest.raises(ValidationError, match=r"at most window_sessions \(20\)"):
        GraphSpec(**TFT.model_dump(), window_sessions=20)


def test_messages_add_up_as_a_loop_over_edges_does() -> None:
    torch.manual_seed(0)
    layer = SignedMessages(2, width=3, hidden=4)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    columns, weight = torch.randn(5, 3, 2), torch.randn(5, 3).tanh()
    weight[2, 1], weight[4] = 0.0, 0.0
    for row in range(5):
        expected = torch.zeros(3)
        for edge in range(3):
            size, sign = weight[row, edge].abs(), weight[row, edge].sign()
            share = size / (weight[row].abs().sum() + 1e-6)
            signed = sign * columns[row, edge]
            hidden = nn.functional.gelu(layer.edge(torch.cat([size[None], share[None], signed])))
            expected = expected + 2 * torch.sigmoid(layer.gate(hidden)) * share * (layer.value.weight @ signed)
        torch.testing.assert_close(layer(columns, weight)[row], expected)


def test_first_messages_are_signed_averages_and_zero_without_neighbours() -> None:
    layer = SignedMessages(1, width=1, hidden=4)
    columns, weight = torch.tensor([[[2.0], [3.0]], [[2.0], [3.0]]]), torch.tensor([[0.6, -0.2], [0.0, 0.0]])
    torch.testing.assert_close(layer(columns, weight), torch.tensor([[(0.6 * 2 - 0.2 * 3) / 0.8], [0.0]]))


def test_a_fall_along_a_negative_edge_is_a_rise_along_a_positive_one(batch: Batch, stats: FoldStats) -> None:
    model = random_model(stats)
    assert batch.neighbours is not None
    assert batch.edges is not None
    mirrored = replace(batch, neighbours=-batch.neighbours, edges=-batch.edges)
    torch.testing.assert_close(model(mirrored), model(batch))
    assert (model(replace(batch, edges=-batch.edges)) - model(batch)).abs().max() > 1e-5


def test_an_untrained_network_forecasts_the_base_distribution(batch: Batch, stats: FoldStats) -> None:
    model = MODELS["b6_graph"].build(SPEC, stats=stats, lookback=LOOKBACK).eval()
    torch.testing.assert_close(model(batch), stats.base_quantiles * batch.scale[..., None], rtol=1e-4, atol=1e-6)


def test_a_panel_without_a_graph_is_an_error_for_b6_and_no_matter_for_b3(
    planted: Contagion, fold: Fold, stats: FoldStats
) -> None:
    bare = replace(planted.panel, graph=None)
    with pytest.raises(ValueError, match="the panel has no graph"):
        single_batch(random_model(stats), fold.validation[:2], panel=bare, stats=stats)
    b3 = MODELS["b3_tft_sector"].build(TFT, stats=stats, lookback=LOOKBACK)
    assert single_batch(b3, fold.validation[:2], panel=planted.panel, stats=stats).neighbours is None


def test_a_neighbour_with_a_missing_column_sends_no_message(planted: Contagion, fold: Fold, stats: FoldStats) -> None:
    panel, end = planted.panel, fold.validation[:1]
    assert panel.graph is not None
    first = int(panel.graph.of(end).neighbour[0, 0])
    features = panel.features.clone()
    features[first, OWN.index("noise")] = float("nan")
    batch = single_batch(random_model(stats), end, panel=replace(panel, features=features), stats=stats)
    assert batch.edges is not None
    assert (batch.edges[0, -1] == 0).tolist() == [True, False, False, False]
    assert torch.isfinite(random_model(stats)(batch)).all()


def test_the_contributions_add_up_to_the_effect_of_removing_all_messages(batch: Batch, stats: FoldStats) -> None:
    """The completeness of integrated gradients."""
    model, middle = random_model(stats), QUANTILES.index(0.5)
    assert batch.neighbours is not None
    none = replace(batch, neighbours=torch.zeros_like(batch.neighbours))
    with torch.no_grad():
        change = (model(batch) - model(none))[:, 0, middle] / batch.scale[:, 0]
    assert change.abs().max() > 0.05
    torch.testing.assert_close(influence(model, batch).sum(dim=(1, 2)), change, rtol=0.02, atol=0.002)


def test_planted_contagion_is_learned_where_b3_can_only_guess(
    planted: Contagion, fold: Fold, stats: FoldStats, fitted: GraphTft
) -> None:
    panel = planted.panel
    test = fold.test[torch.isfinite(panel.targets[fold.test, 0])]
    b3 = FoldTrainer("b3_tft_sector", TFT, panel, fold, stats, LOOKBACK, CPU).fit(0)

    def loss(name: str, spec: TftSpec, weights: dict[str, torch.Tensor]) -> float:
        made = predict(name, spec, weights, panel=panel, ends=test, stats=stats, lookback=LOOKBACK, device="cpu")
        return mean_pinball(panel.targets[test, 0].numpy(), made[:, 0].numpy(), levels=QUANTILES) / VOLATILITY

    assert loss("b6_graph", FITTED, fitted.state_dict()) < 0.98 * loss("b3_tft_sector", TFT, b3.weights)


def test_the_planted_neighbours_come_out_on_top_with_their_signs(
    planted: Contagion, fold: Fold, stats: FoldStats, fitted: GraphTft
) -> None:
    """Summed over some forecasts of the test year, for each ticker."""
    panel, ends = planted.panel, fold.test[::5]
    found = neighbours_of(fitted, ends, panel=panel, stats=stats)
    assert found is not None
    own, row, influence = panel.ticker[ends].long(), found.row.long(), found.influence
    assert (
        influence[:, -1].abs().sum() > 0.7 * influence.abs().sum()
    )  # contagion comes from the forecast origin's own session
    other = panel.ticker[row].long()  # (B, L, k)
    total = torch.zeros(16, 16)
    total.index_put_((own[:, None, None].expand_as(other), other), influence.abs(), accumulate=True)
    strongest = total.topk(3, dim=1).indices
    assert (planted.sign.gather(1, strongest) != 0).all()
    sign = planted.sign[own[:, None], other[:, -1]]
    moved = sign * panel.column("log_return")[row[:, -1]]
    clear = moved.abs() > VOLATILITY
    assert (influence[:, -1].sign() == moved.sign())[clear].float().mean() > 0.9


def test_the_contributions_of_a_ticker_in_a_window_are_added_up() -> None:
    """Two sessions, two slots; rows 0 to 2 are ticker 0's, 3 and 4 ticker 1's."""
    found = Neighbours(
        row=torch.tensor([[[1, 3], [4, -1]]], dtype=torch.int32),
        weight=torch.tensor([[[0.5, -0.75], [-0.25, 0.0]]]),
        influence=torch.tensor([[[0.01, 0.5], [0.25, 0.0]]]),
    )
    (added,) = attributions(found, ticker=torch.tensor([0, 0, 0, 1, 1]), tickers=("A", "B", "C"))
    assert [(one.ticker, one.correlation) for one in added] == [("B", -0.25), ("A", None)]
    assert [one.added for one in added] == pytest.approx([0.75, 0.01])


def test_the_planted_drift_is_that_of_the_next_session() -> None:
    panel, drift, sign = contagion_panel(tickers=8, sessions=1500, seed=3)
    matured = torch.isfinite(panel.targets[:, 0])
    rest = panel.targets[matured, 0] - drift[matured]
    assert rest.mean().abs() < 4 * VOLATILITY / len(rest) ** 0.5
    assert rest.std().item() == pytest.approx(VOLATILITY, rel=0.03)
    assert drift.abs().max() <= DRIFT
    returns = panel.column("log_return").view(8, -1).double()  # (tickers, T)
    messages = torch.einsum("ij,jt->it", sign, returns).flatten()
    assert np.corrcoef(messages[matured], drift[matured])[0, 1] > 0.85
    assert 0.5 < np.corrcoef(panel.column("log_return")[matured], drift[matured])[0, 1] < 0.7
    assert (sign == sign.T).all()
    assert (sign.abs().sum(dim=1) == 3).all()
