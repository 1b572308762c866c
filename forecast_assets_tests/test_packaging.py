"""The built package works without the repository: command line, Dagster's definitions, service.

The environment has the wheel alone, and finds the locked packages where this one has them.
"""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_assets_tests.helpers.graph import Graph

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "forecast_assets")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
WAIT_SECONDS = 90
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def done(*command: object, folder: Path) -> str:
    """Run a command, which has to succeed, in a folder of its own; return what it printed."""
    ran = subprocess.run(
        [str(part) for part in command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel."""
    folder = tmp_path_factory.mktemp("packaging")
    source, env = folder / "source", folder / "env"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        shutil.copytree(path, source / name) if path.is_dir() else shutil.copy(path, source)
    done(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, folder=folder)
    shutil.rmtree(source)
    done(sys.executable, "-m", "venv", "--without-pip", env, folder=folder)
    python = env / "bin" / "python"
    [packages] = env.glob("lib/python*/site-packages")
    (packages / "locked.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    done(*PIP, "--python", python, "install", "--no-deps", *folder.glob("*.whl"), folder=folder)
    return python


def test_the_command_runs_and_the_definitions_load(python: Path, tmp_path: Path) -> None:
    assert done(python, "-c", "import forecast_assets as f; print(f.__file__)", folder=tmp_path).startswith(
        str(python.parents[1])
    )
    program = python.with_name("forecast-assets")
    done(program, "run", "--profile", "smoke", "--data-dir", "data", "--select", "raw_panel", folder=tmp_path)
    assert "tickers" in done(program, "status", "--profile", "smoke", "--data-dir", "data", folder=tmp_path)
    assert (tmp_path / "dagster_home" / "dagster.yaml").is_file()
    done(python, "-m", "dagster", "definitions", "validate", "-m", "forecast_assets.definitions", folder=tmp_path)


@pytest.fixture
def service(python: Path, smoke_graph: Graph, tmp_path: Path) -> Iterator[str]:
    """The URL of a service that the installed command has started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(python.with_name("forecast-assets"))
    command = [program, "serve", "--port", str(port), "--data-dir", str(smoke_graph.root)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_the_service_answers(service: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{service}/health/ready", timeout=5) as answer:
                assert answer.status == 200
                break
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "the service did not begin"
            time.sleep(0.2)
    for page in ("/", "/docs"):
        with urllib.request.urlopen(f"{service}{page}", timeout=30) as answer:
            assert b"<html" in answer.read()
