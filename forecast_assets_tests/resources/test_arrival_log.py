"""The log of arrivals as a data root keeps it."""

import datetime as dt
from pathlib import Path

from forecast_assets.core.panel.arrivals import Arrival
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.resources.arrival_log import read_arrivals, record_arrivals, seen_file, with_arrivals


def test_of_two_runs_that_record_a_file_at_once_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("Date,Ticker\n")
    file, first = InputFile(path, path.name), dt.datetime(2024, 4, 10, 2, tzinfo=dt.UTC)
    for seconds in (0, 5):
        record_arrivals(str(tmp_path), [Arrival(seen_file(file), first + dt.timedelta(seconds=seconds), history=False)])
    (found,) = with_arrivals([file], [seen_file(file)], declared="", log=read_arrivals(str(tmp_path)))
    assert found.arrived == first
