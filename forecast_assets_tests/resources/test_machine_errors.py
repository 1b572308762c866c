"""Errors of a full disk, of memory and of permissions as one sentence, as the libraries raise them."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner, Result
from dagster._utils.error import SerializableErrorInfo

from forecast_assets.automation.pipeline import _failed
from forecast_assets.cli.app import cli
from forecast_assets.core.errors import OutOfMemory, Unwritable
from forecast_assets.resources.engine import ProcessEnded
from forecast_assets.resources.machine_errors import machine_error, machine_errors_as_user_errors
from forecast_assets.store.store import Store
from forecast_assets_tests.helpers.published import publish
from forecast_assets_tests.helpers.service import publish as publish_files

FULL = "/dev/full"
HUGE = 2**56
TABLE = pl.DataFrame({"a": range(200_000)})
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def in_sqlite() -> None:
    with sqlite3.connect("/proc/no/such/place.db") as database:
        database.execute("CREATE TABLE a (b)")


DISK: dict[str, Callable[[], object]] = {
    "polars": lambda: TABLE.write_parquet(FULL),
    "polars csv": lambda: TABLE.write_csv(FULL),
    "arrow": lambda: pa.OSFile(FULL, "wb").write(b"x" * 10_000_000),
    "numpy": lambda: np.zeros(10_000_000).tofile(FULL),
    "torch": lambda: torch.save(torch.zeros(10_000_000), FULL),
    "python": lambda: Path(FULL).write_text("x" * 10_000_000),
    "sqlite": in_sqlite,
}
MEMORY: dict[str, Callable[[], object]] = {
    "numpy": lambda: np.empty(HUGE, np.int8),
    "torch": lambda: torch.empty(HUGE, dtype=torch.int8),
    "arrow": lambda: pa.allocate_buffer(HUGE),
    "python": lambda: bytearray(HUGE),
}


def raised_by(fails: Callable[[], object]) -> BaseException:
    try:
        fails()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("fails", DISK.values(), ids=DISK)
def test_a_full_disk_is_known_by_what_each_library_raises(fails: Callable[[], object]) -> None:
    assert isinstance(machine_error(raised_by(fails)), Unwritable)


@pytest.mark.parametrize("fails", MEMORY.values(), ids=MEMORY)
def test_memory_that_ran_out_is_known_by_what_each_library_raises(fails: Callable[[], object]) -> None:
    found = machine_error(raised_by(fails))
    assert isinstance(found, OutOfMemory)
    assert "FORECAST_WORKERS=1" in str(found)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_a_stage_names_itself_and_what_the_disk_says(number: int) -> None:
    with pytest.raises(Unwritable) as caught, machine_errors_as_user_errors("b1_tft"):
        raise OSError(number, "whatever the library says", "/data/x")
    assert str(caught.value) == (
        f"b1_tft: nothing was published, the disk says: {os.strerror(number)} (/data/x); "
        "free space or make the data folder writable, then run it again"
    )


@pytest.mark.parametrize("code", [-9, 137])
def test_a_worker_that_the_system_killed_is_memory(code: int) -> None:
    assert isinstance(machine_error(ProcessEnded(0, code)), OutOfMemory)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "x"), ValueError("quantiles cross"), ProcessEnded(0, 1)]
)
def test_a_bug_and_a_lost_connection_are_no_errors_of_the_machine(error: Exception) -> None:
    assert machine_error(error) is None
    with pytest.raises(type(error)), machine_errors_as_user_errors("b1_tft"):
        raise error


def test_a_failed_asset_whose_cause_is_a_full_disk_has_no_trace_for_its_user() -> None:
    inner = SerializableErrorInfo("OSError: [Errno 28] No space left on device\n", ["line\n"] * 60, "OSError")
    outer = SerializableErrorInfo("DagsterExecutionHandleOutputError: ...\n", [], "DagsterExecutionHandle", inner)
    failed = _failed(outer, "2019", "b1_tft", None)
    assert failed.user_mistake
    assert failed.message.startswith("the disk says: No space left on device; free space")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def is_one_sentence(done: Result) -> bool:
    return done.exit_code == 1 and done.output.count("\n") == 1 and done.output.startswith("forecast-assets: ")


@pytest.mark.parametrize("command", ["status", "verify", "forecast", "prune"])
def test_a_data_root_that_is_a_file_is_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "data").write_text("")
    done = run(command, "--data-dir", tmp_path / "data")
    assert is_one_sentence(done), done.output
    assert "Not a directory" in done.output
    assert "name another path" in done.output


def test_a_command_that_fills_the_disk_is_one_sentence(tmp_path: Path) -> None:
    publish_files(Store(tmp_path / "store"), "raw_panel", None, {"table.parquet": TABLE})
    done = run("export", "raw_panel", FULL, "--data-dir", tmp_path)
    assert is_one_sentence(done), done.output
    assert "No space left on device" in done.output


def test_an_output_that_is_a_pipe_is_refused_and_waits_for_no_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.csv")
    done = run("demo-panel", tmp_path / "out.csv", "--profile", "smoke")
    assert is_one_sentence(done), done.output
    assert "this is a pipe; name a file" in done.output


@as_root
def test_a_file_that_another_user_may_not_read_is_one_line_of_verify() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        version = publish(Store(Path(folder) / "store"), {"f": "1", "g": "2"}, asset="raw_panel")
        version.path("f").chmod(0o600)
        os.seteuid(NOBODY)
        try:
            done = run("verify", "--data-dir", folder)
        finally:
            os.seteuid(0)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"raw_panel: f of version {version.id} can't be read by this user.",
        "forecast-assets: 1 problems; run the graph again to repair them",
    ]
