from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast_assets.core.training.calibration_groups import Groups
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets_tests.helpers.tensors import random_panel

TRAIN = torch.cat([torch.arange(90 * k + 20, 90 * k + 60) for k in range(3)])


@pytest.fixture
def panel() -> PanelTensors:
    """Three tickers of 90 sessions whose volatility moves, the last on another exchange."""
    made = random_panel(tickers=3, sessions=90)
    generator = torch.Generator().manual_seed(2)
    made.scale.mul_(torch.exp(0.3 * torch.randn(made.rows, generator=generator)))
    made.features[:, made.feature_names.index("har_1")] += 0.6 * torch.randn(made.rows, generator=generator)
    return replace(made, exchange=(made.ticker == 2).int(), exchanges=("XNYS", "XFRA"))


def of_kind(groups: Groups, panel: PanelTensors, kind: int, rows: torch.Tensor) -> list[str]:
    made = groups.of(panel, rows)
    return [made.names[code] for code in made.code[:, kind]]


def test_regimes_compare_a_ticker_with_its_own_past(panel: PanelTensors) -> None:
    panel.scale[90:180] *= 50  # a wild ticker is in no higher regime for being wild
    panel.scale[:5] = float("nan")
    groups = Groups.fit(panel, train=TRAIN)
    assert of_kind(groups, panel, 0, torch.arange(5)) == ["regime 1"] * 5
    for code in range(3):
        held = of_kind(groups, panel, 0, torch.arange(90 * code + 20, 90 * code + 60))
        assert min(held.count(f"regime {k}") for k in range(3)) >= 5


def test_volatility_groups_are_deciles_of_the_training_rows(panel: PanelTensors) -> None:
    groups = Groups.fit(panel, train=TRAIN)
    held = of_kind(groups, panel, 2, TRAIN)
    assert [held.count(f"volatility {k}") for k in range(10)] == [12] * 10
    panel.features[:, panel.feature_names.index("har_1")] += 20.0  # moved by the sign of the regression's weight
    assert set(of_kind(groups, panel, 2, TRAIN)) <= {"volatility 0", "volatility 9"}


def test_an_exchange_without_training_rows_is_other(panel: PanelTensors) -> None:
    groups = Groups.fit(panel, train=TRAIN[:80])
    assert groups.exchanges == ("XNYS",)
    rows = torch.tensor([200, 10, 100])
    assert of_kind(groups, panel, 1, rows) == ["exchange other", "exchange XNYS", "exchange XNYS"]
    renamed = replace(panel, exchanges=("XFRA", "XNYS"))  # codes are the panel's, names are what counts
    assert of_kind(groups, renamed, 1, rows) == ["exchange XNYS", "exchange other", "exchange other"]


def test_what_comes_later_changes_no_group(panel: PanelTensors) -> None:
    groups = Groups.fit(panel, train=TRAIN)
    before = groups.of(panel, torch.arange(270)).code
    later = torch.arange(270) % 90 >= 80  # the last training label ends a session before
    poisoned = replace(
        panel,
        scale=torch.where(later, 9.0, panel.scale),
        features=torch.where(later[:, None], 7.0, panel.features),
        targets=torch.where((torch.arange(270) % 90 >= 60)[:, None], 5.0, panel.targets),
    )
    assert Groups.fit(poisoned, train=TRAIN) == groups
    after = groups.of(poisoned, torch.arange(270)).code
    np.testing.assert_array_equal(after[~later], before[~later])
    assert (after[later] != before[later]).any()


def test_groups_do_not_depend_on_which_other_rows_are_asked_for(panel: PanelTensors) -> None:
    groups = Groups.fit(panel, train=TRAIN)
    together = groups.of(panel, torch.arange(270))
    shuffled = torch.randperm(270, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(groups.of(panel, shuffled).code, together.code[shuffled.numpy()])
    alone = np.concatenate([groups.of(panel, torch.tensor([row])).code for row in range(0, 270, 13)])
    np.testing.assert_array_equal(alone, together.code[::13])
    assert groups.of(panel, torch.arange(0)).code.shape == (0, 3)
