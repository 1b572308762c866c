"""The target positions: the book and the orders for the next open."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from forecast_assets.assets.fold.forecast_checks import CAPS, RECONCILES, book_within_caps, trades_reconcile
from forecast_assets.assets.fold.optimised import PANEL_COLUMNS, TRADED, mean_risk_trade
from forecast_assets.assets.framework.column_lineage import position_columns
from forecast_assets.assets.framework.inputs import Day, EarlierNights, EarlierPanels, IssuedNights, Renames, Replaced
from forecast_assets.assets.framework.materialise import CheckSpec
from forecast_assets.assets.framework.output import Check, StageOutput
from forecast_assets.assets.framework.partitions import days
from forecast_assets.assets.framework.stage import stage
from forecast_assets.core.panel.lineage import rename
from forecast_assets.core.specs import BacktestSpec, MeanRiskSpec, ScenarioSpec
from forecast_assets.store.artefact_files import (
    BOOK_RISK,
    BOOK_RISK_RECORD,
    CARD,
    GONE_TICKERS,
    RAW_FORECASTS,
    TABLE,
)
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.monitoring.book_risk import BookRisk, Stated

COLUMNS = ("date", "ticker", "exchange", "open", "close", "is_missing", "is_member", "segment", "region")

NONE_GONE = CheckSpec("held_tickers_in_panel", "every ticker that is held is in the panel", blocking=False)
VAR_HOLDS = CheckSpec(
    "value_at_risk_holds",
    "The books of past nights lost more than the value at risk stated on their night as often as promised.",
    blocking=False,
)


@stage(
    group="night",
    kinds={"numpy"},
    partitions=days,
    mappings={"ensemble": dg.AllPartitionMapping()},
    checks=(NONE_GONE, CAPS, RECONCILES, VAR_HOLDS),
    tuned=True,
)
def target_positions(
    nightly_forecast: Version,
    calendar_panel: Version,
    feature_panel: pl.LazyFrame,
    serving_model: Version,
    ensemble: dict[str, Version],
    backtest_spec: BacktestSpec,
    mean_risk: MeanRiskSpec,
    scenarios: ScenarioSpec,
    issued: IssuedNights,
    earlier: EarlierNights,
    panels: EarlierPanels,
    replaced: Replaced,
    renames: Renames,
    day: Day,
) -> StageOutput:
    """The book that the simulation's rules hold after the next open, with trades, their expected cost and its value at risk.

    The book of the walk-forward, carried on by the nights' forecasts: those of the years up to the champion's fold, then
    those of the nights before, then this night's. A ticker that was forecast and has left the panel is closed at its last
    price, by the rows that it had when it was there.
    """
    from forecast_assets.champion.bundle import Card
    from forecast_assets.core.backtest.costs import Costs

    until = dt.date.fromisoformat(day)
    nights = {night: version for night, version in issued.items() if night < day} | {day: nightly_forecast}
    decisions, published = _decisions(
        ensemble,
        nights,
        fold=Card.model_validate(serving_model.json(CARD)).fold,
        horizon=backtest_spec.horizon_sessions,
        renames=renames,
    )
    panel = pl.read_parquet(calendar_panel.path(TABLE), columns=list(COLUMNS))
    gone = gone_tickers(decisions, panel, until=until, last_night=_last_night(earlier), panels=panels, renames=renames)
    quoted = pl.concat([panel, gone.select(COLUMNS)])
    lost = sorted(set(decisions["ticker"]) - set(quoted["ticker"]))
    since = dict(gone.select("ticker", "gone_since").unique().iter_rows())
    # A decision is traded where the row that it was made at is still known: of a ticker that has left, or of a day whose
    # row was taken back since, it may not be.
    decided = decisions.join(quoted.filter(~pl.col("is_missing")), on=["date", "ticker"], how="semi")
    next_book = _rules(mean_risk, published, calendar_panel, spec=backtest_spec)
    book = next_book(decided, quoted, until=until, spec=backtest_spec, gone=since)
    withdrawn = decisions.join(decided, on=["date", "ticker"], how="anti").filter(pl.col("date") <= until)
    closed = book.filter(pl.col("note").is_not_null())["ticker"].to_list()
    stated = stated_risk_of(
        book, nights, ensemble, feature_panel=feature_panel, spec=scenarios, replaced=replaced, renames=renames
    )
    record = matured_record(earlier, feature_panel, until=until, renames=renames)
    return StageOutput(
        files={
            TABLE: book,
            BOOK_RISK: stated.model_dump(mode="json"),
            BOOK_RISK_RECORD: record,
            **({GONE_TICKERS: gone} if gone.height else {}),
        },
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
            **risk_facts(stated.risk),
        },
        checks={
            NONE_GONE.name: Check(not closed and not lost, _gone_sentence(closed, lost), warns=True),
            **book_within_caps(book, spec=backtest_spec),
            **trades_reconcile(book, Costs.of(backtest_spec.cost_bps, quoted)),
            **value_at_risk_holds(record),
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


def stated_risk_of(
    book: pl.DataFrame,
    nights: Mapping[str, Version],
    ensemble: Mapping[str, Version],
    *,
    feature_panel: pl.LazyFrame,
    spec: ScenarioSpec,
    replaced: Version | None,
    renames: Mapping[str, str],
) -> "Stated":
    """Return what the book of the last of ``nights`` may lose, with what an earlier version of it stated first."""
    from forecast_assets.champion.risk import book_risk, forecasts_of_night, stated_risk
    from forecast_assets.core.joint.night import first_followed
    from forecast_assets.core.monitoring.book_risk import Stated

    day = max(nights)
    since = str(first_followed(day, spec))
    forecasts = forecasts_of_night(
        day,
        nights={night: version for night, version in nights.items() if night >= since},
        years={year: version for year, version in ensemble.items() if year >= since[:4]},
        feature_panel=feature_panel,
        renames=renames,
    )
    risk = book_risk(book, forecasts, spec)
    earlier = stated_risk(replaced) if replaced else None
    return earlier.before(risk, created=replaced.manifest.created) if earlier and replaced else Stated(risk=risk)


def matured_record(
    earlier: Mapping[str, Version], feature_panel: pl.LazyFrame, *, until: dt.date, renames: Mapping[str, str]
) -> pl.DataFrame:
    """Return the nights whose books have an outcome by ``until``: what the last night has, and those that came since."""
    from forecast_assets.champion.risk import PANEL_COLUMNS, renamed, risk_record, stated_risk
    from forecast_assets.core.monitoring.book_risk import extended_record

    record = risk_record(version for _, version in sorted(earlier.items()))
    last = str(record["night"].max() or "")
    found = [
        (risk, version.manifest.created)
        for night, version in earlier.items()
        if night > last and (risk := stated_risk(version)) is not None
    ]
    statements = [(renamed(first, renames), at) for first, at in (risk.as_first(created) for risk, created in found)]
    sessions = [position.session for risk, _ in statements for position in risk.positions]
    if not sessions:
        return record
    rows = feature_panel.select(PANEL_COLUMNS).filter(pl.col("date").is_between(min(sessions), until)).collect()
    return extended_record(record, statements, rows, until=until)


def risk_facts(risk: "BookRisk") -> dict[str, float | str]:
    """Return the book's value at risk and expected shortfall over one session by name, or why there are none."""
    one = risk.over_one_session
    if one is None:
        return {"value_at_risk": f"none: {risk.why}"}
    (var_95, var_99), (es_95, es_99) = one.value_at_risk, one.expected_shortfall
    return {"value_at_risk_95": var_95, "value_at_risk_99": var_99, "shortfall_95": es_95, "shortfall_99": es_99}


