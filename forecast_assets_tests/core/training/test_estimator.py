"""A model that is fitted by its own code: what it is handed, and the sentence for what it does wrong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from forecast_assets.core.errors import BadModel
from forecast_assets.core.models import catalogue
from forecast_assets.core.models.base import standardised_pinball
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.models.protocol import Origins, Training, checked_quantiles
from forecast_assets.core.models.summary import SummaryMlp
from forecast_assets.core.reads import Reads
from forecast_assets.core.training.estimator import fit_estimator
from forecast_assets.core.training.fit import START, FoldTrainer, Hardware
from forecast_assets.core.windows.folds import Fold
from forecast_assets.core.windows.labels import training_labels
from forecast_assets.core.windows.stats import FoldStats, fit_stats
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.small_specs import small_fold
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 10
CPU = Hardware(accelerator="cpu", precision="32-true")
COLUMNS = ("log_return", "noise_1")


class Spec(ModelSpec):
    @property
    def reads(self) -> Reads:
        return Reads(COLUMNS)


class Plain:
    """HAR-X's quantiles, wider with the seed."""

    def __init__(self, spec: ModelSpec) -> None:
        self.log_scale = 0.0

    def fit(self, train: Training, *, seed: int) -> "Plain":
        self.log_scale = 0.1 * seed
        return self

    def predict(self, origins: Origins) -> Any:
        return origins.quantiles(self.log_scale)


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return random_panel(tickers=4, sessions=620)


@pytest.fixture(scope="module")
def fold(panel: PanelTensors) -> Fold:
    return small_fold(panel, lookback=LOOKBACK)


@pytest.fixture(scope="module")
def stats(panel: PanelTensors, fold: Fold) -> FoldStats:
    return fit_stats(panel, fold)


@pytest.fixture
def origins(panel: PanelTensors, fold: Fold, stats: FoldStats) -> Origins:
    return Origins(panel, fold.test, stats=stats, columns=COLUMNS, lookback=LOOKBACK)


def entry_of(estimator: Callable[[Any], Any]) -> Model:
    return Model("U1", "u1_mine", title="Mine", spec=Spec, estimator=estimator, description="U1: mine.", file="mine.py")


def test_an_origin_is_described_by_what_the_panel_holds_there(
    panel: PanelTensors, fold: Fold, stats: FoldStats, origins: Origins
) -> None:
    rows = fold.test
    assert len(origins) == len(rows)
    assert origins.ticker.tolist() == [panel.tickers[code] for code in panel.ticker[rows].tolist()]
    assert origins.date.astype(np.int64).tolist() == panel.date[rows].tolist()
    volatility, summary = stats.origin(panel, rows)
    np.testing.assert_array_equal(origins.volatility, volatility.numpy())
    np.testing.assert_array_equal(origins.summary, summary.numpy())
    raw = panel.features[rows][:, panel.columns(COLUMNS)]
    np.testing.assert_array_equal(origins.features, stats.standardise(raw, panel.columns(COLUMNS)).numpy())
    windows = origins.part(slice(5, 9)).windows
    assert windows.shape == (4, LOOKBACK, 2)
    np.testing.assert_array_equal(windows[:, -1], origins.features[5:9])
    np.testing.assert_array_equal(windows[0, :, 0], windows_by_hand(panel, stats, int(rows[5])))


def windows_by_hand(panel: PanelTensors, stats: FoldStats, row: int) -> np.ndarray:
    values = panel.column("log_return")[row - LOOKBACK + 1 : row + 1]
    place = panel.feature_names.index("log_return")
    return ((values - stats.mean[place]) / stats.std[place]).numpy()


def test_quantiles_are_harx_and_wider_by_the_scale_around_its_median(
    panel: PanelTensors, fold: Fold, stats: FoldStats, origins: Origins
) -> None:
    harx = stats.harx(panel, fold.test).double().numpy()
    np.testing.assert_allclose(origins.quantiles(), harx, rtol=1e-5, atol=1e-8)
    wider = origins.quantiles(np.full((len(origins), 3), np.log(2.0)))
    np.testing.assert_allclose(wider - harx[..., 3:4], 2 * (harx - harx[..., 3:4]), rtol=1e-4, atol=1e-7)


