"""Hostile input - tickers, sectors, partitions, names of assets and files - stays text and stays in its folder."""

import ast
import subprocess
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forecast_assets.cli.app import cli
from forecast_assets.core.panel.rows import TICKER
from forecast_assets.core.spreadsheet import guarded
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.service import publish

PACKAGE = Path(__file__).parent.parent / "forecast_assets"
NAMES = [
    "../../x",
    "..",
    "/etc/passwd",
    "a\x00b",
    "a\nb",
    "a\\..\\b",
    "\u2024\u2024/x",  # one-dot leaders
    "\uff0e\uff0e\uff0fx",  # full-width dots and slash
    "CON.",
    "x" * 300,
    "%2e%2e%2fx",
    "<script>alert(1)</script>",
]
HOSTILE = ["=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "-1+1", '"><img src=x onerror=alert(1)>', "Energy"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def sectors(root: Path) -> Store:
    store = Store(root / "data" / "store")
    publish(store, "raw_panel", None, {"table.parquet": pl.DataFrame({"sector": HOSTILE})})
    return store


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["asset", "partition", "profile"])
def test_a_hostile_name_on_the_command_line_is_one_sentence_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("FORECAST_DATA_DIR", "FORECAST_PROFILE", "DAGSTER_HOME"):  # the command sets them in this process
        monkeypatch.setenv(variable, str(tmp_path / "home") if variable == "DAGSTER_HOME" else "")
    sectors(tmp_path)
    before = files(tmp_path)
    asked: dict[str, list[object]] = {
        "asset": ["export", name, "out.csv", "--data-dir", "data"],
        "partition": ["export", "raw_panel", "out.csv", "--data-dir", "data", "--years", name],
        "profile": ["knobs", "--profile", name.replace("\x00", "0")],  # no environment variable can hold a NUL
    }
    done = invoke(*asked[place])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert done.output.startswith("forecast-assets: ")
    assert done.output.count("\n") == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_partition_with_a_hostile_name_has_no_folder(tmp_path: Path, name: str) -> None:
    from forecast_assets.core.errors import BadInput

    store = sectors(tmp_path)
    before = files(tmp_path)
    for use in (store.current, store.has, store.versions):
        with pytest.raises(BadInput, match="can't be a name in the store"):
            use("b1_tft", "." + name if name == "CON." else name)
    with pytest.raises(BadInput, match="can't be a name in the store"):
        store.stage("." + name if name == "CON." else name, None, input_key="0" * 64)
    assert files(tmp_path) == before


def test_an_export_is_safe_to_open_in_a_spreadsheet_and_raw_when_asked(tmp_path: Path) -> None:
    sectors(tmp_path)
    out = tmp_path / "out.csv"
    assert invoke("export", "raw_panel", out, "--data-dir", tmp_path / "data").exit_code == 0
    cells = pl.read_csv(out)["sector"].to_list()
    assert cells == ["'" + text for text in HOSTILE[:4]] + HOSTILE[4:]
    assert invoke("export", "raw_panel", out, "--data-dir", tmp_path / "data", "--raw").exit_code == 0
    assert pl.read_csv(out)["sector"].to_list() == HOSTILE


def test_a_preview_in_the_ui_shows_markup_as_text(tmp_path: Path) -> None:
    from forecast_assets.assets.framework.metadata import version_metadata

    odd = pl.DataFrame(
        {"sector": ["<script>x</script>", "![a](http://x.test/y.png)", "a|b", "`c`"], "close": [1.0] * 4}
    )
    version = publish(Store(tmp_path), "raw_panel", None, {"table.parquet": odd})
    preview = version_metadata("raw_panel", version, data_root="data")["preview"].value
    assert not set(preview) & set("<>[`")
    assert len({line.count("|") for line in preview.splitlines()}) == 1


def test_an_export_into_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    sectors(tmp_path)
    done = invoke("export", "raw_panel", tmp_path / "no" / "out.csv", "--data-dir", tmp_path / "data")
    assert (done.exit_code, "its folder does not exist" in done.output) == (1, True)


@given(st.text(max_size=8) | st.from_regex(r"\A[=+\-@<>\"'./A-Z]{1,6}\Z"))
@example("=A")
@example("../../x")
@settings(derandomize=True, deadline=None, database=None, max_examples=200)
def test_an_accepted_ticker_is_no_formula_and_no_markup(text: str) -> None:
    frame = pl.DataFrame({"ticker": [text]})
    if frame.select(pl.col("ticker").str.contains(TICKER)).item():
        assert guarded(frame).item() == text
        assert not set(text) & set("<>\"'\\\x00\n\r")


def loads_objects(tree: ast.AST) -> list[str]:
    """Imports and calls in a module that can run code from a file."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.partition(".")[0] in OBJECT_LOADERS]
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in OBJECT_LOADERS:
                found.append(module)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")):
                found.append("torch.load")
            case ast.Call(keywords=keywords):
                found += ["allow_pickle" for keyword in keywords if keyword.arg == "allow_pickle"]
            case ast.Attribute(attr="read_pickle" | "to_pickle" as name):
                found.append(name)
            case _:
                pass
    return found


OBJECT_LOADERS = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def test_no_module_of_the_package_reads_or_writes_pickles() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 100
    assert {path.name: found for path in modules if (found := loads_objects(ast.parse(path.read_text())))} == {}


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from joblib import load", "torch.load(f)", "np.load(f, allow_pickle=True)", "pd.read_pickle(f)"],
)
def test_the_search_for_pickles_finds_one(code: str) -> None:
    assert loads_objects(ast.parse(code))


def test_webserver_and_service_are_on_loopback_by_default() -> None:
    from dagster_webserver.cli import dagster_webserver

    from forecast_assets.cli.serve import command as serve

    for command in (dagster_webserver, serve):
        (host,) = (parameter for parameter in command.params if parameter.name == "host")
        assert host.default == "127.0.0.1"
    makefile = (PACKAGE.parent / "Makefile").read_text()
    assert "forecast-assets ui -w workspace.yaml -h 127.0.0.1\n" in makefile


@pytest.mark.parametrize(
    ("output", "status", "expected"),
    [
        ("No known vulnerabilities found", 0, (0, "no known vulnerability")),
        ("Found 1 known vulnerability in 1 package\nflask 0.5 PYSEC-2019-179 1.0", 1, (1, "flask 0.5")),
        (
            "No known vulnerabilities found\nx Dependency not found on PyPI and could not be audited: x (1)",
            0,
            (2, "1 pack"),
        ),
        ("Traceback\nrequests.exceptions.ConnectionError: no route", 1, (2, "could not be asked")),
    ],
)
def test_an_audit_passes_only_where_every_package_was_looked_up(
    tmp_path: Path, output: str, status: int, expected: tuple[int, str]
) -> None:
    stand_in = tmp_path / "pip-audit"
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
    stand_in.chmod(0o755)
    audit = PACKAGE.parent / ".ci" / "audit"
    done = subprocess.run([audit, stand_in, "requirements.lock"], capture_output=True, text=True, check=False)
    assert done.returncode == expected[0]
    assert expected[1] in done.stdout + done.stderr
