"""Target positions night after night while tickers are renamed, dropped, cut, stopped and listed again: none ever fails."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from forecast_assets.assets import target_positions
from forecast_assets.assets.fold.forecast_checks import RECONCILES
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.stage import STAGES
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.panel.calendar import quoted_days, reindex
from forecast_assets.core.panel.targets import add_targets
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec, ScenarioSpec
from forecast_assets.store.artefact_files import CARD, RAW_FORECASTS, TABLE
from forecast_assets.store.panel_in_use import earlier_panels
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.builders import panel_spec
from forecast_assets_tests.helpers.published import KEY_A, fields
from forecast_assets_tests.helpers.random_walks import walk
from forecast_assets_tests.helpers.scores import normal_quantiles

START = dt.date(2024, 1, 15)
HOMES = {"A": "XNYS", "B": "XNYS", "C": "XNYS", "D.DE": "XETR", "E.DE": "XETR", "F.DE": "XETR"}
BASE = pl.concat(walk(name, 150, seed=k, exchange=home, start=START) for k, (name, home) in enumerate(HOMES.items()))
DAYS = BASE.filter(ticker="A").join(BASE.filter(ticker="D.DE"), on="date", how="semi")["date"].sort().to_list()
FIRST, LAST = 100, 135  # of the days: between them the walk-forward forecasts, after them the nights do
SPEC = BacktestSpec()
HALF_KELLY = MeanRiskSpec()
OPTIMISED = MeanRiskSpec(use="traded", scenarios=100, least_days=10)
SCENARIOS = ScenarioSpec(scenarios=100, least_days=20)
CARDS: dict[str, Any] = {
    **{"fold": 2024, "members": [], "groups": 1, "lookback": 20, "history_sessions": 20, "features": []},
    **{"feature_hash": "", "vocabularies": {}, "regime_borders": (0.0, 1.0), "unconditional_mean": (0.0, 0.0, 0.0)},
    **{"cutoff": "2023-12-01", "calibrated": False},
}

actions = st.sampled_from(
    ["rename", "rename_unsaid", "drop", "cut_old", "cut_a_day", "cut_tail", "stop", "relist", "none"]
)
histories = st.lists(st.tuples(actions, st.sampled_from([*HOMES])), min_size=3, max_size=3)


def forecasts(rows: pl.DataFrame, split: str | list[str]) -> pl.DataFrame:
    """A view on each row, told by its ticker and day alone."""
    seeds = [crc32(f"{row['ticker'][-4:]} {row['date']}".encode()) for row in rows.iter_rows(named=True)]
    mean = np.array([np.random.default_rng(seed).normal(0, 0.004, len(HORIZONS)) for seed in seeds])
    sigma = np.tile(0.01 * np.sqrt(HORIZONS), (len(rows), 1))
    return forecast_table(
        date=rows["date"],
        ticker=rows["ticker"],
        quantiles=normal_quantiles(mean, sigma),
        y=np.full(mean.shape, np.nan),
        split=split,
        model="ensemble",
    )


class Deployment:
    """The store of a deployment, the files that it reads, and what it was told about names."""

    def __init__(self, root: Path, *, rules: MeanRiskSpec = HALF_KELLY) -> None:
        self.store, self.rules = Store(root / "store"), rules
        self.rows, self.renames, self.names = BASE, dict[str, str](), {name: name for name in HOMES}
        self.dropped, self.stopped = set[str](), dict[str, dt.date]()
        tested = BASE.filter(pl.col("date").is_in(DAYS[60:LAST])).sort("date", "ticker")
        split = ["test" if day >= DAYS[FIRST] else "validation" for day in tested["date"]]
        table = forecasts(tested, split)
        self.ensemble = {"2024": self.publish("ensemble", "2024", {TABLE: table, RAW_FORECASTS: table})}
        self.champion = self.publish("serving_model", None, {CARD: CARDS})
        self.issued: dict[str, Version] = {}
        self.books: dict[str, Version] = {}

    def publish(self, asset: str, partition: str | None, files: Mapping[str, Any]) -> Version:
        with self.store.stage(asset, partition, input_key=KEY_A) as staging:
            StageOutput(files=files).write(staging.path)
            return self.store.commit(staging, fields())

    def happens(self, what: str, ticker: str, day: dt.date) -> None:
        """Do to a ticker's rows, as the files have them from now on, what happens in life."""
        mine = pl.col("ticker") == ticker
        if what.startswith("rename"):
            new = f"{day:%m%d}{self.names[ticker]}"
            if what == "rename":
                self.renames[self.names[ticker]] = new
            self.names[ticker] = new
        elif what == "drop":
            self.dropped.add(ticker)
        elif what == "stop":
            self.stopped[ticker] = day
        elif what == "cut_old":
            self.rows = self.rows.filter(~mine | (pl.col("date") >= DAYS[LAST - 3]))
        elif what == "cut_a_day":
            self.rows = self.rows.filter(~mine | ~pl.col("date").is_in([DAYS[FIRST + 5], DAYS[LAST - 1]]))
        elif what == "cut_tail":
            self.rows = self.rows.filter(~mine | (pl.col("date") < DAYS[LAST - 20]))
        elif what == "relist":
            self.rows, self.dropped, self.stopped = BASE, set(), {}

    def panel(self, day: dt.date) -> pl.DataFrame:
        shown = self.rows.filter((pl.col("date") <= day) & ~pl.col("ticker").is_in([*self.dropped]))
        for ticker, since in self.stopped.items():
            shown = shown.filter((pl.col("ticker") != ticker) | (pl.col("date") < since))
        return reindex(
            shown.with_columns(pl.col("ticker").replace(self.names)).sort("ticker", "date"), spec=panel_spec()
        )

    def night(self, day: dt.date) -> tuple[pl.DataFrame, StageOutput, pl.DataFrame]:
        """Make a night: its panel, forecasts and positions. Return book, output and panel."""
        panel, key = self.panel(day), day.isoformat()
        calendar = self.publish("calendar_panel", None, {TABLE: panel})
        made = forecasts(panel.filter(~pl.col("is_missing") & (pl.col("date") == day)), "test")
        self.issued[key] = self.publish("nightly_forecast", key, {TABLE: made, RAW_FORECASTS: made})
        output = STAGES[target_positions.__name__.rpartition(".")[2]].function(
            nightly_forecast=self.issued[key],
            calendar_panel=calendar,
            feature_panel=add_targets(panel, quoted=quoted_days(panel)).lazy(),
            serving_model=self.champion,
            ensemble=self.ensemble,
            backtest_spec=SPEC,
            mean_risk=self.rules,
            scenarios=SCENARIOS,
            issued=self.issued,
            earlier=self.books,
            panels=earlier_panels(self.store),
            replaced=None,
            renames=self.renames,
            day=key,
        )
        self.books = {**self.books, key: self.publish("target_positions", key, output.files)}
        book = output.files[TABLE]
        assert isinstance(book, pl.DataFrame)
        return book, output, panel


