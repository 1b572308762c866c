"""Exponential averages: seeded as the books do, per segment."""

import polars as pl

from forecast_assets.core.panel.recursions import Ema, exponential_averages


def rows(*segments: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "segment_id": [k for k, values in enumerate(segments) for _ in values],
            "row": [row for values in segments for row in range(len(values))],
            "x": [value for values in segments for value in values],
        }
    )


def test_each_segment_starts_from_the_mean_of_its_own_first_window() -> None:
    found = exponential_averages(
        rows([1.0, 3.0, 8.0, 0.0], [5.0], [10.0, 20.0, 1.0]), {"ema": Ema("x", window=2, alpha=0.5, first=1)}
    )
    assert found["ema"].to_list() == [None, 2.0, 5.0, 2.5, None, None, 15.0, 8.0]


def test_the_start_has_its_share_left_when_the_memory_is_over() -> None:
    ema = Ema("x", window=2, alpha=0.5, first=1)
    assert 0.5 ** (ema.memory - ema.first) <= 1e-16 < 0.5 ** (ema.memory - ema.first - 1)


def test_an_average_of_one_value_is_the_value_and_has_no_memory() -> None:
    ema = Ema("x", window=1, alpha=1.0, first=2)
    assert exponential_averages(rows([1.0, 2.0, 3.0, 4.0]), {"ema": ema})["ema"].to_list() == [None, None, 3.0, 4.0]
    assert ema.memory == 2
