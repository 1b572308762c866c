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
from forecast_assets.store.artefact_files import CARD, TABLE
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

    The book follows the night's forecasts, those of the nights before, and before the first night the champion's fold.
    """
    from forecast_assets.champion.bundle import Card
    from forecast_assets.core.backtest.next_positions import target_positions as next_book
    from forecast_assets.core.horizons import HORIZONS

    card = Card.model_validate(serving_model.json(CARD))
    until = dt.date.fromisoformat(day)
    earlier = [version for night, version in sorted(issued.items()) if night < day]
    # The first forecast of an origin is the one that was traded; a later night repeats a ticker whose exchange was closed.
    forecasts = pl.concat(
        pl.read_parquet(version.path(TABLE)) for version in (*earlier, nightly_forecast, ensemble[str(card.fold)])
    ).unique(["date", "ticker", "horizon"], keep="first", maintain_order=True)
    columns = ["date", "ticker", "exchange", "open", "close", "is_missing", "segment", "region"]
    panel = pl.read_parquet(calendar_panel.path(TABLE), columns=columns)
    book = next_book(
        forecasts,
        panel,
        until=until,
        year=until.year,
        spec=backtest_spec,
        unconditional_mean=card.unconditional_mean[HORIZONS.index(backtest_spec.horizon_sessions)],
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
