"""The ETTh1 benchmark has the split, the optimiser and the rates of the paper's script."""

import pytest
import torch

from benchmarks.etth1 import (
    BETAS,
    EPOCHS,
    HORIZON,
    LEARNING_RATE,
    LOOKBACK,
    TEST_END,
    TRAIN_END,
    VALIDATION_END,
    factor,
    windows,
)

HOURS = torch.arange(TEST_END + 3020, dtype=torch.float32)[:, None]  # the file has 3,020 hours more


@pytest.mark.parametrize(
    ("begin", "end", "count"),
    [(0, TRAIN_END, 8209), (TRAIN_END, VALIDATION_END, 2785), (VALIDATION_END, TEST_END, 2785)],
)
def test_windows_are_the_standard_split_and_predict_their_own_months_only(begin: int, end: int, count: int) -> None:
    found = windows(HOURS, begin=begin, end=end)
    assert found.shape == (count, LOOKBACK + HORIZON, 1)
    targets = found[:, LOOKBACK:]
    assert targets.min() == max(begin, LOOKBACK)
    assert targets.max() == end - 1
    assert (found[:, 1:] - found[:, :-1] == 1).all()  # a window is contiguous


def test_optimiser_and_rates_are_those_of_the_papers_script() -> None:
    """Its ``adjust_learning_rate`` ("type3", called with epochs from 1 on) after the constructor of OneCycleLR."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=LEARNING_RATE)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, steps_per_epoch=64, epochs=EPOCHS)
    group = optimizer.param_groups[0]
    assert group["betas"] == BETAS
    expected = [group["lr"], *(LEARNING_RATE * (1.0 if n < 3 else 0.9 ** (n - 3)) for n in range(1, EPOCHS))]
    assert [LEARNING_RATE * factor(epoch) for epoch in range(EPOCHS)] == pytest.approx(expected, rel=1e-12)
