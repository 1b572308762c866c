"""A small store to serve from, and a stub model with recognisable forecasts: Normals around a mean of its own."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast_assets.champion.record import IssuedRecord
from forecast_assets.core.backtest.next_positions import POSITIONS_SCHEMA
from forecast_assets.core.evaluation.forecast_table import forecast_table
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.models.explanation import Explanation
from forecast_assets.core.monitoring.book_risk import BookRisk, HorizonRisk, Position, Stated
from forecast_assets.core.monitoring.record import Evidence, HorizonScores
from forecast_assets.core.panel.sessions import sessions
from forecast_assets.core.training.calibrate import CalibrationState
from forecast_assets.core.training.calibration_groups import Membership
from forecast_assets.core.windows.tensors import PanelTensors
from forecast_assets.serving.loading import Loader
from forecast_assets.store.keys import sha256_text
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version
from forecast_assets_tests.helpers.scores import normal_quantiles
from forecast_assets_tests.helpers.tensors import random_panel

LOOKBACK = 20
SIGMA = 0.02
DAYS = sessions("XNYS", dt.date(2017, 1, 3), dt.date(2018, 12, 31))[:300].to_list()
CUTOFF = DAYS[199]
"""Forecasts after session 200 are out of sample for the model; 100 sessions follow."""


class Forecast(NamedTuple):
    quantiles: NDArray[np.float64]
    raw: NDArray[np.float64]
    groups: Membership


@dataclass(frozen=True)
class StubCard:
    model_version: str
    cutoff: dt.date
    lookback: int
    features: tuple[str, ...]
    calibrated: bool = True


@dataclass(frozen=True)
class StubModel:
    """Normal forecasts: mean ``shift`` plus a ten-thousandth of the row, sigma 0.02, whatever the features are."""

    card: StubCard
    state: CalibrationState
    shift: float

    def forecast(self, panel: PanelTensors, rows: Tensor, *, state: CalibrationState) -> Forecast:
        mean = self.shift + rows.numpy()[:, None] / 10_000 + np.zeros((1, 3))
        raw = normal_quantiles(mean, np.full(mean.shape, SIGMA))
        return Forecast(raw, raw, Membership(("regime 1",), np.zeros((len(rows), 1), dtype=np.int64)))

    def rename(self, renames: Mapping[str, str]) -> None:
        """Do nothing: it knows no ticker."""

    def explain(self, panel: PanelTensors, row: int) -> tuple[str, Explanation] | None:
        share = torch.full((1, 2), 0.5)
        attention = torch.full((1, LOOKBACK), 1 / LOOKBACK)
        return "b2_tft_ticker/1", Explanation(attention, share, share, share, ("a", "b"), ("c", "d"), ("e", "f"))


def open_stub(version: Version) -> StubModel:
    """What ``publish_model`` wrote."""
    card = version.json("bundle.json")
    stub = StubCard(version.id, dt.date.fromisoformat(card["cutoff"]), LOOKBACK, tuple(card["features"]))
    return StubModel(stub, CalibrationState.initial(), card["shift"])


def panel(tickers: int = 4) -> PanelTensors:
    """``tickers`` tickers over the first 300 sessions of New York from 2017 on."""
    made = random_panel(tickers=tickers, sessions=len(DAYS))
    days = pl.Series(DAYS).cast(pl.Int32).to_numpy()
    return replace(made, date=torch.from_numpy(np.tile(days, tickers)))


def publish(
    store: Store, asset: str, partition: str | None, files: dict[str, Any], parents: dict[str, str] | None = None
) -> Version:
    """Write a version out of tables, tensors, texts and JSON values."""
    staging = store.stage(asset, partition, input_key=sha256_text(f"{asset} {partition} {sorted(files)}"))
    for name, content in files.items():
        path = staging.path / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        elif isinstance(content, PanelTensors):
            content.save(path)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            path.write_text(json.dumps(content))
    return store.commit(staging, {"parents": parents or {}, "config": {"panel": {}}, "code_version": "test"})


def publish_panel(store: Store, tensors: PanelTensors) -> Version:
    """``windowed_tensors`` and the closes of ``calendar_panel``."""
    closes = pl.DataFrame(
        {
            "ticker": [name for name in tensors.tickers for _ in DAYS],
            "date": DAYS * len(tensors.tickers),
            "close": np.exp(np.cumsum(tensors.features[:, 0].numpy().astype(np.float64))) * 100,
            "is_missing": [False] * tensors.rows,
            "is_member": [True] * tensors.rows,
            "segment": [0] * tensors.rows,
        }
    )
    publish(store, "calendar_panel", None, {"table.parquet": closes})
    return publish(store, "windowed_tensors", None, {"panel.safetensors": tensors})


def publish_model(store: Store, tensors: PanelTensors, *, shift: float = 0.0, cutoff: dt.date = CUTOFF) -> Version:
    """A ``serving_model`` for ``open_stub``."""
    card = {"shift": shift, "cutoff": cutoff.isoformat(), "features": list(tensors.feature_names)}
    return publish(store, "serving_model", None, {"bundle.json": card})


def table(tickers: tuple[str, ...], days: list[dt.date], *, mean: float) -> pl.DataFrame:
    """A forecast of the same Normal for every ticker on every day."""
    rows = len(tickers) * len(days)
    return forecast_table(
        date=np.array([day for day in days for _ in tickers], dtype="datetime64[D]"),
        ticker=list(tickers) * len(days),
        quantiles=normal_quantiles(np.full((rows, 3), mean), np.full((rows, 3), SIGMA)),
        y=np.full((rows, 3), np.nan),
        split="test",
        model="ensemble",
    )


def publish_night(
    store: Store,
    tickers: tuple[str, ...],
    day: dt.date,
    *,
    mean: float,
    model: str = "m1",
    serving_model: str = "s",
    partition: str | None = None,
) -> Version:
    """The night of ``day``; ``serving_model`` is the version of the model that made it."""
    night = {"day": str(day), "model_version": model, "data_version": "d1", "calibrated": True}
    night["serving_model"] = serving_model
    files = {
        "table.parquet": table(tickers, [day], mean=mean),
        "night.json": night,
        "calibration.json": CalibrationState.initial().to_json(),
    }
    return publish(store, "nightly_forecast", partition or str(day), files)


def publish_fold(store: Store, tickers: tuple[str, ...], days: list[dt.date], *, mean: float) -> Version:
    """The ensemble's year."""
    files = {"table.parquet": table(tickers, days, mean=mean)}
    return publish(store, "ensemble", str(days[0].year), files, parents={"windowed_tensors": "d0"})


