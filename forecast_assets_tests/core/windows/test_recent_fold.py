"""The recent window: which origins a night may train on; later rows change nothing."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
import torch

from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import NightlySpec
from forecast_assets.core.windows.days import EPOCH
from forecast_assets.core.windows.folds import Fold, recent_fold
from forecast_assets.core.windows.tensors import NO_DATE, PanelTensors
from forecast_assets_tests.helpers.tensors import random_panel

SPEC = NightlySpec(comparison_sessions=15, validation_sessions=25, train_sessions=100)
LOOKBACK = 20


def day_of(panel: PanelTensors, session: int) -> dt.date:
    return EPOCH + dt.timedelta(days=int(panel.date[session]))


def sessions_of(panel: PanelTensors, rows: torch.Tensor) -> list[int]:
    """Positions of the rows' sessions in a panel whose tickers share all of them."""
    return torch.searchsorted(panel.date.unique(), panel.date[rows].unique()).tolist()


def as_known_on(panel: PanelTensors, session: int) -> PanelTensors:
    """The panel as of the close of a session: no later row, no label that reaches past it."""
    per_ticker = len(panel.date.unique())
    last = int(panel.date[session])
    keep = panel.date <= last
    targets, label_end = panel.targets.clone(), torch.full_like(panel.label_end, NO_DATE)
    for column, horizon in enumerate((1, 5, 20)):
        position = torch.arange(panel.rows) % per_ticker + horizon
        known = (position <= session) & torch.isfinite(panel.targets[:, column])
        targets[~known, column] = float("nan")
        ends = panel.date.unique()[position.clamp(max=per_ticker - 1)]
        label_end = torch.where(known, ends.int(), label_end)
    cut: dict[str, Any] = {
        name: tensor[keep] for name, tensor in replace(panel, targets=targets, label_end=label_end).tensors().items()
    }
    return replace(panel, **cut)


def test_splits_are_the_last_sessions_whose_labels_end_before_the_next_split() -> None:
    panel = random_panel(tickers=3, sessions=400)
    fold = recent_fold(panel, until=day_of(panel, 300), spec=SPEC, lookback=LOOKBACK)
    assert sessions_of(panel, fold.test) == list(range(266, 281))  # the label of 280 ends on 300
    assert sessions_of(panel, fold.validation) == list(range(221, 246))  # that of 245 on 265
    assert sessions_of(panel, fold.train) == list(range(101, 201))  # that of 200 on 220
    assert [len(rows) for rows in (fold.train, fold.validation, fold.test)] == [300, 75, 45]


def test_comparison_origins_lie_after_the_champions_cutoff() -> None:
    panel = random_panel(tickers=2, sessions=400)
    fold = recent_fold(panel, until=day_of(panel, 300), spec=SPEC, lookback=LOOKBACK, after=day_of(panel, 275))
    assert sessions_of(panel, fold.test) == list(range(276, 281))
    assert sessions_of(panel, fold.validation)[-1] == 255


def test_a_replayed_night_cuts_as_the_panel_of_that_night_would() -> None:
    panel = random_panel(tickers=3, sessions=400)
    known = as_known_on(panel, 300)
    assert known.rows == 3 * 301
    replayed, live = (recent_fold(p, until=day_of(panel, 300), spec=SPEC, lookback=LOOKBACK) for p in (panel, known))

    def origins(p: PanelTensors, fold: Fold) -> list[list[tuple[int, int]]]:
        return [
            sorted(zip(p.date[rows].tolist(), p.ticker[rows].tolist(), strict=True))
            for rows in (fold.train, fold.validation, fold.test)
        ]

    assert origins(panel, replayed) == origins(known, live)


def test_an_origin_without_a_label_over_every_horizon_is_in_no_split() -> None:
    panel = random_panel(tickers=2, sessions=400)
    targets = panel.targets.clone()
    targets[[150, 230, 270], 2] = float("nan")  # of the first ticker: one in each split
    fold = recent_fold(replace(panel, targets=targets), until=day_of(panel, 300), spec=SPEC, lookback=LOOKBACK)
    assert [len(rows) for rows in (fold.train, fold.validation, fold.test)] == [199, 49, 29]


@pytest.mark.parametrize(
    ("session", "after", "message"),
    [
        (30, None, "recent window up to 2017-02-13: no comparison forecast origin has 20 complete sessions"),
        (60, None, "no validation forecast origin has"),
        (90, None, "no training forecast origin has"),
        (300, 281, "no comparison forecast origin after 2018-01-30 has"),
    ],
)
def test_an_empty_split_says_which_and_why(session: int, after: int | None, message: str) -> None:
    panel = random_panel(tickers=2, sessions=400)
    later = None if after is None else day_of(panel, after)
    with pytest.raises(BadInput, match=message):
        recent_fold(panel, until=day_of(panel, session), spec=SPEC, lookback=LOOKBACK, after=later)
