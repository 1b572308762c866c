"""``inspect`` prints what a run would read, and publishes nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets_tests.helpers.builders import csv

HEADER = "Date,Ticker,Open,Close,Volume"


@pytest.fixture
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORECAST_DATA_DIR", str(tmp_path / "data"))
    rows = [f"2024-04-{day:02d},AAPL,170,171,1000" for day in (8, 9, 10)]
    return csv(tmp_path / "p.csv", *rows, "2024-04-11,=cmd(),1,2,3", header=HEADER)


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, arguments)])


def test_what_would_be_read_is_printed_and_nothing_published(panel: Path, tmp_path: Path) -> None:
    out = tmp_path / "rejected.csv"
    result = inspect(panel, "--rejected", out)
    assert result.exit_code == 0, result.output
    assert "rows: 4 read, 3 accepted, 1 rejected" in result.output
    assert "XNYS: 1 ticker, 2024-04-08 to 2024-04-10, 3 rows" in result.output
    assert out.read_text().startswith("file,line,reason,class,row\np.csv,5,")
    assert not (tmp_path / "data").exists()


def test_a_table_that_cannot_be_written_is_one_sentence_before_reading(panel: Path, tmp_path: Path) -> None:
    for out, problem in ((tmp_path / "no" / "x.csv", "its folder does not exist"), (tmp_path, "this is a folder")):
        result = inspect(panel, "--flags", out)
        assert result.exit_code == 1
        assert result.output.startswith(f"forecast-assets: {out}: {problem}; ")
        assert result.output.count("\n") == 1
