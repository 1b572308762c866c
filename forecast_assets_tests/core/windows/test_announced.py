"""How likely a ticker is to report soon, for people."""

from dataclasses import replace

import pytest
import torch

from forecast_assets.core.windows.announced import announcement_chance, announcement_sentence
from forecast_assets_tests.helpers.tensors import random_panel


def test_the_chance_is_the_rows_own_feature_and_at_most_one() -> None:
    panel = random_panel(tickers=1, sessions=60)
    assert announcement_chance(panel, 3) is None
    values = torch.zeros(panel.rows, 1)
    values[3], values[4], values[5] = 0.617, 1.3, float("nan")
    names = (*panel.feature_names, "announcement_5d")
    with_them = replace(panel, features=torch.cat([panel.features, values], dim=1), feature_names=names)
    assert announcement_chance(with_them, 3) == pytest.approx(0.617)
    assert announcement_chance(with_them, 4) == 1.0
    assert announcement_chance(with_them, 5) is None


def test_a_chance_is_said_in_words() -> None:
    assert announcement_sentence(0.617) == "an announcement is expected within 5 sessions, 62 %"
