"""What moved New York yesterday and moves Frankfurt tomorrow is found through the neighbours' messages, and nowhere else."""

import numpy as np
import pytest

from forecast_assets.core.horizons import QUANTILES
from forecast_assets.core.models.catalogue import GraphSpec, TftSpec
from forecast_assets.core.scores.rank import rank_ic
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.fit import FoldTrainer, Hardware
from forecast_assets.core.windows.folds import make_fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import fit_stats
from forecast_assets_tests.helpers.lead_lag import COLUMNS, EUROPE, lead_lag_panel

LOOKBACK = 5
TFT = TftSpec(
    hidden=8, hidden_continuous=4, heads=2, observed=COLUMNS[:2], known=COLUMNS[2:], epochs=2, samples_per_epoch=4_000,
    learning_rate=0.003, batch_size=128, ends_per_block=8,
)  # fmt: skip
GRAPH = GraphSpec(**TFT.model_dump(), messages=("log_return",), neighbours=8, edge_hidden=4)


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """Mean daily rank IC in Frankfurt, of the oracle and of both networks."""
    panel, drift = lead_lag_panel(tickers=10, days=900)
    panel = with_graph(panel, GRAPH.graph)
    fold = make_fold(panel, year=2020, spec=FoldSpec(validation_sessions=100), lookback=LOOKBACK)
    stats, ends = fit_stats(panel, fold), fold.test[panel.exchange[fold.test] == EUROPE]
    medians = {"oracle": drift[ends].double().numpy()}
    for name, spec in (("b3_tft_sector", TFT), ("b6_graph", GRAPH)):
        trainer = FoldTrainer(name, spec, panel, fold, stats, LOOKBACK, Hardware("cpu", "32-true"))
        done = trainer.fit(0)
        assert done.location is not None
        assert done.location.slope[0] > 0
        medians[name] = trainer.predict(done.weights, ends)[:, 0, QUANTILES.index(0.5)]
    day, outcome = panel.date[ends].numpy(), panel.targets[ends, 0].double().numpy()
    return {name: float(np.nanmean(rank_ic(of, outcome, day=day))) for name, of in medians.items()}


def test_messages_carry_an_earlier_session_of_another_exchange(found: dict[str, float]) -> None:
    assert found["oracle"] > 0.25
    assert found["b6_graph"] > 0.65 * found["oracle"]


def test_a_tickers_own_returns_hold_less_than_half_of_it(found: dict[str, float]) -> None:
    assert found["b3_tft_sector"] < 0.5 * found["oracle"]
