"""Downloads on another adjustment basis are taken back to the first one's; corrections stay revisions."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from forecast_assets_tests.helpers.builders import csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files

HEADER = "Date,Ticker,Sector,Open,High,Low,Close,Volume"
CLOSES = (50.31, 50.92, 50.13, 51.47, 51.78, 50.83, 51.17, 52.28, 51.93, 52.49, 52.84, 53.41, 52.63, 53.02)
DAYS = [dt.date(2024, 4, day) for day in (8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 22, 23, 24, 25)]


def download(
    path: Path,
    rows: range,
    *,
    factors: dict[int, float] | None = None,
    decimals: int | None = 2,
    shares: float = 1.0,
    closes: tuple[float, ...] = CLOSES,
) -> Path:
    """Write the days ``rows`` of one ticker as a provider does: ``factors`` apply before their day, prices are rounded."""
    lines = []
    for k in rows:
        factor = 1.0
        for day, each in (factors or {}).items():
            factor *= each if k < day else 1.0
        prices = [closes[k] * move * factor for move in (0.997, 1.004, 0.991, 1.0)]
        shown = [f"{price:.{decimals}f}" if decimals is not None else repr(price) for price in prices]
        lines.append(f"{DAYS[k]},ACME,T,{','.join(shown)},{1000 * shares:.0f}")
    return csv(path, *lines, header=HEADER)


def merged(*files: Path) -> tuple[list[float], pl.DataFrame, list[str]]:
    """Return the closes, the classes of rejected rows by count, and the flags of rescaled files."""
    accepted, reading = read_files(files, spec=panel_spec())
    flags = reading.flags.filter(pl.col("flag") == "rescaled_drop")["detail"].to_list()
    return accepted["close"].to_list(), reading.rejected["class"].value_counts(), flags


def count(classes: pl.DataFrame, name: str) -> int:
    return int(classes.filter(pl.col("class") == name)["count"].sum())


@pytest.mark.parametrize("overlap", [5, 2, 1])
@pytest.mark.parametrize(("ratio", "name"), [(0.5, "2:1 split"), (2 / 3, "3:2 split"), (10.0, "1:10 reverse split")])
def test_a_split_between_two_downloads_in_cents_is_taken_back(
    tmp_path: Path, overlap: int, ratio: float, name: str
) -> None:
    first = download(tmp_path / "1.csv", range(10))
    second = download(tmp_path / "2.csv", range(10 - overlap, 14), factors={99: ratio}, shares=1 / ratio)
    closes, classes, flags = merged(first, second)
    assert closes == pytest.approx(CLOSES, abs=0.005 / ratio + 1e-9)
    assert closes[:10] == list(CLOSES[:10])
    assert classes.rows() == [("duplicate", overlap)]  # volumes too
    assert flags == [
        f"2.csv is on another adjustment basis (a {name}, shown by {overlap} shared rows); "
        f"its prices were divided by {round(ratio, 7)}"
    ]


def test_volumes_that_do_not_show_the_split_are_left_as_they_are(tmp_path: Path) -> None:
    first = download(tmp_path / "1.csv", range(10))
    accepted, _ = read_files([first, download(tmp_path / "2.csv", range(5, 14), factors={99: 0.5})], spec=panel_spec())
    assert accepted["volume"].unique().to_list() == [1000.0]


@pytest.mark.parametrize("decimals", [2, 4, None])
def test_only_the_rows_before_an_ex_date_say_how_the_bases_differ(tmp_path: Path, decimals: int | None) -> None:
    first = download(tmp_path / "1.csv", range(10), decimals=decimals)
    second = download(tmp_path / "2.csv", range(5, 14), factors={8: 0.9957}, decimals=decimals)
    closes, classes, flags = merged(first, second)
    truth = [close / (0.9957 if day >= 8 else 1.0) for day, close in enumerate(CLOSES)]
    assert closes == pytest.approx(truth, rel=2e-4 if decimals == 2 else 1e-5)
    assert (count(classes, "duplicate"), count(classes, "superseded")) == (3, 2)  # the last two rows were before it
    assert "a dividend of 0.43 %, shown by 3 shared rows" in flags[0]


def test_a_split_and_a_dividend_in_one_overlap_leave_no_jump(tmp_path: Path) -> None:
    first = download(tmp_path / "1.csv", range(10), decimals=4)
    second = download(tmp_path / "2.csv", range(4, 14), factors={7: 0.99, 99: 0.5}, decimals=4)
    closes, _, flags = merged(first, second)
    truth = [close / (0.99 if day >= 7 else 1.0) for day, close in enumerate(CLOSES)]
    assert closes == pytest.approx(truth, rel=1e-4)
    assert "a factor of 0.495, shown by 3 shared rows" in flags[0]


def test_three_downloads_are_each_taken_back_to_the_first(tmp_path: Path) -> None:
    first = download(tmp_path / "1.csv", range(7))
    second = download(tmp_path / "2.csv", range(3, 11), factors={99: 0.5})
    third = download(tmp_path / "3.csv", range(6, 14), factors={99: 0.25})
    closes, classes, flags = merged(first, second, third)
    assert closes == pytest.approx(CLOSES, abs=0.02)
    assert closes[:7] == list(CLOSES[:7])
    assert classes.rows() == [("duplicate", 4 + 5)]
    assert [flag.partition(" is")[0] for flag in flags] == ["2.csv", "3.csv"]


def test_nightly_downloads_on_a_new_basis_are_flagged_once_and_do_not_drift(tmp_path: Path) -> None:
    files = [download(tmp_path / "00.csv", range(4))]
    files += [download(tmp_path / f"{k:02d}.csv", range(k, k + 4), factors={3: 0.9957}) for k in range(1, 11)]
    closes, _, flags = merged(*files)
    [flag] = flags
    assert flag.endswith("as were those of 9 later files")
    after = [close / CLOSES[3 + day] for day, close in enumerate(closes[3:])]
    assert after == pytest.approx([after[0]] * len(after), rel=1e-9)


@pytest.mark.parametrize(("since", "day"), [(0.5, 0.5), (0.5, 1.0), (0.9957, 0.9957)])
def test_a_file_of_new_days_alone_is_on_the_basis_of_the_file_before(tmp_path: Path, since: float, day: float) -> None:
    first = download(tmp_path / "1.csv", range(8))
    second = download(tmp_path / "2.csv", range(4, 10), factors={99: since}, shares=1 / since if since < 0.9 else 1)
    third = download(tmp_path / "3.csv", range(10, 14), factors={99: day}, shares=1 / day if day < 0.9 else 1)
    accepted, _ = read_files([first, second, third], spec=panel_spec())
    assert accepted["close"].to_list() == pytest.approx(CLOSES, abs=0.01)
    assert accepted["volume"].unique().to_list() == [1000.0]


def test_a_later_rescaled_file_changes_nothing_of_the_merge_before_it(tmp_path: Path) -> None:
    first = download(tmp_path / "1.csv", range(8))
    corrected = (*CLOSES[:5], 50.84, *CLOSES[6:])
    second = download(tmp_path / "2.csv", range(3, 10), closes=corrected)
    third = download(tmp_path / "3.csv", range(8, 14), factors={99: 0.5})
    before, _, _ = merged(first, second)
    after, _, flags = merged(first, second, third)
    assert before[5] == corrected[5]  # a cent is a revision between files on one basis
    assert after[:10] == before
    assert len(flags) == 1


def test_a_corrected_first_row_does_not_hide_the_split_after_it(tmp_path: Path) -> None:
    first = download(tmp_path / "1.csv", range(10))
    corrected = (*CLOSES[:5], 56.0, *CLOSES[6:])
    closes, classes, _ = merged(first, download(tmp_path / "2.csv", range(5, 14), factors={99: 0.5}, closes=corrected))
    assert closes == pytest.approx(corrected, abs=0.01)
    assert (count(classes, "duplicate"), count(classes, "superseded")) == (4, 1)


@pytest.mark.parametrize(
    ("wrong", "rows"),
    [
        ({5: 57.12}, range(5, 14)),  # the first shared row
        ({9: 57.12}, range(9, 14)),  # the only one
        ({9: 2 * CLOSES[9]}, range(9, 14)),  # a misprint by a plain ratio
        ({7: 25.0}, range(5, 14)),
        ({8: CLOSES[8] + 0.01, 9: CLOSES[9] + 0.01}, range(8, 14)),
    ],
)
def test_a_correction_of_some_rows_stays_a_revision(tmp_path: Path, wrong: dict[int, float], rows: range) -> None:
    delivered = tuple(wrong.get(day, close) for day, close in enumerate(CLOSES))
    closes, classes, flags = merged(
        download(tmp_path / "1.csv", range(10), closes=delivered), download(tmp_path / "2.csv", rows)
    )
    assert closes == list(CLOSES)
    assert flags == []
    assert count(classes, "superseded") == len(wrong)


def test_penny_prices_whose_rounding_hides_the_factor_are_left_alone(tmp_path: Path) -> None:
    pennies = tuple(close / 2500 for close in CLOSES)  # two cents
    _, _, flags = merged(
        download(tmp_path / "1.csv", range(10), closes=pennies),
        download(tmp_path / "2.csv", range(5, 14), closes=pennies, factors={99: 0.5}),
    )
    assert flags == []


def test_a_new_close_beside_unchanged_other_prices_is_no_other_basis(tmp_path: Path) -> None:
    lines = [f"{day},ACME,T,{close},{close},{close},{close},1000" for day, close in zip(DAYS, CLOSES, strict=True)]
    halved = [f"{day},ACME,T,{close},{close},{close},{close / 2},1" for day, close in zip(DAYS, CLOSES, strict=True)]
    closes, classes, flags = merged(
        csv(tmp_path / "1.csv", *lines[:8], header=HEADER), csv(tmp_path / "2.csv", *halved[5:8], header=HEADER)
    )
    assert flags == []
    assert count(classes, "superseded") == 3
    assert closes[5:8] == [close / 2 for close in CLOSES[5:8]]