def publish_book(store: Store, day: dt.date, weights: Mapping[str, tuple[float, float]]) -> Version:
    """``target_positions``: ticker -> weight held and weight aimed at; a trade costs 5 bp of it. It may lose 1 %."""
    rows = [
        {"ticker": ticker, "region": "Americas", "weight_now": now, "weight_target": target, "trade": target - now}
        | {"price": 10.0, "expected_cost": 0.0005 * abs(target - now), "note": None}
        for ticker, (now, target) in weights.items()
    ]
    tails = dict.fromkeys(("value_at_risk", "expected_shortfall", "lowest_point"), (0.01, 0.02))
    over = [HorizonRisk(horizon=h, median=0.0, probability_of_loss=0.5, **tails) for h in HORIZONS]
    held = [Position(ticker=name, weight=to, session=day) for name, (_, to) in weights.items() if to]
    risk = Stated(risk=BookRisk(night=day, positions=tuple(held), horizons=tuple(over)))
    files = {"table.parquet": pl.DataFrame(rows, schema=POSITIONS_SCHEMA), "risk.json": risk.model_dump(mode="json")}
    return publish(store, "target_positions", str(day), files)


def publish_report(store: Store, html: str) -> Version:
    """``backtest_report``: its page alone."""
    return publish(store, "backtest_report", None, {"backtest.html": html})


def scored_record() -> IssuedRecord:
    """The record of three nights, two of them sealed, with a loss that was not compared."""
    nothing = Evidence(mean=np.nan, low=np.nan, high=np.nan, e_value=1.0, largest_e_value=1.0)
    some = Evidence(mean=0.94, low=0.9, high=0.97, e_value=0.3, largest_e_value=2.0)
    row = HorizonScores(1, 9, 3, 2, "2018-03-12", "2018-03-14", {"95": some, "90": some}, np.nan, nothing, 0)
    return IssuedRecord(3, 2, None, 90, 9, 6, [row], "no champion")


def wide_store(store: Store, *, tickers: int) -> Loader:
    """Many tickers, a fold on sessions 100-298, a model, a night and a book on session 300."""
    tensors = panel(tickers)
    publish_panel(store, tensors)
    publish_model(store, tensors)
    publish_fold(store, tensors.tickers, DAYS[100:299], mean=0.002)
    publish_night(store, tensors.tickers, DAYS[-1], mean=0.01)
    publish_book(store, DAYS[-1], dict.fromkeys(tensors.tickers, (0.001, 0.002)))
    return Loader(store, open_stub)


def small_store(store: Store) -> Loader:
    """Four tickers, a fold on sessions 100-109, a model out of sample from session 201 on, a night on session 300."""
    tensors = panel()
    publish_panel(store, tensors)
    publish_model(store, tensors, shift=0.001)
    publish_fold(store, tensors.tickers, DAYS[100:110], mean=0.003)
    publish_night(store, tensors.tickers, DAYS[-1], mean=0.01)
    return Loader(store, open_stub)
