"""The target positions: the book and the orders for the next open."""

import datetime as dt

import dagster as dg
import polars as pl

from forecast_assets.assets.framework.column_lineage import position_columns
from forecast_assets.assets.framework.inputs import Day, IssuedNights
from forecast_assets.assets.framework.output import StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.specs import BacktestSpec
from forecast_assets.store.artefact_files import CARD, RAW_FORECASTS, TABLE
from forecast_assets.store.versions import Version


@stage(group="night", kinds={"numpy"}, partitions=days, mappings={"ensemble": dg.AllPartitionMapping()}, tuned=True)
def target_positions(
    nightly_forecast: Version,
    calendar_panel: Version,
    serving_model: Version,
    ensemble: dict[str, Version],
    backtest_spec: BacktestSpec,
    issued: IssuedNights,
    day: Day,
) -> StageOutput:
    """The book that the simulation's rules hold after the next open, with trades and their expected cost.

    The book of the walk-forward, carried on by the nights' forecasts: those of the years up to the champion's fold, then
    those of the nights before, then this night's.
    """
    from forecast_assets.champion.bundle import Card
    from forecast_assets.core.backtest.decisions import (
        consecutive,
        forecast_decisions,
        join_decisions,
        validation_line,
    )
    from forecast_assets.core.backtest.next_positions import target_positions as next_book

    fold = Card.model_validate(serving_model.json(CARD)).fold
    until = dt.date.fromisoformat(day)
    horizon = backtest_spec.horizon_sessions
    run = next(years for years in consecutive(map(int, ensemble)) if fold in years)
    tables = {year: _forecasts(ensemble[str(year)]) for year in run if year <= fold}
    walk_forward = join_decisions(
        {year: forecast_decisions(*pair, horizon_sessions=horizon) for year, pair in tables.items()}
    )
    earlier = [version for night, version in sorted(issued.items()) if night < day]
    # The first forecast of an origin is the one that was traded; a later night repeats a ticker whose exchange was closed.
    nights = [
        pl.concat(of).unique(["date", "ticker", "horizon"], keep="first", maintain_order=True)
        for of in zip(*map(_forecasts, (*earlier, nightly_forecast)), strict=True)
    ]
    line = validation_line(tables[fold][1], horizon_sessions=horizon)
    issued_decisions = forecast_decisions(nights[0], nights[1], horizon_sessions=horizon, no_skill=line)
    columns = ["date", "ticker", "exchange", "open", "close", "is_missing", "is_member", "segment", "region"]
    book = next_book(
        # An origin that a night and the fold both forecast was decided by the night.
        pl.concat([issued_decisions, walk_forward]).unique(["date", "ticker"], keep="first", maintain_order=True),
        pl.read_parquet(calendar_panel.path(TABLE), columns=columns),
        until=until,
        spec=backtest_spec,
    )
    return StageOutput(
        files={TABLE: book},
        columns=position_columns(),
        facts={
            "tickers": book.height,
            "gross_exposure": float(book["weight_target"].abs().sum()),
            "net_exposure": float(book["weight_target"].sum()),
            "turnover": float(book["trade"].abs().sum()),
            "expected_cost": float(book["expected_cost"].sum()),
        },
    )


def _forecasts(version: Version) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a version's forecasts as published, and before calibration where it has them."""
    raw = RAW_FORECASTS if RAW_FORECASTS in version.manifest.files else TABLE
    return pl.read_parquet(version.path(TABLE)), pl.read_parquet(version.path(raw))
