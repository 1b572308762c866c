"""Zero-shot forecasts of Chronos models: the real loader on tiny random weights, and origins that see nothing later."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from forecast_assets.core.errors import BadModel, BadSetting
from forecast_assets.core.horizons import HORIZONS, QUANTILES
from forecast_assets.core.models.zero_shot import (
    RELEASED,
    Chronos,
    at_levels,
    closing_paths,
    load_chronos,
    training_cutoff,
    zero_shot,
)
from forecast_assets.core.specs import ChronosSpec
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.chronos_weights import (
    BOLT_LEVELS,
    CHRONOS_2_LEVELS,
    HAS_CHRONOS,
    WITHOUT,
    write_bolt,
    write_chronos_2,
)
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.tensors import random_panel

pytestmark = pytest.mark.skipif(not HAS_CHRONOS, reason=WITHOUT)

SESSIONS = 90
SPEC = ChronosSpec(context_sessions=48, batch_size=7)
KINDS: dict[str, tuple[Callable[..., Path], tuple[float, ...]]] = {
    "bolt": (write_bolt, BOLT_LEVELS),
    "chronos-2": (write_chronos_2, CHRONOS_2_LEVELS),
}


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return random_panel(tickers=3, sessions=SESSIONS)


@pytest.fixture(scope="module")
def rows() -> torch.Tensor:
    """Origins of all tickers: with a short past, with a whole context, and the last one."""
    return torch.cat([torch.tensor([10, 30, 60, 61, SESSIONS - 1]) + ticker * SESSIONS for ticker in range(3)])


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chronos:
    write, levels = KINDS[request.param]
    found = load_chronos(write(tmp_path_factory.mktemp(request.param)), name=request.param, accelerator="cpu")
    assert found.levels == levels
    return found


def test_a_path_is_the_log_closes_less_the_last(panel: PanelTensors) -> None:
    returns = panel.column("log_return").double()[:SESSIONS]
    close = returns.cumsum(0)
    (found,) = closing_paths(panel, torch.tensor([40]), sessions=8)
    assert_allclose(found.numpy(), (close[33:41] - close[40]).numpy(), atol=1e-6)
    assert found[-1] == 0


def test_a_path_begins_with_its_segment_and_has_no_value_where_none_is_quoted(panel: PanelTensors) -> None:
    observed, starts = panel.observed.clone(), panel.segment_start.clone()
    observed[SESSIONS + 22], starts[SESSIONS + 20] = False, True
    broken = replace(panel, observed=observed, segment_start=starts)
    (found,) = closing_paths(broken, torch.tensor([SESSIONS + 24]), sessions=8)
    assert torch.isfinite(found).tolist() == [False, False, False, True, True, False, True, True]
    returns = panel.column("log_return").double()
    first = -(returns[SESSIONS + 21] + returns[SESSIONS + 23] + returns[SESSIONS + 24])
    assert_allclose(found[3].item(), first.item(), atol=1e-6)


def test_forecasts_are_quantiles_that_do_not_cross(model: Chronos, panel: PanelTensors, rows: torch.Tensor) -> None:
    found = zero_shot(model, panel, rows, spec=SPEC)
    assert found.shape == (len(rows), len(HORIZONS), len(QUANTILES))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    assert np.unique(found[:, :, 3].round(6)).size > len(rows)  # they differ by origin and horizon


def test_step_h_of_the_package_is_the_forecast_over_h_sessions(model: Chronos, panel: PanelTensors) -> None:
    origin = torch.tensor([60])
    paths = closing_paths(panel, origin, sessions=SPEC.context_sessions)
    steps = model.predict(paths)[0]  # (K, T)
    found = zero_shot(model, panel, origin, spec=SPEC)[0]
    median = np.sort(steps[:, [h - 1 for h in HORIZONS]], axis=0)[model.levels.index(0.5)]
    assert_allclose(found[:, QUANTILES.index(0.5)], median, rtol=1e-6)


def test_nothing_after_the_origin_is_read(model: Chronos, panel: PanelTensors, rows: torch.Tensor) -> None:
    early = rows[rows % SESSIONS <= 60]
    before = zero_shot(model, panel, early, spec=SPEC)
    later = torch.arange(panel.rows) % SESSIONS > 60
    features, observed = panel.features.clone(), panel.observed.clone()
    features[later], observed[later] = torch.nan, False
    targets = torch.full_like(panel.targets, torch.nan)
    poisoned = replace(panel, features=features, observed=observed, targets=targets)
    assert np.array_equal(zero_shot(model, poisoned, early, spec=SPEC), before)


def test_a_forecast_does_not_depend_on_the_others_of_its_batch(model: Chronos, panel: PanelTensors) -> None:
    origins = torch.tensor([60, SESSIONS + 60, 2 * SESSIONS + 60])
    together = zero_shot(model, panel, origins, spec=SPEC)
    alone = zero_shot(model, panel, origins[1:2], spec=SPEC)
    assert_allclose(together[1:2], alone, atol=1e-6)


def test_no_origin_makes_no_forecast(model: Chronos, panel: PanelTensors) -> None:
    assert zero_shot(model, panel, torch.empty(0, dtype=torch.int64), spec=SPEC).shape == (0, 3, 7)


@pytest.mark.parametrize("levels", [BOLT_LEVELS, CHRONOS_2_LEVELS, (0.1, 0.5, 0.9)])
def test_a_normals_quantiles_are_those_at_any_levels(levels: tuple[float, ...]) -> None:
    normal = NormalDist(0.01, 0.03)
    found = at_levels(np.array([[normal.inv_cdf(level) for level in levels]] * 2), levels)
    assert_allclose(found, [[normal.inv_cdf(level) for level in QUANTILES]] * 2, atol=1e-12)


def test_each_tail_has_its_own_width_and_crossing_values_are_sorted() -> None:
    found = at_levels(np.array([-1.0, 3.0, 0.0]), (0.1, 0.5, 0.9))
    ratio = NormalDist().inv_cdf(0.975) / NormalDist().inv_cdf(0.9)
    assert_allclose(found[[0, 3, 6]], [-ratio, 0.0, 3 * ratio])


def test_a_cutoff_is_the_declared_day_or_a_known_release() -> None:
    small = "amazon/chronos-bolt-small"
    assert training_cutoff(small, None) == (RELEASED[small], False)
    assert training_cutoff(small, dt.date(2025, 3, 1)) == (dt.date(2025, 3, 1), True)
    assert training_cutoff("mine", dt.date(2020, 1, 1)) == (dt.date(2020, 1, 1), True)


@pytest.mark.parametrize(
    ("name", "declared", "sentence"),
    [
        ("mine", None, "nothing says up to when mine was trained.* set f0_chronos.trained_until"),
        (
            "amazon/chronos-2",
            dt.date(2024, 1, 1),
            "trained_until=2024-01-01 is before 2025-11-05, when amazon/chronos-2",
        ),
    ],
)
def test_a_cutoff_that_nobody_can_know_is_refused(name: str, declared: dt.date | None, sentence: str) -> None:
    with pytest.raises(BadSetting, match=sentence):
        training_cutoff(name, declared)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{}", "mine cannot be loaded: ValueError: "),
        ('{"model_type": "t5", "chronos_config": {}}', "mine cannot be loaded: "),
        ("not json", "mine cannot be loaded: OSError: "),
    ],
)
def test_files_that_are_no_model_are_one_sentence(tmp_path: Path, config: str, sentence: str) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadModel, match=f"f0_chronos: {sentence}"):
        load_chronos(tmp_path, name="mine", accelerator="cpu")


def test_a_model_without_a_median_is_refused(tmp_path: Path) -> None:
    write_bolt(tmp_path, quantiles=[0.1, 0.9])
    with pytest.raises(BadModel, match=r"mine forecasts the quantiles \[0.1, 0.9\], without a median"):
        load_chronos(tmp_path, name="mine", accelerator="cpu")


def test_forecasts_that_are_not_finite_are_refused(tmp_path: Path, panel: PanelTensors) -> None:
    model = load_chronos(write_bolt(tmp_path), name="mine", accelerator="cpu")
    with torch.no_grad():
        model.pipeline.model.output_patch_embedding.output_layer.bias.fill_(torch.nan)
    with pytest.raises(BadModel, match="mine forecast values that are not finite for 2 of 2 origins"):
        zero_shot(model, panel, torch.tensor([60, 61]), spec=SPEC)


def test_the_page_names_the_settings_and_cutoffs_that_there_are() -> None:
    page = (PROJECT / "docs" / "foundation_models.md").read_text(encoding="utf-8")
    for name, field in ChronosSpec.model_fields.items():
        default = "none" if field.default is None else str(field.default)
        assert f"| `f0_chronos.{name}` | {default} |" in page
    rows = [line for line in page.splitlines() if line.startswith("| `amazon/")]
    for model, day in RELEASED.items():
        family, _, size = model.rpartition("-")
        (row,) = [line for line in rows if f"`{model}`" in line or (f"`{family}-" in line and f"`-{size}`" in line)]
        assert f"| {day}," in row
