"""A file arrives when it is first seen or as declared; a replay reads what had arrived, in the order in which it did."""

import datetime as dt
from pathlib import Path

import pytest

from forecast_assets.core.as_of import AsOf
from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.panel.arrivals import (
    Arrival,
    SeenFile,
    arrived_by,
    date_in_name,
    new_arrivals,
    parse_arrival,
)
from forecast_assets.core.panel.input_file import InputFile


def utc(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2024, 1, day, hour, tzinfo=dt.UTC)


def seen(name: str, content: str) -> SeenFile:
    return SeenFile(name, content, 1)


def file(name: str, arrived: dt.datetime | None = None) -> InputFile:
    return InputFile(Path(name), name, arrived)


@pytest.mark.parametrize(
    ("text", "day", "moment"),
    [
        ("2024-01-15", dt.date(2024, 1, 15), utc(16, 12)),
        ("2024-01-15T22:00-05:00", dt.date(2024, 1, 15), utc(16, 3)),
        ("2024-01-15T22:00", dt.date(2024, 1, 15), utc(15, 22)),
    ],
)
def test_a_date_lasts_until_it_has_ended_everywhere(text: str, day: dt.date, moment: dt.datetime) -> None:
    assert AsOf.parse(text) == AsOf(day, moment)


@pytest.mark.parametrize(
    ("rule", "name", "arrived"),
    [
        ("history", "a.csv", None),
        ("2024-01-15", "a.csv", utc(16, 12)),
        ("2024-01-15T09:00+00:00", "a.csv", utc(15, 9)),
        ("name", "daily/prices_2024-01-15.csv", utc(16, 12)),
    ],
)
def test_an_arrival_is_declared_by_a_time_or_the_name(rule: str, name: str, arrived: dt.datetime | None) -> None:
    assert parse_arrival(rule, name=name) == arrived


def test_another_declaration_of_an_arrival_is_refused() -> None:
    with pytest.raises(BadSetting, match="arrived: 'soon' is no time of arrival; write history, name"):
        parse_arrival("soon", name="a.csv")


@pytest.mark.parametrize(
    "name", ["2024-01-15.csv", "prices_20240115.csv.gz", "cm15JAN2024bhav.csv", "p 15.01.2024.csv"]
)
def test_the_date_in_a_name_is_found(name: str) -> None:
    assert date_in_name(name) == dt.date(2024, 1, 15)


@pytest.mark.parametrize(
    ("name", "found"),
    [("prices.csv", "no date"), ("20249999.csv", "no date"), ("2024-01-15_2024-01-16.csv", "the dates 2024-01-15, 20")],
)
def test_a_name_without_exactly_one_date_is_refused(name: str, found: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} has {found}"):
        date_in_name(name)


def test_what_is_there_at_the_first_reading_is_history_and_what_comes_later_is_not() -> None:
    log = new_arrivals([seen("a", "1"), seen("b", "2")], log=[], now=utc(5))
    assert [entry.arrived for entry in log] == [None, None]
    added = new_arrivals([seen("a", "1"), seen("b", "2"), seen("c", "3")], log=log, now=utc(6))
    assert [(entry.file.name, entry.arrived) for entry in added] == [("c", utc(6))]
    assert new_arrivals([seen("c", "3")], log=[*log, *added], now=utc(7)) == []


def test_a_replaced_content_arrives_when_it_is_first_seen() -> None:
    log = new_arrivals([seen("a", "1")], log=[], now=utc(5))
    assert [entry.arrived for entry in new_arrivals([seen("a", "2")], log=log, now=utc(6))] == [utc(6)]


def test_a_renamed_file_keeps_its_time_and_a_content_that_comes_again_has_its_own() -> None:
    log = new_arrivals([seen("a", "1")], log=[], now=utc(5))
    log += new_arrivals([seen("a", "1"), seen("b", "2")], log=log, now=utc(6))
    renamed = new_arrivals([seen("a", "1"), seen("c", "2")], log=log, now=utc(9))
    again = new_arrivals([seen("a", "1"), seen("b", "2"), seen("c", "2")], log=log, now=utc(9))
    assert [entry.arrived for entry in renamed] == [utc(6)]
    assert [entry.arrived for entry in again] == [utc(9)]


def test_arrivals_never_run_backwards_when_the_clock_does() -> None:
    log = new_arrivals([seen("a", "1")], log=[], now=utc(5))
    assert new_arrivals([seen("b", "2")], log=log, now=utc(3))[0].arrived == utc(5)


def test_an_arrival_is_the_same_after_a_trip_through_the_log() -> None:
    entry = Arrival(seen("a", "1"), utc(5, 3), history=False)
    assert Arrival.from_record(entry.as_record()) == entry


def test_files_are_merged_by_arrival_and_then_by_the_numbers_in_their_names() -> None:
    files = [file("prices_10"), file("z", utc(4)), file("prices_9"), file("a", utc(5)), file("prices")]
    here, later = arrived_by(files, None)
    assert [each.name for each in here] == ["prices", "prices_9", "prices_10", "z", "a"]
    assert later == []


def test_a_replay_reads_only_what_had_arrived() -> None:
    files = [file("history"), file("night", utc(5, 11)), file("morning", utc(5, 13))]
    here, later = arrived_by(files, AsOf.parse("2024-01-04"))
    assert ([each.name for each in here], [each.name for each in later]) == (["history", "night"], ["morning"])


def test_a_replay_before_anything_had_arrived_names_the_file_and_what_to_type() -> None:
    with pytest.raises(
        BadInput, match=r"^p\.csv arrived at 2024-01-05 11:00 UTC, and nothing .* type --arrived history$"
    ):
        arrived_by([file("p.csv", utc(5, 11))], AsOf.parse("2024-01-03"))
