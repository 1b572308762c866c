"""Audits of models on a fold: look-ahead of each kind is found, and no model that has none is accused."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.base import Batch
from forecast_assets.core.models.catalogue import MODELS, SummarySpec
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.models.protocol import Origins, Training
from forecast_assets.core.models.summary import SummaryMlp
from forecast_assets.core.specs import FoldSpec
from forecast_assets.core.training.look_ahead import NotJudged, OriginLeak, audit_model, fitting, sample_rows
from forecast_assets.core.windows.folds import Fold, make_fold
from forecast_assets.core.windows.graph import with_graph
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.small_specs import GRAPH, SPECS, small_fold
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 10
PLAIN = ModelSpec()
RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    """Four tickers, two on each of two exchanges."""
    panel = random_panel(tickers=4, sessions=620)
    return replace(panel, exchange=panel.ticker % 2, exchanges=("XETR", "XNYS"))


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


class Plain:
    """HAR-X's quantiles, wider by what ``excess`` makes of the origins and of what was fitted."""

    def __init__(
        self, excess: Callable[[Origins, float], Any], fit: Callable[[Training], float] = lambda _: 0.1
    ) -> None:
        self.excess, self.learn = excess, fit
        self.learned = 0.0

    def fit(self, train: Training, *, seed: int) -> "Plain":
        self.learned = self.learn(train)
        return self

    def predict(self, origins: Origins) -> Any:
        return origins.quantiles(np.broadcast_to(self.excess(origins, self.learned), (3, len(origins))).T)


def of_day(origins: Origins, values: Any) -> Any:
    """The mean of ``values`` (n,) over the origins of the same day, (n,)."""
    _, day = np.unique(origins.date, return_inverse=True)
    return (np.bincount(day, values) / np.bincount(day))[day]


def last_of_ticker(origins: Origins, values: Any) -> Any:
    return np.array([values[origins.ticker == name][-1] for name in origins.ticker])


def next_row(origins: Origins) -> Any:
    rows = (origins._rows + 1).clamp(max=origins._panel.rows - 1)
    return origins._panel.features[rows, 0].nan_to_num(0.0).numpy()


def after_training(train: Training) -> float:
    """Return something that is learned from beyond the training labels."""
    return float(train._panel.features[-1, 0])


CLEAN = {
    "constant": Plain(lambda origins, learned: learned),
    "own features": Plain(lambda origins, learned: 0.1 * origins.features[:, 0]),
    "own window": Plain(lambda origins, learned: 0.1 * origins.windows[..., 0].mean(axis=1)),
    "summary": Plain(lambda origins, learned: 0.01 * origins.summary.sum(axis=1)),
    "learned": Plain(lambda origins, learned: learned, fit=lambda train: float(np.nanmean(train.log_excess))),
    "of the target": Plain(lambda origins, learned: learned, fit=lambda train: 10 * float(np.nanstd(train.target))),
}
LEAKY = {
    "standardised over the call": (Plain(lambda o, _: o.features[:, 0] - o.features[:, 0].mean()), "poison"),
    "filled from the last row": (Plain(lambda o, _: last_of_ticker(o, 0.1 * o.features[:, 0])), "poison"),
    "number of origins": (Plain(lambda o, _: 1e-4 * len(o)), "order"),
    "place in the call": (Plain(lambda o, _: 1e-3 * np.arange(len(o))), "order"),
    "mean of the day": (Plain(lambda o, _: of_day(o, 0.1 * o.features[:, 0])), "arrival"),
    "next session": (Plain(lambda o, _: 0.1 * next_row(o)), "poison"),
    "outcome": (Plain(lambda o, _: o._panel.targets[o._rows, 0].nan_to_num(0.0).numpy()), "poison"),
    "fitted beyond": (Plain(lambda o, learned: 10 * learned, fit=after_training), "fit"),
}


class BothWays(SummaryMlp):
    """A network that reads a block's sessions up to its last end, whichever of its windows it forecasts."""

    def raw(self, batch: Batch) -> torch.Tensor:
        block = batch.rows.mean(dim=(1, 2)).repeat_interleave(len(batch.offsets))  # (K, T, C) -> (B,)
        return block[:, None, None].expand(-1, len(HORIZONS), len(QUANTILES)).contiguous()


