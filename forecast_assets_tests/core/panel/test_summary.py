"""What was read, in short: every row in a count, reasons without what differs from row to row, two examples."""

from pathlib import Path

from forecast_assets.core.panel.summary import MOST, summary_lines, too_short, without_forecast
from forecast_assets_tests.helpers.builders import csv, panel_spec
from forecast_assets_tests.helpers.reading import read_files, read_folder

HEADER = "Date,Ticker,Sector,Open,High,Low,Close,Volume"


def test_the_summary_counts_every_row_and_shows_two_examples_a_reason(tmp_path: Path) -> None:
    rows = [f"2024-04-{day:02},BMW.DE,Auto,10,11,9,10.5,1000" for day in (8, 9, 10, 15)]
    bad = [f"2024-04-{day:02},SAP.DE,Tech,-{day},11,9,10.5,1000" for day in (8, 9, 10)]
    csv(tmp_path / "a.csv", *rows, *bad, "2024-04-11,SAP.DE,Tech,10,11,9,x,1000", header=HEADER)
    (tmp_path / "README.md").write_text("notes")
    _, reading = read_folder(tmp_path)
    summary = reading.summary([("README.md", "notes")])
    lines = summary_lines(summary)
    assert summary["rows"] == {"read": 8, "accepted": 4, "later": 0, "rejected": 4}
    assert lines[:3] == [
        "read: 1 file, long table, 8 rows: a.csv",
        "left out: README.md (notes)",
        "rows: 8 read, 4 accepted, 4 rejected",
    ]
    assert lines[3:6] == [
        "rejected: 3 invalid: open is … not above zero",
        "  a.csv line 6: 2024-04-08,SAP.DE,Tech,-8,11,9,10.5,1000  (open is -8.0, not above zero)",
        "  a.csv line 7: 2024-04-09,SAP.DE,Tech,-9,11,9,10.5,1000  (open is -9.0, not above zero)",
    ]
    assert "XETR: 1 ticker, 2024-04-08 to 2024-04-15, 4 rows" in lines
    assert "filled: 33.33% of the sessions between first and last quotes" in lines
    assert summary["share_filled"] == 2 / 6


def test_a_long_list_of_reasons_is_cut_and_its_rest_counted(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "2024-04-08,BMW.DE,Auto,10,11,9,10.5,1000", header=HEADER)
    _, reading = read_files([path], spec=panel_spec())
    kinds = [{"class": "invalid", "reason": f"reason {k}", "rows": 10 + k, "examples": []} for k in range(MOST + 3)]
    lines = summary_lines({**reading.summary(), "rejected": kinds})
    assert sum(line.startswith("rejected") for line in lines) == MOST + 1
    assert "rejected: 57 more, for 3 other reasons" in lines


def test_tickers_that_are_too_short_or_have_no_forecast_are_named(tmp_path: Path) -> None:
    rows = [f"2024-04-{day:02},{ticker},T,10,11,9,10.5,1000" for day in (8, 9, 10) for ticker in ("AA", "BB")]
    path = csv(tmp_path / "a.csv", *rows, "2024-04-10,CC,T,10,11,9,10.5,1000", header=HEADER)
    _, reading = read_files([path], spec=panel_spec())
    assert too_short(reading.tickers, fewest_rows=3) == [
        "not forecast: 1 of 3 tickers, with fewer than 3 rows: CC (1 rows)"
    ]
    assert too_short(reading.tickers, fewest_rows=1) == []
    ((what, text),) = without_forecast(reading.tickers, forecast=reading.tickers["ticker"][:2])
    assert (what, text.endswith("CC (1 rows, to 2024-04-10)")) == ("not forecast", True)
