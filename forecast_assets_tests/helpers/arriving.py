"""Input files that arrive at a time of our choice."""

import datetime as dt
from pathlib import Path

from forecast_assets.core.panel.adapters.folders import find_files
from forecast_assets.core.panel.arrivals import new_arrivals
from forecast_assets.resources.arrival_log import read_arrivals, record_arrivals, seen_file
from forecast_assets_tests.helpers.builders import panel_spec


def arrive(data_root: str, panel: Path, when: dt.datetime) -> None:
    """Enter the files of a panel that are new into the log of arrivals, as a reading at that time does."""
    seen = [seen_file(file) for file in find_files(panel, panel_spec()).files]
    record_arrivals(data_root, new_arrivals(seen, log=read_arrivals(data_root), now=when))
