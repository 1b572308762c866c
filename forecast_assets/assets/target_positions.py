"""The target positions: the book and the orders for the next open."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from forecast_assets.assets.fold.forecast_checks import CAPS, RECONCILES, book_within_caps, trades_reconcile
from forecast_assets.assets.fold.optimised import PANEL_COLUMNS, TRADED, mean_risk_trade
from forecast_assets.assets.framework.column_lineage import position_columns
from forecast_assets.assets.framework.inputs import Day, EarlierNights, EarlierPanels, IssuedNights, Renames
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.panel.lineage import rename
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec
from forecast_assets.store.artefact_files import CARD, GONE_TICKERS, RAW_FORECASTS, TABLE
from forecast_assets.store.versions import Version

COLUMNS = ("date", "ticker", "exchange", "open", "close", "is_missing", "is_member", "segment", "region")

NONE_GONE = CheckSpec("held_tickers_in_panel", "every ticker that is held is in the panel", blocking=False)


@stage(
    group="night",
    kinds={"numpy"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
    checks=(NONE_GONE, CAPS, RECONCILES),
    tuned=True,
)
def target_positions(
    nightly_forecast: Version,
    calendar_panel: Version,
    serving_model: Version,
    ensemble: dict[str, Version],
    backtest_spec: BacktestSpec,
    mean_risk: MeanRiskSpec,
    issued: IssuedNights,
    earlier: EarlierNights,
    panels: EarlierPanels,
    renames: Renames,
    day: Day,
) -> StageOutput:
    """The book that the simulation's rules hold after the next open, with trades and their expected cost.

    The book of the walk-forward, carried on by the nights' forecasts: those of the years up to the champion's fold, then
    those of the nights before, then this night's. A ticker that was forecast and has left the panel is closed at its last
    price, by the rows that it had when it was there.
    """
    from forecast_assets.champion.bundle import Card
    from forecast_assets.core.backtest.costs import Costs
    from forecast_assets.core.backtest.decisions import (
        consecutive,
        forecast_decisions,
        join_decisions,
        validation_line,
    )

    fold = Card.model_validate(serving_model.json(CARD)).fold
    until = dt.date.fromisoformat(day)
    horizon = backtest_spec.horizon_sessions
    run = next(years for years in consecutive(map(int, ensemble)) if fold in years)
    tables = {year: _forecasts(ensemble[str(year)], renames) for year in run if year <= fold}
    by_year = {year: forecast_decisions(*pair, horizon_sessions=horizon) for year, pair in tables.items()}
    walk_forward = join_decisions(by_year)
    before = [version for night, version in sorted(issued.items()) if night < day]
    # The first forecast of an origin is the one that was traded; a later night repeats a ticker whose exchange was closed.
    nights = [
        pl.concat(of).unique(["date", "ticker", "horizon"], keep="first", maintain_order=True)
        for of in zip(*(_forecasts(version, renames) for version in (*before, nightly_forecast)), strict=True)
    ]
    line = validation_line(tables[fold][1], horizon_sessions=horizon)
    issued_decisions = forecast_decisions(nights[0], nights[1], horizon_sessions=horizon, no_skill=line)
    # An origin that a night and the fold both forecast was decided by the night.
    both = pl.concat([issued_decisions, walk_forward])
    decisions = both.unique(["date", "ticker"], keep="first", maintain_order=True)
    panel = pl.read_parquet(calendar_panel.path(TABLE), columns=list(COLUMNS))
    gone = gone_tickers(decisions, panel, until=until, last_night=_last_night(earlier), panels=panels, renames=renames)
    quoted = pl.concat([panel, gone.select(COLUMNS)])
    lost = sorted(set(decisions["ticker"]) - set(quoted["ticker"]))
    since = dict(gone.select("ticker", "gone_since").unique().iter_rows())
    # A decision is traded where the row that it was made at is still known: of a ticker that has left, or of a day whose
    # row was taken back since, it may not be.
    decided = decisions.join(quoted.filter(~pl.col("is_missing")), on=["date", "ticker"], how="semi")
    published = [nights[0], *(forecasts for forecasts, _ in tables.values())]
    next_book = _rules(mean_risk, published, calendar_panel, spec=backtest_spec)
    book = next_book(decided, quoted, until=until, spec=backtest_spec, gone=since)
    withdrawn = decisions.join(decided, on=["date", "ticker"], how="anti").filter(pl.col("date") <= until)
    closed = book.filter(pl.col("note").is_not_null())["ticker"].to_list()
    return StageOutput(
        files={TABLE: book, **({GONE_TICKERS: gone} if gone.height else {})},
        columns=position_columns(),
        facts={
            "tickers": book.height,
            "sized_by": "mean-risk" if mean_risk.use == TRADED else "half-Kelly",
            "gross_exposure": float(book["weight_target"].abs().sum()),
            "net_exposure": float(book["weight_target"].sum()),
            "turnover": float(book["trade"].abs().sum()),
            "expected_cost": float(book["expected_cost"].sum()),
            "gone_from_panel": ", ".join(sorted([*since, *lost])) or "none",
            "decisions_without_row": withdrawn.filter(~pl.col("ticker").is_in([*since, *lost])).height,
            "currency": "each ticker's own: weights move with prices, not with exchange rates",
            "closed_as_gone": ", ".join(closed) or "none",
        },
        checks={
            NONE_GONE.name: Check(not closed and not lost, _gone_sentence(closed, lost), warns=True),
            **book_within_caps(book, spec=backtest_spec),
            **trades_reconcile(book, Costs.of(backtest_spec.cost_bps, quoted)),
        },
    )


def _rules(
    rules: MeanRiskSpec, published: Sequence[pl.DataFrame], calendar_panel: Version, *, spec: BacktestSpec
) -> Callable[..., pl.DataFrame]:
    """Return the function that makes the book: by half-Kelly, or by the optimiser where its book is traded.

    The optimiser's book is simulated from where its beginning no longer matters: each week of it is solved anew.
    """
    from forecast_assets.core.backtest.next_positions import target_positions as next_book

    if rules.use != TRADED:
        return next_book
    from forecast_assets.core.backtest.mean_risk import settled

    panel = pl.read_parquet(calendar_panel.path(TABLE), columns=list(PANEL_COLUMNS))
    trade = mean_risk_trade(rules, published, panel, spec=spec)

    def optimised(decided: pl.DataFrame, quoted: pl.DataFrame, *, until: dt.date, **given: Any) -> pl.DataFrame:
        known = settled(decided.filter(pl.col("date") <= until), spec=spec)
        return next_book(known, quoted, until=until, trade=trade, **given)

    return optimised


def gone_tickers(
    decisions: pl.DataFrame,
    panel: pl.DataFrame,
    *,
    until: dt.date,
    last_night: pl.DataFrame,
    panels: Sequence[Version],
    renames: Mapping[str, str],
) -> pl.DataFrame:
    """Return the rows that tickers with decisions had before they left ``panel``, with the night that found each gone.

    They are those that the last night kept, else those of the newest of ``panels`` that has the ticker. One that is in none
    has no rows.
    """
    missing = set(decisions["ticker"]) - set(panel.filter(~pl.col("is_missing"))["ticker"])
    found = [rename(last_night, renames).filter(pl.col("ticker").is_in(list(missing)))]
    for version in panels:
        missing -= set(found[-1]["ticker"])
        if not missing:
            break
        rows = rename(pl.scan_parquet(version.path(TABLE)).select(COLUMNS), renames)
        wanted = pl.col("ticker").is_in(list(missing)) & (pl.col("date") <= until)
        found.append(rows.filter(wanted).with_columns(gone_since=pl.lit(until)).collect())
    return pl.concat(found).sort("ticker", "date")


def _last_night(earlier: Mapping[str, Version]) -> pl.DataFrame:
    """Return the rows of gone tickers that the last of the earlier nights kept; empty where none was gone."""
    last = earlier[max(earlier)] if earlier else None
    if last is None or GONE_TICKERS not in last.manifest.files:
        types = {
            "date": pl.Date,
            "is_missing": pl.Boolean,
            "is_member": pl.Boolean,
            "segment": pl.Int32,
            "gone_since": pl.Date,
        }
        types |= {"open": pl.Float64, "close": pl.Float64}
        return pl.DataFrame(schema={name: types.get(name, pl.String) for name in (*COLUMNS, "gone_since")})
    return pl.read_parquet(last.path(GONE_TICKERS))


def _gone_sentence(closed: Sequence[str], lost: Sequence[str]) -> str:
    said = []
    if closed:
        said.append(f"{', '.join(closed)} left the panel and is closed at its last price")
    if lost:
        said.append(f"{', '.join(lost)} left the panel and no earlier panel in the store has its prices: not traded")
    advice = "; a ticker that has another name now is declared in panel.renames, and the night run again"
    return "; ".join(said) + advice if said else "all are"


def _forecasts(version: Version, renames: Mapping[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a version's forecasts as published, and before calibration where it has them."""
    from forecast_assets.champion.issued import issued_table

    return issued_table(version, renames), issued_table(version, renames, file=RAW_FORECASTS)