def audited(
    entry: Model, panel: PanelTensors, fold: Fold, stats: FoldStats, *, spec: ModelSpec = PLAIN
) -> OriginLeak | None:
    fit = fitting(entry, spec, fold=fold, stats=stats, lookback=LOOKBACK)
    return audit_model(fit, panel=panel, fold=fold, known_at=known_at(panel))


def entry_of(model: Any) -> Model:
    return Model(
        *("U1", "u1_mine"), title="Mine", spec=ModelSpec, estimator=lambda _: model, description="U1.", file="mine.py"
    )


def known_at(panel: PanelTensors) -> torch.Tensor:
    """One exchange closes after the other."""
    return panel.date.long() * 24 + 16 + panel.exchange.long()


@pytest.mark.parametrize("name", CLEAN)
def test_a_model_that_reads_its_own_origins_is_clean(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    assert audited(entry_of(CLEAN[name]), panel, fold, stats) is None


@pytest.mark.parametrize("name", LEAKY)
def test_look_ahead_is_found_with_the_origin_that_changes(
    name: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    model, test = LEAKY[name]
    leak = audited(entry_of(model), panel, fold, stats)
    assert leak is not None
    assert leak.test == test
    assert leak.ticker in panel.tickers
    assert leak.was != leak.now
    assert leak.looks_ahead == (test != "order")
    assert leak.date <= leak.cut or test in ("fit", "order")


@pytest.mark.parametrize("name", SPECS)
def test_no_model_of_ours_is_accused(name: str, panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    assert audited(MODELS[name], with_graph(panel, GRAPH.graph), fold, stats, spec=SPECS[name]) is None


def test_a_network_that_reads_a_block_from_both_ends_looks_ahead(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    entry = Model("U2", "u2_both", title="Both", spec=SummarySpec, constructor=BothWays, description="U2.", file="m.py")
    leak = audited(entry, panel, fold, stats, spec=SummarySpec())
    assert leak is not None
    assert leak.looks_ahead


def test_the_sentence_names_function_quantile_ticker_day_and_change(
    panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    leak = audited(entry_of(LEAKY["next session"][0]), panel, fold, stats)
    assert leak is not None
    assert re.fullmatch(
        r"predict\(\) looks ahead: quantile [\d.]+ of T\d+ over (1|5|20) sessions on \d{4}-\d\d-\d\d changes "
        r"from \S+ to \S+ when the values after \d{4}-\d\d-\d\d are garbage \(poison\)",
        leak.sentence(predict="predict()"),
    )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Plain(lambda o, _: 0.01 * RANDOM.random()), "predict() returns other forecasts when it is asked again"),
        (Plain(lambda _, learned: learned, fit=lambda _: RANDOM.random()), "fit() gives another model"),
    ],
)
def test_a_model_that_is_not_the_same_again_is_not_judged(
    model: Plain, sentence: str, panel: PanelTensors, fold: Fold, stats: FoldStats
) -> None:
    with pytest.raises(NotJudged, match=re.escape(sentence)):
        audited(entry_of(model), panel, fold, stats)


def test_the_sample_has_tickers_of_every_exchange_with_origins_in_each_split(panel: PanelTensors, fold: Fold) -> None:
    rows = sample_rows(panel, fold)
    assert torch.equal(rows, torch.arange(panel.rows))  # four tickers: all of them
    many = random_panel(tickers=20, sessions=620)
    many = replace(many, exchange=(many.ticker >= 3).int(), exchanges=("XETR", "XNYS"))
    late = many.ticker == 1  # listed after the first sessions: fewer origins
    many = replace(many, run_length=torch.where(late, (many.run_length - 300).clamp(min=0), many.run_length))
    spec = FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21)
    chosen = many.ticker[sample_rows(many, make_fold(many, year=2019, spec=spec, lookback=LOOKBACK))].unique()
    assert chosen.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