def test_training_origins_have_the_labels_of_the_networks(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    labels = training_labels(panel, fold.train, stats=stats)
    train = Training(panel, fold.train, stats=stats, columns=COLUMNS, lookback=LOOKBACK, labels=labels)
    some = train.part(np.arange(0, len(train), 7))
    rows = fold.train[::7]
    np.testing.assert_array_equal(some.target, panel.targets[rows].numpy())
    expected = labels.log_excess(panel, rows, forecast=stats.volatility(panel, rows), stats=stats).numpy()
    np.testing.assert_allclose(some.log_excess, expected, rtol=1e-6, atol=1e-7)


def test_a_covariate_that_is_missing_counts_as_its_mean(panel: PanelTensors, fold: Fold) -> None:
    rows = fold.test[:5]
    features = panel.features.clone()
    own = panel.feature_names.index("noise_1")
    features[rows, own] = torch.nan
    names = tuple("x_mood" if name == "noise_1" else name for name in panel.feature_names)
    named = replace(panel, features=features, feature_names=names)
    origins = Origins(named, rows, stats=fit_stats(named, fold), columns=("x_mood",), lookback=LOOKBACK)
    assert not origins.features.any()
    assert not origins.summary[:, -1].any()
    assert np.isfinite(origins.quantiles()).all()
    assert np.isfinite(origins.windows).all()
    assert origins.windows[:, :-1].any()


def test_no_attribute_of_an_origin_depends_on_a_later_row(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    rows = fold.test[:5]
    late = panel.date > panel.date[rows].max()
    poisoned = replace(
        panel,
        features=torch.where(late[:, None], float("nan"), panel.features),
        targets=torch.full_like(panel.targets, float("nan")),
    )
    clean, dirty = (Origins(p, rows, stats=stats, columns=COLUMNS, lookback=LOOKBACK) for p in (panel, poisoned))
    for name in ("volatility", "summary", "features", "windows"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(dirty, name))
    np.testing.assert_array_equal(clean.quantiles(0.3), dirty.quantiles(0.3))


def test_a_fit_is_scored_like_a_networks_and_forecasts_the_folds_origins(
    panel: PanelTensors, fold: Fold, stats: FoldStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.MODELS, "u1_mine", entry_of(Plain))
    trainer = FoldTrainer("u1_mine", Spec(), panel, fold, stats, LOOKBACK, CPU)
    epochs: list[Any] = []
    done, wider = trainer.fit(0, on_epoch=epochs.append), trainer.fit(1)
    quantiles = torch.from_numpy(trainer.forecasts(done))
    np.testing.assert_allclose(quantiles, stats.harx(panel, fold.origins), rtol=1e-5, atol=1e-8)
    on_validation, scale = quantiles[: len(fold.validation)].float(), stats.volatility(panel, fold.validation)
    expected = float(standardised_pinball(on_validation, panel.targets[fold.validation], scale))
    assert done.validation_pinball == pytest.approx(expected)
    assert (done.weights, done.best_epoch, epochs) == ({}, 0, done.curve)
    assert done.best_epoch != START
    assert not np.allclose(trainer.forecasts(wider), quantiles)


def test_a_network_of_ones_own_is_trained_like_ours(
    panel: PanelTensors, fold: Fold, stats: FoldStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = catalogue.SummarySpec(epochs=1, samples_per_epoch=128, summary_hidden=4)
    entry = Model(
        "U2", "u2_net", title="Net", spec=catalogue.SummarySpec, constructor=SummaryMlp, description="U2: net."
    )
    monkeypatch.setitem(catalogue.MODELS, "u2_net", entry)
    mine, ours = (
        FoldTrainer(name, spec, panel, fold, stats, LOOKBACK, CPU).fit(3) for name in ("u2_net", "b8_summary")
    )
    assert mine.weights.keys() == ours.weights.keys()
    assert all(torch.equal(mine.weights[name], ours.weights[name]) for name in mine.weights)


class Wrong(Plain):
    """``Plain``, with something wrong in what it does."""

    def __init__(self, fit: Any = None, predict: Any = None) -> None:
        self.wrong_fit, self.wrong_predict = fit, predict

    def fit(self, train: Training, *, seed: int) -> Any:
        return self if self.wrong_fit is None else self.wrong_fit(train)

    def predict(self, origins: Origins) -> Any:
        return self.wrong_predict(origins)


def changed(origins: Origins, at: tuple[int, int, int], value: float) -> np.ndarray:
    quantiles = origins.quantiles()
    quantiles[at] = value
    return quantiles


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Wrong(fit=lambda train: 1 / 0), r"mine.py: fit\(\) raised ZeroDivisionError: division by zero"),
        (Wrong(fit=lambda train: 3), r"mine.py: predict\(\) raised AttributeError: 'int' object has no attribute"),
        (Wrong(predict=lambda origins: [][0]), r"mine.py: predict\(\) raised IndexError: list index out of range"),
        (
            Wrong(predict=lambda origins: None),
            r"mine.py: predict\(\) returned an array of shape \(\), and has to return",
        ),
        (Wrong(predict=lambda origins: "no"), r"mine.py: predict\(\) returned str, which is no array of numbers"),
        (
            Wrong(predict=lambda origins: origins.quantiles()[:, :2]),
            r"shape \(\d+, 2, 7\), and has to return \(\d+, 3, 7\)",
        ),
        (
            Wrong(predict=lambda origins: changed(origins, (4, 1, 0), np.nan)),
            r"mine.py: predict\(\) returned values that are not finite for 1 of \d+ forecast origins",
        ),
        (
            Wrong(predict=lambda origins: changed(origins, (4, 1, 0), 1.0)),
            r"mine.py: predict\(\) returned quantiles that cross for 1 of \d+ forecast origins",
        ),
    ],
)
def test_what_a_model_of_ones_own_does_wrong_is_one_sentence(
    panel: PanelTensors, fold: Fold, stats: FoldStats, wrong: Wrong, sentence: str
) -> None:
    with pytest.raises(BadModel, match=sentence):
        fit_estimator(entry_of(lambda spec: wrong), Spec(), panel, fold=fold, stats=stats, lookback=LOOKBACK, seed=0)


