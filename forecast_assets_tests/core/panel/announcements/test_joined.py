"""The announcements' columns in the feature panel."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets.core.panel.announcements.columns import NAMES
from forecast_assets.core.panel.build import AnnouncementRows, with_announcements
from forecast_assets.core.panel.known_future import KNOWN_FUTURE

DAY = dt.date(2018, 1, 1)
KEYS = [
    ("A", dt.date(2017, 12, 28)),
    ("A", dt.date(2017, 12, 29)),
    ("A", dt.date(2018, 1, 2)),
    ("B", dt.date(2017, 12, 29)),
    ("C", dt.date(2018, 1, 2)),
    ("C", dt.date(2018, 1, 3)),
]


def keyed(**columns: list[float]) -> pl.DataFrame:
    keys = pl.DataFrame(KEYS, schema={"ticker": pl.String, "date": pl.Date}, orient="row")
    return keys.with_columns(pl.Series(name, values) for name, values in columns.items())


def rows(table: pl.DataFrame) -> AnnouncementRows:
    early = pl.col("date") < DAY
    return AnnouncementRows(table.filter(early).lazy(), table.filter(~early).lazy(), DAY)


NUMBERS = [float(k) for k in range(len(KEYS))]
TABLE = keyed(**dict.fromkeys(NAMES, NUMBERS))
FEATURES = keyed(log_return=[0.1] * 6, **dict.fromkeys(KNOWN_FUTURE, [0.0] * 6))


@pytest.mark.parametrize("sizes", [(6,), (3, 3), (3, 1, 2)])
def test_each_row_has_its_own_columns_before_the_known_future_ones(sizes: tuple[int, ...]) -> None:
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    parts = [FEATURES.slice(start, size) for start, size in zip(starts, sizes, strict=True)]
    found = pl.concat(with_announcements(parts, rows(TABLE)))
    assert found.columns == ["ticker", "date", "log_return", *NAMES, *KNOWN_FUTURE]
    assert all(found[name].to_list() == NUMBERS for name in NAMES)
    assert found.select("ticker", "date").rows() == KEYS


@pytest.mark.parametrize("missing", range(len(KEYS)))
def test_a_table_of_other_rows_is_refused(missing: int) -> None:
    other = TABLE.with_row_index().filter(pl.col("index") != missing).drop("index")
    with pytest.raises(ValueError, match="not those of the calendar panel"):
        list(with_announcements([FEATURES], rows(other)))
