"""Models of one's own that hang, end their process or are audited: what becomes of their fold."""

import logging
import re
from collections.abc import Iterator

import pytest

from forecast_assets.assets.fold import first_use
from forecast_assets.assets.fold.candidates import SKIPPED
from forecast_assets.assets.fold.first_use import stopped
from forecast_assets.assets.fold.fold_work import FoldInputs
from forecast_assets.assets.fold.train_fold import FORECASTS, train_fold
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.core.errors import BadModel
from forecast_assets.core.models import catalogue
from forecast_assets.core.models.entry import Model, ModelSpec
from forecast_assets.core.models.own import own_models
from forecast_assets.core.specs import CalibrationSpec, FoldSpec, OwnModelsSpec, WindowSpec
from forecast_assets.core.training.fit import Hardware
from forecast_assets.resources import worker_engine
from forecast_assets.resources.engine import ProcessEnded
from forecast_assets.resources.local_engine import LocalEngine
from forecast_assets.resources.tracking import TrackingResource
from forecast_assets.store.artefact_files import TENSORS
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.graph import environment
from forecast_assets_tests.helpers.published import KEY_A, fields
from forecast_assets_tests.helpers.tensors import random_panel

MODELS = """
import itertools, os, signal
import numpy as np
from forecast_assets.core.models.entry import Model, ModelSpec

class Plain:
    def __init__(self, spec): ...
    def fit(self, train, *, seed):
        return self
    def predict(self, origins):
        return origins.quantiles()

class Hangs(Plain):
    def fit(self, train, *, seed):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return sum(itertools.repeat(1))  # in C, for ever

class Random(Plain):
    def predict(self, origins):
        return origins.quantiles(float(np.random.default_rng().normal()))

MODEL = tuple(
    Model(f"U{k}", f"u{k}_{each.__name__.lower()}", title=each.__name__, spec=ModelSpec, estimator=each, description="U.")
    for k, each in enumerate((Plain, Hangs, Random))
)
"""


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StageOutput]]:
    """The folds of the models of ``MODELS``, made by one worker process; that of ``Plain`` once more, without an audit."""
    root = tmp_path_factory.mktemp("first_use")
    (root / "mine.py").write_text(MODELS)
    store = Store(str(root / "store"))
    with store.stage("windowed_tensors", None, input_key=KEY_A) as staging:
        random_panel(tickers=3, sessions=620).save(staging.path / TENSORS)
        tensors = store.commit(staging, fields())
    inputs = FoldInputs(
        windowed_tensors=tensors,
        folds=FoldSpec(first_test_year=2019, validation_sessions=40, purge_sessions=21),
        windows=WindowSpec(lookback=10),
        year=2019,
        hardware=Hardware(accelerator="cpu", precision="32-true"),
        engine=LocalEngine(),
        checkpoints=root / "checkpoints" / "fold",
        tracking=TrackingResource(mode="disabled"),
        log=logging.getLogger("own"),
    )

    def make(name: str, *, minutes: float = 5) -> StageOutput:
        spec, own = catalogue.MODELS[name].spec(), OwnModelsSpec(minutes=minutes)
        return train_fold(name, spec, inputs, calibration=CalibrationSpec(enabled=False), own=own)

    with (
        environment(FORECAST_MODELS=root / "mine.py", FORECAST_DATA_DIR=root),  # for the worker processes too
        pytest.MonkeyPatch.context() as patch,
    ):
        for model in own_models([str(root / "mine.py")], shipped=()):
            patch.setitem(catalogue.MODELS, model.key, model)
        made = {"plain": make("u0_plain"), "random": make("u2_random")}
        with pytest.MonkeyPatch.context() as without_audit:
            without_audit.setattr(first_use, "AuditWork", None)
            made["again"] = make("u0_plain")
        made["hangs"] = make("u1_hangs", minutes=0.02)
    yield made
    while worker_engine._idle:
        worker_engine._idle.pop().end()


def test_a_model_is_audited_once_and_its_fits_are_made(folds: dict[str, StageOutput]) -> None:
    for name in ("plain", "again"):
        assert folds[name].facts["audit"] == "audited: no look-ahead found"
        assert folds[name].checks[FORECASTS.name].passed


def test_a_model_that_is_not_the_same_again_is_used_with_a_warning(folds: dict[str, StageOutput]) -> None:
    assert SKIPPED not in folds["random"].facts
    check = folds["random"].checks[FORECASTS.name]
    assert (check.passed, check.warns) == (False, True)
    assert "not audited for look-ahead: predict() returns other forecasts when it is asked again" in check.description


def test_a_model_that_hangs_is_stopped_and_its_fold_skipped_with_the_sentence(folds: dict[str, StageOutput]) -> None:
    skipped, check = str(folds["hangs"].facts[SKIPPED]), folds["hangs"].checks[FORECASTS.name]
    assert re.fullmatch(
        r".*mine\.py: fit\(\) in the audit took longer than own_models\.minutes=0\.02 and was stopped", skipped
    )
    assert (check.passed, check.description) == (False, skipped)


def test_a_model_that_ends_its_process_is_at_fault_unless_memory_may_have_run_out() -> None:
    entry = Model("U1", "u1_mine", title="Mine", spec=ModelSpec, description="U1: mine.", file="mine.py")
    fault = stopped(entry, "fit()", ProcessEnded(0, -11), OwnModelsSpec())
    assert isinstance(fault, BadModel)
    assert str(fault) == "mine.py: fit() ended its process with exit code -11"
    killed = ProcessEnded(0, -9)
    assert stopped(entry, "fit()", killed, OwnModelsSpec()) is killed
