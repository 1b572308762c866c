"""When rows of one exchange are known to others."""

import datetime as dt
from dataclasses import replace

import torch

from forecast_assets.core.windows.clock import known_at
from forecast_assets_tests.helpers.tensors import random_panel


def test_a_row_is_known_at_its_close_and_one_of_no_session_when_its_day_ends() -> None:
    panel = random_panel(tickers=2, sessions=3)  # Monday, 2 January 2017, a holiday in New York, and two days after
    panel = replace(panel, exchange=panel.ticker % 2, exchanges=("XETR", "XNYS"))
    times = [dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=int(time)) for time in known_at(panel)]
    frankfurt, new_york = times[:3], times[3:]
    assert frankfurt == [dt.datetime(2017, 1, day, 16, 30) for day in (2, 3, 4)]
    assert new_york == [dt.datetime(2017, 1, 3), dt.datetime(2017, 1, 3, 21), dt.datetime(2017, 1, 4, 21)]
    assert torch.equal(known_at(panel.take(torch.arange(3, 6))), known_at(panel)[3:])
