"""``audit`` says leak, clean or unusable by its exit code, whatever the user's code does."""

import io
import json
import re
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import cli
from forecast_assets.cli.audit_worker import loader, run
from forecast_assets.core.audit.frames import Handing
from forecast_assets.core.audit.rows import synthetic_rows
from forecast_assets.core.errors import BadInput
from forecast_assets_tests.helpers.paths import PROJECT

QUICK = ("--set", "audit.cuts=4")
CODE = """
import os, time
import polars as pl

CALLS = []
CONSTANT = 5

def clean(frame: pl.DataFrame) -> pl.DataFrame:
    print("a line that is no answer")
    return frame.select("Date", "Ticker", x="Volume")

def leaky(frame: pl.DataFrame) -> pl.DataFrame:
    with open("calls.txt", "a") as calls:
        calls.write(".")
    if os.path.getsize("calls.txt") > 6:
        time.sleep(600)
    return frame.sort("Ticker", "Date").select("Date", "Ticker", x=pl.col("Volume").shift(-1).over("Ticker"))

def once(frame: pl.DataFrame) -> pl.DataFrame:
    CALLS.append(frame["Volume"].mean())  # remembered, were the file not loaded again for each run
    return frame.select("Date", "Ticker", x=pl.col("Volume") / CALLS[0])

def crashes(frame: pl.DataFrame) -> pl.DataFrame:
    os._exit(3)

class NoModel:
    pass

def hangs(frame: pl.DataFrame) -> pl.DataFrame:
    time.sleep(600)
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panel") / "prices.csv"
    Handing("raw", "polars").frame(synthetic_rows().with_columns(pl.col("volume").fill_null(0.0))).write_csv(path)
    return path


def audit(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["audit", *map(str, arguments)])


def test_a_clean_function_exits_with_0_whatever_it_prints(code: Path) -> None:
    result = audit("mine.py:clean", *QUICK)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("mine.py:clean: clean - nothing in 1 column of ")


def test_a_leak_exits_with_1_and_json_holds_all_of_it(code: Path) -> None:
    result = audit("mine.py:once", *QUICK, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["clean"] is False
    assert found["sentence"].startswith("mine.py:once: LEAK - SYN00 on 2018-01-02, x: ")
    assert {leak["test"] for leak in found["leaks"]} == {"truncation", "poison"}
    assert found["leaks"][0]["date"] == "2018-01-02"


def test_a_panel_of_ones_own_is_read_as_a_run_reads_it(code: Path, prices: Path) -> None:
    result = audit("mine.py:clean", "--panel", prices, *QUICK)
    assert result.exit_code == 0, result.output
    assert audit("mine.py:clean", "--panel", "no.csv", *QUICK).exit_code == 2


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("mine.py:crashes", "mine.py:crashes: its process ended with code 3 and without a result"),
        ("mine.py:cleam", "mine.py:cleam: there is no cleam in mine.py; the nearest is clean"),
    ],
)
def test_what_cannot_be_audited_exits_with_2_and_a_sentence(code: Path, target: str, problem: str) -> None:
    result = audit(target, *QUICK)
    assert result.exit_code == 2
    assert f"forecast-assets: {problem}" in result.stderr


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("mine.py:CONSTANT", "CONSTANT is no function: int; name one, or a class with fit and predict"),
        ("mine.py:NoModel", "the class NoModel has no fit and predict"),
        ("mine.py", "name a function too, such as mine.py:make"),
        ("other.py:make", "there is no file other.py"),
        ("no_python.py:make", "can't be imported: SyntaxError: invalid syntax"),
        ("fails.py:make", "can't be imported: ZeroDivisionError: division by zero"),
        ("no.such:make", "can't be imported: ModuleNotFoundError: No module named 'no'"),
    ],
)
def test_a_target_that_cannot_be_loaded_is_one_sentence(
    code: Path, monkeypatch: pytest.MonkeyPatch, target: str, problem: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    Path("no_python.py").write_text("def make(:\n")
    Path("fails.py").write_text("x = 1 / 0\n")
    with pytest.raises(BadInput) as raised:
        loader(target)()
    assert str(raised.value).startswith(f"{target}: {problem}")


def test_a_function_that_never_ends_is_stopped(code: Path) -> None:
    result = audit("mine.py:hangs", "--set", "audit.limit_seconds=4")
    assert result.exit_code == 2
    assert "mine.py:hangs: not finished within 4 s, not one run done and no leak found in them" in result.stderr


def test_a_leak_that_was_found_before_time_ran_out_is_told(code: Path) -> None:
    result = audit("mine.py:leaky", "--set", "audit.limit_seconds=15")
    assert result.exit_code == 1, result.stderr
    assert "mine.py:leaky: LEAK - " in result.stdout
    assert "note: stopped after 15 s, 3 of 64 runs done" in result.stdout


def test_a_model_in_one_file_is_audited_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "docs" / "own_model.md").read_text(encoding="utf-8")
    (clean,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    leaky = clean.replace("origins.summary @", "(origins.summary - origins.summary[-1]) @")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = []
    for name, code in (("own_clean", clean), ("own_leaky", leaky)):
        Path(f"{name}.py").write_text(code)
        job = {"target": f"{name}.py:MODEL", "panel": None, "overrides": ["windows.lookback=20"]}
        given: dict[str, object] = {"decide": "close", "columns": None, "frame_kind": None, "ignore": []}
        found.append(run(job | given, io.StringIO()))
        del sys.modules[name]
    assert [each["clean"] for each in found] == [True, False]
    assert found[0]["sentence"].startswith("own_clean.py:MODEL: clean - no forecast changes with what comes later")
    assert found[1]["sentence"].startswith("own_leaky.py:MODEL: LEAK - predict() looks ahead: quantile ")


def test_one_thing_is_audited_at_a_time(code: Path) -> None:
    for arguments in ((), ("mine.py:clean", "--forecasts", "f.csv")):
        result = audit(*arguments)
        assert result.exit_code == 2
        assert "audit: name a function (my_features.py:make), or --forecasts FILE with --panel PANEL" in result.stderr


def test_a_file_of_forecasts_is_judged_against_its_panel(code: Path, prices: Path) -> None:
    rows = synthetic_rows().sort("ticker", "date")
    form = {"horizon": pl.lit(1), "returns": pl.lit("simple")}
    ahead = rows.select(
        "date", "ticker", **form, forecast=(pl.col("close").shift(-1) / pl.col("close") - 1).over("ticker")
    )
    ahead.drop_nulls().write_csv("ahead.csv")
    ahead.with_columns(forecast=pl.col("forecast").shift(2).over("ticker")).drop_nulls().write_parquet("behind.parquet")
    seen, unseen = (audit("--forecasts", name, "--panel", prices) for name in ("ahead.csv", "behind.parquet"))
    assert (seen.exit_code, unseen.exit_code) == (1, 0), seen.output + unseen.output
    assert "ahead.csv: LOOK-AHEAD LIKELY - at 1 session the mean rank IC is +1.000" in seen.stdout
    assert "behind.parquet: nothing found in " in unseen.stdout
    assert "this is no proof" in unseen.stdout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file"),
        ("", "not readable as a CSV with commas"),
        ("date,ticker\n2018-01-02,SYN00\n", "missing columns ['horizon', 'returns']"),
    ],
)
def test_a_file_of_forecasts_that_cannot_be_read_exits_with_2(
    code: Path, prices: Path, content: str | None, problem: str
) -> None:
    if content is not None:
        Path("f.csv").write_text(content)
    result = audit("--forecasts", "f.csv", "--panel", prices)
    assert result.exit_code == 2
    assert f"forecast-assets: f.csv: {problem}" in result.stderr
    assert "name the panel they are of with --panel" in audit("--forecasts", "f.csv").stderr


def test_the_example_of_the_page_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|text)\n(.*?)```", page, re.DOTALL)
    (_, source), (_, leak), (_, clean) = blocks
    monkeypatch.chdir(tmp_path)
    Path("my_features.py").write_text(source)
    assert audit("my_features.py:make").stdout == leak
    mended = source.replace(".sum()", ".cum_sum()")
    Path("my_features.py").write_text(mended)
    assert audit("my_features.py:make").stdout == clean
