"""The documentation is a site without a broken link, and its reference is the code's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forecast_assets.assets.framework.table_columns import TABLES
from forecast_assets.cli.app import COMMANDS
from forecast_assets.cli.knobs import setting_lines
from forecast_assets.resources.settings import compose_settings
from tools.pages import DOCS
from tools.reference import PROFILE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a link or a directive that leads nowhere fails the build."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def text(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_every_page_is_in_the_contents(site: Path) -> None:
    contents = (site / "index.html").read_text(encoding="utf-8")
    pages = [page.stem for page in DOCS.glob("*.md") if page.stem != "index"]
    assert [name for name in pages if f'href="{name}.html"' not in contents] == []


def test_every_setting_command_and_table_is_in_the_reference(site: Path) -> None:
    settings, commands, tables, python = (
        text(site / "reference" / f"{name}.html") for name in ("settings", "commands", "tables", "python")
    )
    names = [line.split(" = ")[0] for line in setting_lines(compose_settings(PROFILE, []))]
    assert [name for name in names if name not in settings] == []
    assert [name for name in COMMANDS if f"forecast-assets {name}" not in commands] == []
    assert [name for name in TABLES if name not in tables] == []
    assert "Forecaster.leaderboard" in python or "leaderboard()" in python
