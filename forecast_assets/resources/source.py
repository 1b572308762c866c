"""The input files: the raw panel, and the macro series, universe and sectors that the user may provide."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from forecast_assets.core.errors import BadInput
from forecast_assets.core.specs import DemoSpec
from forecast_assets.resources import environment

DEMO_FILE = "demo_panel.csv"
SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")


@dataclass(frozen=True)
class InputFiles:
    """The files that together are one raw panel, in the order of their names."""

    files: tuple[Path, ...]
    as_of: dt.date | None = None  # sessions after it are not read

    def digest(self) -> str:
        """Digest names, contents and ``as_of``, 64 hex digits."""
        total = hashlib.sha256(f"{self.as_of or ''}\n".encode())
        for file in self.files:
            with file.open("rb") as stream:
                total.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True)
class OptionalFile:
    """A file beside the panel that the user named (macro series, universe, sectors); no path where there is none."""

    path: Path | None
    as_of: dt.date | None = None

    def digest(self) -> str:
        """Digest content and ``as_of``, 64 hex digits."""
        content = b"" if self.path is None else self.path.read_bytes()
        return hashlib.sha256(f"{self.as_of or ''}\n".encode() + content).hexdigest()


class PanelSource(dg.ConfigurableResource):
    """Location of the raw panel."""

    panel: str = Field(default="", description="a CSV or Parquet file, or a folder of them; empty: FORECAST_PANEL")

    def input_files(self, demo: DemoSpec) -> InputFiles:
        """Return the panel's files; a demo profile without a panel of its own writes the synthetic one first.

        Raises BadInput where there is none.
        """
        given = environment.checked_path(self.panel, variable="FORECAST_PANEL")
        path = Path(given or environment.panel_path())
        if not self.panel and environment.uses_demo_panel():
            from forecast_assets.core.panel.demo import write_demo_csv

            path.mkdir(parents=True, exist_ok=True)
            write_demo_csv(path / DEMO_FILE, demo)
        if path.is_file():
            return InputFiles((path,), environment.as_of())
        if not path.exists():
            raise BadInput(f"{path}: no such file or folder; name the raw panel with FORECAST_PANEL or --panel")
        files = tuple(sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES))
        if not files:
            raise BadInput(f"{path}: the folder holds no .csv or .parquet file; put the raw panel there")
        return InputFiles(files, environment.as_of())

    def macro(self) -> OptionalFile:
        """Return the file that FORECAST_MACRO names. Raises BadInput where it does not exist."""
        return _optional(environment.macro_path(), what="macro series", variable="FORECAST_MACRO")

    def universe(self) -> OptionalFile:
        """Return the file that FORECAST_UNIVERSE names. Raises BadInput where it does not exist."""
        return _optional(environment.universe_path(), what="universe", variable="FORECAST_UNIVERSE")

    def sectors(self) -> OptionalFile:
        """Return the file that FORECAST_SECTORS names. Raises BadInput where it does not exist."""
        return _optional(environment.sectors_path(), what="sectors", variable="FORECAST_SECTORS")


def _optional(named: str, *, what: str, variable: str) -> OptionalFile:
    if not named:
        return OptionalFile(None)
    path = Path(named)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name the {what} with {variable}, or leave it unset")
    return OptionalFile(path, environment.as_of())
