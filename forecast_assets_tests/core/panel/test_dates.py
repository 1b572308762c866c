"""Dates are read in one notation a file, on the exchange's own clock; two readings are refused."""

import datetime as dt

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.dates import find_notation, parse_dates


def read(*texts: str, exchange: str | None = None, declared: str | None = None) -> list[str | None]:
    values = pl.Series(texts)
    notations = find_notation(values, file="p.csv", declared=declared)
    dates = parse_dates(values, notations, exchanges=pl.Series([exchange] * len(values), dtype=pl.String))
    return dates.cast(pl.String).to_list()


@pytest.mark.parametrize(
    "text",
    [
        "2024-04-23", "2024/4/23", "2024.04.23", "20240423", "20240423.0", "2024-04-23T00:00", "2024-04-23 16:00:00.123",
        "23/04/2024", "23-4-2024", "23.04.2024", "04/23/2024", "4/23/2024 12:00:00 AM", "23-Apr-2024", "23-APR-24",
        "Apr 23, 2024", "April 23 2024", "Tue, 23 Apr 2024", "113/04/23", "1713830400", "1713830400000",
        "1713830400000000000", "1713830400.0", "2024-04-23T00:00:00+05:30", "2024-04-23 00:00:00 UTC",
        "Tue, 23 Apr 2024 00:00:00 GMT", "'2024-04-23",
    ],
)  # fmt: skip
def test_a_date_with_one_reading_is_read(text: str) -> None:
    assert read(text) == ["2024-04-23"]


@pytest.mark.parametrize(
    ("text", "exchange", "day"),
    [
        ("2025-05-25 15:00:00+00:00", "XTKS", "2025-05-26"),
        ("2025-05-25T22:00:00Z", "XETR", "2025-05-26"),
        ("2025-05-26T20:00:00Z", "XNYS", "2025-05-26"),
        ("2025-05-27T02:00:00+02:00", "XNYS", "2025-05-26"),
        ("2025-05-26T00:00:00Z", "XNYS", "2025-05-26"),
        ("2025-05-26T16:00:00", "XTKS", "2025-05-26"),
        ("1748185200", "XTKS", "2025-05-26"),
        ("1748232000000", "XNYS", "2025-05-26"),
    ],
)
def test_an_instant_is_read_on_the_exchanges_own_clock(text: str, exchange: str, day: str) -> None:
    assert read(text, exchange=exchange) == [day]


def test_times_of_a_column_with_a_time_zone_are_read_on_the_exchanges_clock() -> None:
    midnight = pl.Series([dt.datetime(2025, 5, 26)]).dt.replace_time_zone("Asia/Tokyo")
    for values in (midnight, midnight.dt.convert_time_zone("UTC")):
        found = parse_dates(values, find_notation(values, file="p"), exchanges=pl.Series(["XTKS"]))
        assert found.to_list() == [dt.date(2025, 5, 26)]


@pytest.mark.parametrize("text", ["05/06/2025", "5-6-2025", "05.06.2025", "26-05-25", "01/02/03"])
def test_a_date_with_two_readings_is_refused_with_the_line_to_add(text: str) -> None:
    with pytest.raises(BadInput, match=r'p\.csv: dates like .* have [23] readings.*panel\.yaml.*date_format: "%d'):
        read(text)


@pytest.mark.parametrize("text", ["23042024", "240423", "2024-114", "April", "datetime.date(2024, 4, 23)"])
def test_dates_of_no_known_notation_are_refused_with_the_line_to_add(text: str) -> None:
    with pytest.raises(
        BadInput, match=r"p\.csv: dates like .* are in no notation that is known \(say it.*date_format:"
    ):
        read(text)


def test_a_count_of_days_is_named_as_a_spreadsheets() -> None:
    with pytest.raises(BadInput, match=r"'45390' .*\(a spreadsheet's count of days: format the column as dates"):
        read("45390", "45391.0")


def test_a_declared_format_without_marks_has_two_digits_each() -> None:
    assert read("23042024", "1032024", declared="%d%m%Y") == ["2024-04-23", None]


def test_a_declared_format_decides() -> None:
    assert read("05/06/2025", declared="%m/%d/%Y") == ["2025-05-06"]
    assert read("05/06/2025", declared="%d/%m/%Y") == ["2025-06-05"]


def test_other_dates_of_a_file_decide_and_so_does_the_spacing_of_daily_quotes() -> None:
    assert read("05/06/2025", "05/13/2025") == ["2025-05-06", "2025-05-13"]
    week = [f"0{day}/06/2025" for day in range(2, 7)]
    assert read(*week) == [f"2025-06-0{day}" for day in range(2, 7)]
    assert read(*[f"{day:02}-05-25" for day in (26, 27, 28, 29, 30)])[0] == "2025-05-26"


def test_a_notation_of_few_rows_is_not_read_beside_another_one() -> None:
    assert read("2024-04-08", "2024-04-09", "04/10/2024") == ["2024-04-08", "2024-04-09", None]
    assert read("", "45390", "2024-13-01", "0024-04-08", "April") == [None] * 5