def value_at_risk_holds(record: pl.DataFrame) -> dict[str, Check]:
    """Return the check ``VAR_HOLDS`` of the nights that have an outcome."""
    from forecast_assets.core.monitoring.book_risk import judge

    found = judge(record)
    numbers: dict[str, int | float | str] = {**found.numbers()}
    if record.height:
        last = record.row(-1, named=True)
        numbers |= {"last_night": str(last["night"]), "last_return": last["realised"], "last_var_95": last["var_95"]}
    return {VAR_HOLDS.name: Check(not found.too_often, found.sentence, numbers, warns=True)}


def _decisions(
    ensemble: Mapping[str, Version],
    nights: Mapping[str, Version],
    *,
    fold: int,
    horizon: int,
    renames: Mapping[str, str],
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the decisions of the walk-forward up to the champion's ``fold``, then those of the nights, and the published
    forecasts that they were made of, the nights' first.
    """
    from forecast_assets.core.backtest.decisions import (
        consecutive,
        forecast_decisions,
        join_decisions,
        validation_line,
    )

    run = next(years for years in consecutive(map(int, ensemble)) if fold in years)
    tables = {year: _forecasts(ensemble[str(year)], renames) for year in run if year <= fold}
    walk_forward = join_decisions(
        {year: forecast_decisions(*pair, horizon_sessions=horizon) for year, pair in tables.items()}
    )
    # The first forecast of an origin is the one that was traded; a later night repeats a ticker whose exchange was closed.
    issued = [
        pl.concat(of).unique(["date", "ticker", "horizon"], keep="first", maintain_order=True)
        for of in zip(*(_forecasts(version, renames) for _, version in sorted(nights.items())), strict=True)
    ]
    line = validation_line(tables[fold][1], horizon_sessions=horizon)
    issued_decisions = forecast_decisions(issued[0], issued[1], horizon_sessions=horizon, no_skill=line)
    # An origin that a night and the fold both forecast was decided by the night.
    decisions = pl.concat([issued_decisions, walk_forward])
    published = [issued[0], *(forecasts for forecasts, _ in tables.values())]
    return decisions.unique(["date", "ticker"], keep="first", maintain_order=True), published


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