@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])
@given(history=histories, rules=st.sampled_from([HALF_KELLY, OPTIMISED]))
def test_no_night_fails_whatever_happens_to_the_tickers(history: list[tuple[str, str]], rules: MeanRiskSpec) -> None:
    """A ticker without rows is closed once and never held after that; when all are back, nothing is gone."""
    with TemporaryDirectory() as root:
        world, closed = Deployment(Path(root), rules=rules), set[str]()
        world.night(DAYS[LAST])
        for number, (what, ticker) in enumerate([*history, ("relist", "A")], start=LAST + 1):
            world.happens(what, ticker, DAYS[number])
            book, output, panel = world.night(DAYS[number])
            assert output.checks[RECONCILES.name].passed
            assert (
                book.select(pl.col("weight_target", "trade", "expected_cost").is_finite().all()).row(0) == (True,) * 3
            )
            here = set(panel.filter(~pl.col("is_missing"))["ticker"])
            absent = book.filter(~pl.col("ticker").is_in([*here]))
            assert not (absent["weight_target"] != 0).any()
            assert "value_at_risk_95" in output.facts or not (book["weight_target"] != 0).any()
            assert not closed & set(absent["ticker"])
            closed = (closed | set(absent["ticker"])) - here
        assert set(book["ticker"]) <= here
        assert (book["weight_target"] != 0).any()


def test_a_decision_whose_row_was_taken_back_is_left_out_and_counted(tmp_path: Path) -> None:
    world = Deployment(tmp_path)
    assert world.night(DAYS[LAST])[1].facts["decisions_without_row"] == 0
    world.happens("cut_a_day", "B", DAYS[LAST + 1])
    _, output, _ = world.night(DAYS[LAST + 1])
    assert output.facts["decisions_without_row"] == 2
    world.happens("relist", "B", DAYS[LAST + 2])
    assert world.night(DAYS[LAST + 2])[1].facts["decisions_without_row"] == 0
