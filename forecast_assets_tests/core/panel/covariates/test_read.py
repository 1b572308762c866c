"""A user's own series are declared and read strictly: one sentence says what is wrong, where, and what to write."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.covariates.declare import declared_features, read_declarations
from forecast_assets.core.panel.covariates.read import EVENT, ROWS, Covariates, read_covariates, require_tickers
from forecast_assets.core.specs import CovariateSpec

OBSERVED = "mood:\n  path: mood.csv\n  kind: observed\n"
EVENTS = "earnings:\n  path: earnings.csv\n  kind: known_future\n  key: ticker\n"
STATIC = "rank:\n  path: rank.csv\n  kind: static\n"
AFTER_CLOSE = "  release: {exchange: XNYS, hours: 2}\n"


def declared(folder: Path, text: str) -> dict[str, CovariateSpec]:
    (folder / "covariates.yaml").write_text(text)
    return read_declarations(folder / "covariates.yaml")


def read(folder: Path, text: str, *lines: str) -> Covariates:
    specs = declared(folder, text)
    (name, spec) = next(iter(specs.items()))
    (folder / spec.path).write_text("".join(f"{line}\n" for line in lines))
    return read_covariates(specs, {name: folder / spec.path})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n", "it holds a section per series"),
        ("a: {path: [\n", "not readable as YAML"),
        ("Mood:\n  path: x\n", "'Mood' is no name of a covariate; use small letters"),
        ("mood: mood.csv\n", "mood: it needs options under it"),
        (OBSERVED + "  kee: date\n", "mood: there is no option 'kee'; the nearest is key"),
        ("mood:\n  kind: observed\n", "mood: path is missing; write it"),
        ("mood:\n  path: x\n  kind: seen\n", "mood: kind: Input should be 'observed', 'known_future' or 'static'"),
        (OBSERVED + "  release: {hours: 2}\n", "mood: release: says not when; write {exchange: XNYS, hours: 2} or"),
        (OBSERVED + "  release: {days: 1, time: '08:30', zone: Mars}\n", "mood: release: zone: is no time zone"),
        (OBSERVED + "  columns: {a: {colum: x}}\n", "columns: a: there is no option 'colum'; the nearest is column"),
        (OBSERVED + "  columns: {A b: {column: x}}\n", "columns: 'A b' is no name of a feature"),
        (OBSERVED + "  announcements: true\n", "mood: announcements are events; declare kind: known_future"),
        (EVENTS + AFTER_CLOSE, "earnings: release counts from the event itself; give a column available_at"),
        (STATIC + AFTER_CLOSE, "rank: a static value has no release; leave it out"),
        (STATIC + "  columns: {a: {column: x, transform: change}}\n", "columns: a: a static value has none before it"),
        (
            "a:\n  path: x\n  kind: observed\n  columns: {b_c: {column: v}}\n"
            "a_b:\n  path: x\n  kind: observed\n  columns: {c: {column: v}}\n",
            "a and a_b both make a column x_a_b_c; rename one of them",
        ),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        declared(tmp_path, text)
    assert str(caught.value).startswith("covariates.yaml: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "lines", "problem"),
    [
        (
            OBSERVED,
            ("date,score", "2024-01-02,1"),
            "nothing says when a value was known; add a column available_at, or",
        ),
        (
            OBSERVED + AFTER_CLOSE,
            ("date,available_at,v", "2024-01-02,2024-01-03T00:00Z,1"),
            "both a column available_at",
        ),
        (OBSERVED + AFTER_CLOSE, ("day,score", "2024-01-02,1"), r"missing columns ['date']; have ['day', 'score']"),
        (OBSERVED + AFTER_CLOSE, ("date,ticker,score", "2024-01-02,A,1"), "declare key: ticker, or remove the column"),
        (OBSERVED + AFTER_CLOSE, ("date", "2024-01-02"), "no column of numbers beside date; add one"),
        (OBSERVED + AFTER_CLOSE, ("date,My score", "2024-01-02,1"), "column 'my score' gives no name for a feature"),
        (OBSERVED + AFTER_CLOSE, ("date,score", "02.01.2024,1"), "line 2: the date is not one like 2024-01-31"),
        (OBSERVED + AFTER_CLOSE, ("date,score", "2024-01-02,x"), "line 2: score is not a number"),
        (OBSERVED + AFTER_CLOSE, ("date,score", "2024-01-02,inf"), "line 2: score is not a number"),
        (
            OBSERVED + AFTER_CLOSE,
            ("date,score", "2024-01-02,1", "2024-01-02,2"),
            "line 2 (and 1 more): the same date, available at the same time, is there twice",
        ),
        (
            OBSERVED + AFTER_CLOSE + "  columns: {a: {column: scor}}\n",
            ("date,score", "2024-01-02,1"),
            "no column 'scor'; the nearest is score",
        ),
        (
            OBSERVED + AFTER_CLOSE + "  columns: {a: {column: score, transform: log}}\n",
            ("date,score", "2024-01-02,0"),
            "line 2: score is not above zero, and a takes logs",
        ),
        (
            OBSERVED,
            ("date,available_at,v", "2024-01-02,2024-01-03,1"),
            "line 2: available_at is not a time with its zone",
        ),
        (
            OBSERVED,
            ("date,available_at,v", "2024-01-02,2024-01-01T00:00Z,1"),
            "line 2: it was available before its own day; if it tells of days ahead, declare kind: known_future",
        ),
        (
            EVENTS,
            ("date,ticker", "2024-05-02,A"),
            "nothing says when a value was known; add a column available_at, when",
        ),
        (
            EVENTS,
            ("date,ticker,available_at,withdrawn_at", "2024-05-02,A,2024-04-01T00:00Z,2024-03-01T00:00Z"),
            "line 2: withdrawn_at is not after available_at",
        ),
        (STATIC, ("ticker,size", "A,1", "A,2"), "line 2 (and 1 more): the same ticker is there twice"),
        (STATIC, ("ticker,size", ",1"), "line 2: the ticker is missing"),
    ],
)
def test_a_file_that_has_to_be_guessed_at_is_one_sentence(
    tmp_path: Path, text: str, lines: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text, *lines)
    assert problem in str(caught.value)
    assert ".csv: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_series_without_columns_gives_each_column_of_numbers_as_it_is(tmp_path: Path) -> None:
    found = read(tmp_path, OBSERVED + AFTER_CLOSE, "Date,Value,Score", "2024-01-02,1,", "2024-01-03,2,5")
    assert [feature.name for feature in declared_features(found.specs)] == ["x_mood_score", "x_mood"]
    assert found.rows.schema == pl.Schema(ROWS)
    assert found.rows.select("column", "value").rows() == [("score", 5.0), ("value", 1.0), ("value", 2.0)]
    assert found.rows["known_from"].to_list() == [  # 16:00 in New York and two hours
        dt.datetime(2024, 1, 3, 23),
        *(dt.datetime(2024, 1, day, 23) for day in (2, 3)),
    ]


@pytest.mark.parametrize(
    ("release", "known"),
    [
        ("{exchange: XNYS, hours: 0.5}", dt.datetime(2024, 3, 9, 0)),  # a Saturday: once it is over
        ("{days: 1, time: '08:30', zone: America/New_York}", dt.datetime(2024, 3, 10, 12, 30)),
        ("{days: 1, time: 16:30, zone: Europe/Berlin}", dt.datetime(2024, 3, 10, 15, 30)),  # 990 to YAML
        ("{days: 1, time: '02:30', zone: America/New_York}", dt.datetime(2024, 3, 10, 7, 30)),  # left out by the clock
    ],
)
def test_a_release_says_when_a_value_is_known(tmp_path: Path, release: str, known: dt.datetime) -> None:
    found = read(tmp_path, f"{OBSERVED}  release: {release}\n", "date,value", "2024-03-09,1")
    expected = known + dt.timedelta(days=1) if "XNYS" in release else known
    assert found.rows["known_from"].to_list() == [expected]


def test_events_are_rows_of_value_one_beside_their_numbers(tmp_path: Path) -> None:
    found = read(tmp_path, EVENTS, "date,ticker,available_at,size", "2024-05-02,A,2024-04-01 09:00+02:00,0.5")
    assert found.rows.select("column", "value").rows() == [(EVENT, 1.0), ("size", 0.5)]
    assert found.rows["known_from"].unique().to_list() == [dt.datetime(2024, 4, 1, 7)]
    assert [feature.name for feature in declared_features(found.specs)] == [
        *("x_earnings_1d", "x_earnings_5d", "x_earnings_20d", "x_earnings_next"),
        *("x_earnings_size_1d", "x_earnings_size_5d", "x_earnings_size_20d"),
    ]


def test_a_file_without_a_ticker_of_the_panel_is_refused_by_name(tmp_path: Path) -> None:
    found = read(tmp_path, STATIC, "ticker,size", "AAPL US,1", "MSFT US,2")
    require_tickers(found, pl.Series(["AAPL US"]))
    with pytest.raises(
        BadInput, match=r"rank.csv: no ticker of rank \(AAPL US, MSFT US\) is in the panel; .* such as AAPL$"
    ):
        require_tickers(found, pl.Series(["AAPL", "SAP.DE"]))
