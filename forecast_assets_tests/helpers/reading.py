"""Input files read into one raw panel, as the raw panel's asset reads them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from forecast_assets.core.panel.adapters.folders import find_files
from forecast_assets.core.panel.ingest import Reading
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec
from forecast_assets_tests.helpers.builders import panel_spec


def read_files(files: Sequence[Path], *, spec: PanelSpec) -> tuple[pl.DataFrame, Reading]:
    """Return the raw panel of ``files`` and the exhausted reading, which holds rejected rows, flags and revisions."""
    with tempfile.TemporaryDirectory() as scratch:
        reading = Reading([InputFile(path, path.name) for path in files], spec=spec, scratch=Path(scratch))
        return pl.concat(reading.parts()), reading


def read_folder(path: Path, **changes: Any) -> tuple[pl.DataFrame, Reading]:
    """Return the raw panel of a file or folder as a run finds it, and the exhausted reading."""
    spec = panel_spec(**changes)
    with tempfile.TemporaryDirectory() as scratch:
        reading = Reading(find_files(path, spec).files, spec=spec, scratch=Path(scratch))
        return pl.concat(reading.parts()), reading
