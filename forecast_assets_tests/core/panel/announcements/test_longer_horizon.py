"""With 60 sessions among the horizons, the lags of a quarter drop out and no row depends on a later one."""

import os
from pathlib import Path

from forecast_assets_tests.helpers.changes import HORIZON
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.seeding import apply_change, python_in

CHECK = """
import datetime as dt

import polars as pl

from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.announcements.model import lags
from forecast_assets_tests.helpers.announced import announced, calendar, infer

assert HORIZONS[-1] == 60
assert min(lags()) == 118 > 101, min(lags())
world = calendar(announced(tickers=6, start=dt.date(2012, 1, 3), end=dt.date(2015, 4, 30), seed=1).raw)
whole, made = infer(world)
assert sorted(made.schedule) == [2014, 2015], made.schedule
late = world["date"] > dt.date(2014, 6, 1)
more = whole.filter(late)
assert ((more["announcement_60d"] > more["announcement_20d"]) & (more["announcement_60d"] < 2)).mean() > 0.9
for cut in (dt.date(2013, 12, 31), dt.date(2014, 7, 3), dt.date(2014, 11, 26)):
    early = world.filter(pl.col("date") <= cut)
    short, before = infer(early)
    assert short.equals(whole.join(early, on=["ticker", "date"], how="semi", maintain_order="left")), cut
new = infer(world.filter(pl.col("date") <= dt.date(2014, 12, 31)), before.cut)[0]  # the same year's parameters
assert new.equals(whole.join(new, on=["ticker", "date"], how="semi", maintain_order="left"))
print("holds")
"""


def test_a_horizon_of_60_sessions_reads_no_later_row_either(tmp_path: Path) -> None:
    apply_change(HORIZON, tmp_path)
    done = python_in(tmp_path, "-c", CHECK, PYTHONPATH=f"{tmp_path}{os.pathsep}{PROJECT}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "holds"