@pytest.mark.parametrize("error", [MemoryError(), OSError("the disk is full")])
def test_a_lack_of_memory_or_disk_is_no_fault_of_the_model(
    panel: PanelTensors, fold: Fold, stats: FoldStats, error: Exception
) -> None:
    def fail(train: Training) -> None:
        raise error

    entry = entry_of(lambda spec: Wrong(fit=fail))
    with pytest.raises(type(error)):
        fit_estimator(entry, Spec(), panel, fold=fold, stats=stats, lookback=LOOKBACK, seed=0)


def test_a_bug_in_a_model_of_ours_keeps_its_own_error(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    entry = replace(entry_of(lambda spec: Wrong(fit=lambda train: 1 / 0)), file="")
    with pytest.raises(ZeroDivisionError):
        fit_estimator(entry, Spec(), panel, fold=fold, stats=stats, lookback=LOOKBACK, seed=0)


def test_an_estimator_for_a_network_has_to_give_its_weights(panel: PanelTensors, fold: Fold, stats: FoldStats) -> None:
    entry = replace(entry_of(Plain), constructor="boosted:TreeNetwork")
    with pytest.raises(
        BadModel, match=r"mine.py: fit\(\) returned a model without weights\(\) for the network of u1_mine"
    ):
        fit_estimator(entry, Spec(), panel, fold=fold, stats=stats, lookback=LOOKBACK, seed=0)


def test_good_quantiles_pass_as_they_are_also_where_neighbours_are_equal() -> None:
    quantiles = np.zeros((2, 3, 7))
    np.testing.assert_array_equal(
        checked_quantiles(quantiles.tolist(), origins=2, where="mine.py: predict()"), quantiles
    )
