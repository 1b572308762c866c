"""The command line as its user meets it: real processes for what starts Dagster, in-process for the rest."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from forecast_assets.cli.app import COMMANDS, cli
from forecast_assets.cli.report_problems import loss_problems
from forecast_assets.cli.run_summary import closing_lines
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.graph import Graph

HEADER = "Date,Ticker,Sector,Opening Price,Closing Price,Volume\n"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def command(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forecast_assets.cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "DAGSTER_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_help_shows_every_command_and_the_whole_first_sentence_of_each() -> None:
    shown = invoke("--help").output.splitlines()
    for name in COMMANDS:
        (line,) = [line for line in shown if line.split()[:1] == [name]]
        assert line.endswith(".")
        assert not line.endswith("...")
        assert invoke(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    "arguments", [("--help",), ("status",), ("forecast",), ("export", "raw_panel", "out.csv"), ("rollback",)]
)
def test_a_command_that_only_reads_the_store_does_not_wait_for_dagster(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code = f"""
import sys
from forecast_assets.cli.app import COMMANDS, cli
try:
    cli({[*arguments]!r})
finally:
    print(sorted({{"dagster", "torch"}} & set(sys.modules)), file=sys.stderr)
"""
    environment = {**os.environ, "FORECAST_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "panel.csv: no such file or folder; name the raw panel with FORECAST_PANEL or --panel"),
        ("", "panel.csv: the file is empty; it needs a header and at least one row"),
        (HEADER, "panel.csv: the file has a header but no rows"),
        (
            HEADER.replace("Closing Price,", "") + "2020-01-02,A,X,1,2\n",
            "panel.csv: missing column close (accepted: Close, Closing Price, Close Price, ClsPric, Closing and "
            f"{len(panel_spec().columns['close']) - 5} more); found Date, Ticker, Sector, Opening Price, Volume; say which "
            "it is, in panel.yaml beside the file: columns: {close: NAME}",
        ),
    ],
    ids=["missing file", "empty file", "no rows", "missing column"],
)
def test_a_bad_panel_gets_one_clear_sentence_and_leaves_nothing(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "panel.csv").write_text(content)
    done = command("run", "--profile", "smoke", "--data-dir", "data", "--panel", "panel.csv", folder=tmp_path)
    assert done.returncode == 1
    assert f"forecast-assets: raw_panel: {sentence}\n" in done.stderr
    assert "Traceback" not in done.stderr
    marks = (".lock", ".changed")
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and not path.name.endswith(marks)]
    # These do not read the panel.
    assert not [path for path in left if not {"macro_series", "covariates"} & set(path.parts)]


def test_a_second_run_on_a_store_says_who_is_at_work_and_waits(tmp_path: Path) -> None:
    waits = f"{tmp_path / 'data' / 'store'}: process {os.getpid()} is at work on it; waiting until it is done or gone"
    arguments = ["run", "--profile", "smoke", "--data-dir", str(tmp_path / "data"), "--select", "macro_series"]
    with Store(tmp_path / "data" / "store").run_lock(on_wait=print) as lock:
        second = subprocess.Popen(
            [sys.executable, "-m", "forecast_assets.cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "DAGSTER_HOME": str(tmp_path / "home")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        first_line = second.stderr.readline().strip()
        assert not Store(tmp_path / "data" / "store").has("macro_series")
        lock.release()
        rest = second.stderr.read()
        second.stderr.close()
    assert first_line == waits
    assert second.wait() == 0, rest
    assert Store(tmp_path / "data" / "store").has("macro_series")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--profile", "huge"], "FORECAST_PROFILE: there is no profile 'huge'; choose one of demo, full, smoke"),
        (["--set", "backtest.cost_bp=1"], "there is no setting 'backtest.cost_bp'; the nearest is backtest.cost_bps"),
        (["--set", "tft.visits_per_epoch=9"], "'tft.visits_per_epoch' was renamed; write tft.samples_per_epoch"),
        (["--set", "nightly.shadow_sessions=9"], "was renamed; write nightly.comparison_sessions"),
        (["--set", "b7_maml.young_share=1"], "was renamed; write b7_maml.new_listing_share"),
        (["--set", "backtest.cost_bps={Europe: 8}"], "settings: backtest.cost_bps: needs a 'default'"),
        (["--as-of", "yesterday"], "FORECAST_AS_OF: 'yesterday' is no date and no time; write it like 2025-07-24 or"),
    ],
)
def test_a_bad_option_is_reported_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for name in ("FORECAST_PROFILE", "FORECAST_AS_OF"):  # the command sets them for its own process
        monkeypatch.setenv(name, "")
    done = invoke("run", "--data-dir", tmp_path, *arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_an_unknown_year_is_answered_with_those_the_panel_has(smoke_graph: Graph) -> None:
    from forecast_assets.core.errors import BadSetting

    with pytest.raises(BadSetting, match="no test year 1999; it has 2018, 2019"):
        smoke_graph.run("b0_mlp", years=["1999"])


def test_an_unknown_asset_is_answered_with_those_there_are(smoke_graph: Graph) -> None:
    from forecast_assets.core.errors import BadSetting

    with pytest.raises(
        BadSetting, match="there is no asset 'b9'; choose from ablation_report, announcements, b0_mlp, "
    ):
        smoke_graph.run("b9")


def test_export_writes_all_partitions_of_a_table(smoke_graph: Graph, tmp_path: Path) -> None:
    out = tmp_path / "ensemble.csv"
    done = invoke("export", "ensemble", out, "--data-dir", smoke_graph.root)
    assert done.exit_code == 0, done.output
    expected = pl.concat([smoke_graph.table("ensemble", year) for year in ("2018", "2019")])
    assert pl.read_csv(out, try_parse_dates=True).height == expected.height
    assert done.output == f"{out}: {expected.height} rows\n"


def test_export_of_what_is_not_there_says_what_is(smoke_graph: Graph, tmp_path: Path) -> None:
    done = invoke("export", "b9", tmp_path / "b9.csv", "--data-dir", smoke_graph.root)
    assert done.exit_code == 1
    assert "b9: not materialised; there are ablation_report, announcements, b0_mlp, " in done.output
    assert not (tmp_path / "b9.csv").exists()


def test_status_lists_every_artefact(smoke_graph: Graph) -> None:
    done = invoke("status", "--data-dir", smoke_graph.root)
    assert done.exit_code == 0, done.output
    assert all(asset in done.output for asset in smoke_graph.store.assets())


def test_status_begins_with_what_an_operator_asks_for(smoke_graph: Graph) -> None:
    content = json.loads(invoke("status", "--json", "--data-dir", smoke_graph.root).output)
    said = content["overview"]
    assert said["panel"] == "8 tickers, 2016-01-04 to 2019-12-31; 7,298 rows read, 8 rejected"
    assert said["walk-forward"] == "test years 2018, 2019"
    assert said["last night"].startswith("2019-12-31, 7 tickers, ")
    champion = smoke_graph.version("serving_model").manifest.facts
    assert said["champion"] == f"{champion['model_version']}: {champion['members']}; outcomes until 2018-12-31"
    assert Path(said["report"]).exists()
    assert {(row["asset"], row["partition"]) for row in content["artefacts"]} == set(smoke_graph.ids())
    lines = invoke("status", "--data-dir", smoke_graph.root).output.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["panel", "walk-forward", "last night"]


def test_the_version_is_printed() -> None:
    assert invoke("--version").output == f"forecast-assets {metadata.version('forecast-assets')}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sttus",), "No such command 'sttus'. Did you mean status"),
        (("run", "--years", "abc"), "--years: 'abc' is no year; write them like 2024,2025"),
        (("run", "--years", "2019,20180"), "--years: '20180' is no year"),
        (("run", "--select", "ensembl"), "--select: there is no asset 'ensembl'; did you mean ensemble"),
    ],
)
def test_a_slip_is_told_before_anything_runs(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = invoke(*arguments, *(("--profile", "smoke", "--data-dir", tmp_path) if arguments[0] == "run" else ()))
    assert done.exit_code != 0
    assert sentence in done.output
    assert not (tmp_path / "store" / "raw_panel").exists()


def test_status_of_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    assert (
        "nothing is materialised yet; make it with: forecast-assets run"
        in invoke("status", "--data-dir", tmp_path).output
    )


def test_verify_names_an_altered_file(smoke_graph: Graph, tmp_path: Path) -> None:
    shutil.copytree(smoke_graph.root / "store" / "ensemble", tmp_path / "store" / "ensemble")
    victim = next(path for path in (tmp_path / "store").rglob("table.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    done = invoke("verify", "--data-dir", tmp_path, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["artefacts"], found["reports"], len(found["damaged"])) == (2, None, 1)
    assert "table.parquet" in found["damaged"][0]


def test_verify_derives_the_report_again_and_names_a_number_that_somebody_changed(
    smoke_graph: Graph, tmp_path: Path
) -> None:
    shutil.copytree(smoke_graph.root / "store", tmp_path / "store")
    shutil.copytree(smoke_graph.root / "reports", tmp_path / "reports")
    shutil.copytree(smoke_graph.root / "ledger", tmp_path / "ledger")
    done = invoke("verify", "--data-dir", tmp_path)
    assert done.exit_code == 0, done.output
    assert "artefacts, all as published" in done.output
    assert "every number derived again" in done.output

    metrics = tmp_path / "reports" / "latest" / "metrics.json"
    summary = json.loads(metrics.read_text())
    true = summary["strategies"][0]["annual_return"]
    summary["strategies"][0]["annual_return"] = true + 0.001
    metrics.write_text(json.dumps(summary))
    done = invoke("verify", "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert f"metrics.json: strategies[0].annual_return is {true + 0.001!r}, derived {true!r}" in done.output


def test_verify_scores_the_forecasts_again_and_names_losses_that_are_not_theirs(
    smoke_graph: Graph, tmp_path: Path
) -> None:
    assert loss_problems(smoke_graph.store, smoke_graph.version("backtest", "2019")) == []
    shutil.copytree(smoke_graph.root / "store", tmp_path / "store")
    store = Store(tmp_path / "store")
    published = store.current("backtest", "2019")
    losses = published.path("losses.parquet")
    pl.read_parquet(losses).with_columns(pl.col("pinball") * 0.99).write_parquet(losses)
    entry = published.manifest.files["losses.parquet"].model_copy(update={"bytes": losses.stat().st_size})
    files = {**published.manifest.files, "losses.parquet": entry}
    forged = replace(published, manifest=published.manifest.model_copy(update={"files": files}))
    assert loss_problems(store, forged) == [
        "backtest/2019: losses.parquet does not hold the losses of the forecasts it was made from"
    ]


def test_verify_notices_a_report_that_is_not_the_one_in_the_store(smoke_graph: Graph, tmp_path: Path) -> None:
    shutil.copytree(smoke_graph.root / "store", tmp_path / "store")
    shutil.copytree(smoke_graph.root / "reports", tmp_path / "reports")
    shutil.copytree(smoke_graph.root / "ledger", tmp_path / "ledger")
    html = tmp_path / "reports" / "latest" / "backtest.html"
    html.write_text(html.read_text().replace("no evidence", "beats"))
    (tmp_path / "reports" / "latest" / "metrics.json").unlink()
    done = invoke("verify", "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert "metrics.json: is gone" in done.output


def test_what_the_reading_commands_show_can_be_read_by_programs(smoke_graph: Graph) -> None:
    def read(*arguments: object) -> dict[str, Any]:
        done = invoke(*arguments, "--data-dir", smoke_graph.root, "--json")
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert read("knobs", "--profile", "smoke")["windows.lookback"]["value"] == 20
    assert read("inspect", smoke_graph.root / "raw", "--profile", "smoke")["too_short"] == []
    row = smoke_graph.table("b1_tft", "2019").filter(split="test").row(0, named=True)
    why = read("explain", row["ticker"], row["date"], "--model", "b1_tft")
    assert sum(why["variables"].values()) == pytest.approx(1.0)
    assert why["date"] == str(row["date"])
    issued = read("record")
    assert (issued["nights"], issued["sealed_nights"], issued["matured"]) == (1, 1, 0)
    assert issued["newest_seal"]["day"] == "2019-12-31"
    assert issued["scores"][0]["coverage"]["95"] == {**dict.fromkeys(["mean", "low", "high"]), **EVEN}


EVEN = {"e_value": 1.0, "largest_e_value": 1.0}  # no evidence either way


def test_every_setting_has_a_meaning() -> None:
    lines = invoke("knobs", "--profile", "full").output.splitlines()
    assert [line for line in lines if "   # " not in line] == []


def test_knobs_shows_value_and_meaning() -> None:
    lines = invoke("knobs", "--profile", "full").output.splitlines()
    shown = "backtest.cost_bps = 5.0   # cost of a trade, basis points of its value, each side"
    assert [line for line in lines if line.startswith(shown)]


def test_the_demo_panel_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        assert invoke("demo-panel", tmp_path / name, "--profile", "smoke").exit_code == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_run_closes_with_what_came_out_and_what_comes_next(
    smoke_graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORECAST_DATA_DIR", raising=False)
    monkeypatch.setenv("FORECAST_PROFILE", "smoke")
    lines = list(closing_lines(str(smoke_graph.root), seconds=75.4))
    report = json.loads((smoke_graph.root / "reports" / "latest" / "metrics.json").read_text())
    assert lines[1] == report["headline"]
    heads = [line.partition(":")[0] for line in lines[2:]]
    assert heads == ["planted", "calibration", "best model", "report", "took", "next"]
    assert lines[-2].split() == ["took:", "1", "min", "15", "s"]
    assert lines[-1].endswith("forecast-assets serve --profile smoke")
    assert list(closing_lines(str(smoke_graph.root / "store"), seconds=1.0)) == []
