"""Risk of the nights' books and of any portfolio, from the store: forecasts to draw scenarios of, and what was stated."""

from collections.abc import Iterable, Mapping

import polars as pl

from forecast_assets.champion.issued import issued_table
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.joint.night import (
    NightForecasts,
    first_followed,
    night_forecasts,
    night_template,
    portfolio_risk,
)
from forecast_assets.core.joint.weights import book_weights
from forecast_assets.core.monitoring.book_risk import RECORD_SCHEMA, BookRisk, HorizonRisk, Position, Stated
from forecast_assets.core.panel.lineage import latest_names
from forecast_assets.core.specs import ScenarioSpec
from forecast_assets.store.artefact_files import BOOK_RISK, BOOK_RISK_RECORD, TABLE
from forecast_assets.store.asset_keys import ENSEMBLE, FEATURE_PANEL, NIGHTLY_FORECAST
from forecast_assets.store.panel_in_use import days_in_panel, declared_renames, of_panel
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

PANEL_COLUMNS = ("date", "ticker", "is_missing", *TARGETS)


def read_forecasts(store: Store, night: str | None, *, spec: ScenarioSpec | None = None) -> NightForecasts:
    """Read the forecasts of ``night``, the newest where none is named, and those issued before it.

    With ``spec`` only as far back as its scenarios reach. Raises MissingArtefact without a night, or without the
    walk-forward that it rests on.
    """
    nights = days_in_panel(store, NIGHTLY_FORECAST)
    if not nights:
        raise MissingArtefact(f"{NIGHTLY_FORECAST}: no night yet; make one with: forecast-assets nightly")
    chosen = night or max(nights)
    if chosen not in nights:
        raise MissingArtefact(f"{NIGHTLY_FORECAST}: no night {chosen}; there are {nights[0]} to {nights[-1]}")
    years = [year for year in of_panel(store, store.partitions(ENSEMBLE)) if year]
    if not years:
        raise MissingArtefact(f"{ENSEMBLE}: not materialised; run the graph first")
    since = str(first_followed(chosen, spec)) if spec else ""
    return forecasts_of_night(
        chosen,
        nights={day: store.current(NIGHTLY_FORECAST, day) for day in nights if since <= day <= chosen},
        years={year: store.current(ENSEMBLE, year) for year in years if year >= since[:4]},
        feature_panel=pl.scan_parquet(store.current(FEATURE_PANEL).path(TABLE)),
        renames=declared_renames(store),
    )


def forecasts_of_night(
    night: str,
    *,
    nights: Mapping[str, Version],
    years: Mapping[str, Version],
    feature_panel: pl.LazyFrame,
    renames: Mapping[str, str],
) -> NightForecasts:
    """Return the forecasts of ``night`` with those of ``nights`` and folds before it, and what became of them."""
    *earlier, latest = (issued_table(version, renames) for _, version in sorted(nights.items()))
    folds = [issued_table(version, renames) for _, version in sorted(years.items())]
    sectors = feature_panel.select("ticker", "sector").unique("ticker", keep="last").collect()
    return night_forecasts(
        night,
        latest,
        before=[*folds, *earlier],
        rows=feature_panel.select(PANEL_COLUMNS).collect(),
        sectors=dict(sectors.iter_rows()),
    )


def book_risk(book: pl.DataFrame, forecasts: NightForecasts, spec: ScenarioSpec) -> BookRisk:
    """Return what a night's book (ticker, weight_target) may lose; where that can't be drawn, why."""
    held, left_out = book_weights(book, tickers=forecasts.tickers)
    origin = dict(zip(forecasts.tickers, forecasts.sessions, strict=True))
    positions = tuple(
        Position(ticker=ticker, weight=weight, session=origin[ticker]) for ticker, weight in sorted(held.items())
    )
    stated = BookRisk(night=forecasts.night, positions=positions, without_forecast=tuple(left_out))
    if not held:
        return stated.model_copy(update={"why": "the book is empty, so nothing is at risk"})
    try:
        past = night_template(forecasts, spec)
    except BadInput as error:
        return stated.model_copy(update={"why": str(error)})
    rows = portfolio_risk(forecasts, past, held, spec)
    return stated.model_copy(
        update={
            "scenarios": spec.scenarios,
            "past_days": past.past_days,
            "horizons": tuple(HorizonRisk.model_validate(row) for row in rows),
        }
    )


def renamed(risk: BookRisk, renames: Mapping[str, str]) -> BookRisk:
    """Return the risk with its positions under the tickers' latest names."""
    latest = latest_names(renames)
    positions = (each.model_copy(update={"ticker": latest.get(each.ticker, each.ticker)}) for each in risk.positions)
    return risk.model_copy(update={"positions": tuple(positions)})


def stated_risk(book: Version) -> Stated | None:
    """Return the risk that a version of the book states, None where an earlier release made it."""
    return Stated.model_validate(book.json(BOOK_RISK)) if BOOK_RISK in book.manifest.files else None


def risk_record(books: Iterable[Version]) -> pl.DataFrame:
    """Return the scored nights as the last of some books, in the order of nights, has them; empty where none has."""
    found = [version for version in books if BOOK_RISK_RECORD in version.manifest.files]
    return pl.read_parquet(found[-1].path(BOOK_RISK_RECORD)) if found else pl.DataFrame(schema=RECORD_SCHEMA)
