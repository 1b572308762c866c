"""No malformed file is misread: rows come through as they were meant, or are rejected with a reason."""

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.malformed import (
    CATEGORIES,
    Case,
    canonical_rows,
    canonical_values,
    judge,
    make,
    mutated,
    text,
)
from forecast_assets_tests.helpers.reading import read_files

SHORT = 6  # files of each category; all of them are read by `python -m benchmarks.ingest`


def read(path: Path) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    accepted, reading = read_files([path], spec=panel_spec())
    return accepted, reading.rejected, reading.rows_read


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_file_of_the_category_is_misread(category: str, tmp_path: Path) -> None:
    for seed in range(SHORT):
        case = make(category, random.Random(f"{category} {seed}"))
        assert judge(case, tmp_path / "panel.csv", read) is None, (seed, case.content.decode(errors="replace")[:4000])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6))
def test_no_mutated_file_is_misread(seed: int, changes: int, tmp_path: Path) -> None:
    case = mutated(random.Random(seed), changes)
    assert judge(case, tmp_path / "panel.csv", read) is None, case.content.decode(errors="replace")


def good_case() -> Case:
    rows = canonical_rows(random.Random(0))
    return Case("good", text(rows).encode(), canonical_values(rows), accepted=True)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda accepted, rejected, count: (accepted.with_columns(pl.col("volume") / 1000), rejected, count),
        lambda accepted, rejected, count: (accepted[1:], rejected, count),
        lambda accepted, rejected, count: (accepted[1:], rejected, count - 1),
        lambda accepted, rejected, count: (pl.concat([accepted, accepted[:1]]), rejected, count + 1),
        lambda accepted, rejected, count: (
            accepted.with_columns(ticker=pl.lit("X") + pl.col("ticker")),
            rejected,
            count,
        ),
        lambda accepted, rejected, count: 1 / 0,
    ],
)
def test_the_judge_sees_a_reader_that_does_wrong(wrong: object, tmp_path: Path) -> None:
    assert callable(wrong)
    assert judge(good_case(), tmp_path / "panel.csv", read) is None
    assert judge(good_case(), tmp_path / "panel.csv", lambda path: wrong(*read(path))) is not None
