"""The input files: the raw panel and the macro series that the user provides."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import DemoSpec, PanelSpec
from forecast_assets.resources import environment

DEMO_FILE = "demo_panel.csv"


@dataclass(frozen=True)
class InputFiles:
    """The files that together are one raw panel, in the order of their names."""

    files: tuple[InputFile, ...]
    left_out: tuple[tuple[str, str], ...] = ()  # other files of the folder, and why each is not read
    as_of: dt.date | None = None  # sessions after it are not read

    def digest(self) -> str:
        """Digest names, contents and ``as_of``, 64 hex digits."""
        total = hashlib.sha256(f"{self.as_of or ''}\n".encode())
        for file in self.files:
            with file.path.open("rb") as stream:
                total.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
            total.update(f"{sorted(file.constants.items())}{sorted(file.options.items())}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True)
class MacroFile:
    """The file of macro series that the user named; no path where there is none."""

    path: Path | None
    as_of: dt.date | None = None

    def digest(self) -> str:
        """Digest content and ``as_of``, 64 hex digits."""
        content = b"" if self.path is None else self.path.read_bytes()
        return hashlib.sha256(f"{self.as_of or ''}\n".encode() + content).hexdigest()


class PanelSource(dg.ConfigurableResource):
    """Location of the raw panel."""

    panel: str = Field(default="", description="a CSV or Parquet file, or a folder of them; empty: FORECAST_PANEL")

    def input_files(self, demo: DemoSpec, panel: PanelSpec) -> InputFiles:
        """Return the panel's files; a demo profile without a panel of its own writes the synthetic one first.

        Raises BadInput where there is none.
        """
        given = environment.checked_path(self.panel, variable="FORECAST_PANEL")
        path = Path(given or environment.panel_path())
        if not self.panel and environment.uses_demo_panel():
            from forecast_assets.core.panel.demo import write_demo_csv

            path.mkdir(parents=True, exist_ok=True)
            write_demo_csv(path / DEMO_FILE, demo)
        from forecast_assets.core.panel.adapters.folders import find_files  # the definitions load without it

        found = find_files(path, panel)
        return InputFiles(found.files, found.left_out, environment.as_of())

    def macro(self) -> MacroFile:
        """Return the file that FORECAST_MACRO names. Raises BadInput where it does not exist."""
        named = environment.macro_path()
        if not named:
            return MacroFile(None)
        path = Path(named)
        if not path.is_file():
            raise BadInput(f"{path}: no such file; name the macro series with FORECAST_MACRO, or leave it unset")
        return MacroFile(path, environment.as_of())
