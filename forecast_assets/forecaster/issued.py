"""Forecasts as they were issued: those of the nights, and before these the walk-forward's."""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from forecast_assets.champion.issued import KEYS, issued_table
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.core.horizons import QUANTILE_COLUMNS
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.scores.direction import probability_above
from forecast_assets.store.artefact_files import NIGHT_RECORD
from forecast_assets.store.asset_keys import ENSEMBLE, NIGHTLY_FORECAST
from forecast_assets.store.panel_in_use import declared_renames
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

LEDGER, WALK_FORWARD = "ledger", "walk_forward"
COLUMNS = (*KEYS, *QUANTILE_COLUMNS, "mean", "sigma", "p_up", "source", "made_by")
"""Of the tables here. Quantiles, ``mean`` and ``sigma`` are log returns over ``horizon`` sessions, ``p_up`` the probability
that the return is above zero; ``source`` is "ledger" (issued by a night) or "walk_forward" (by a fold that was trained on
years before); ``made_by`` names that night's model or that fold."""


def latest_forecasts(store: Store) -> pl.DataFrame:
    """Return what the newest night forecast, without a night the last date of the walk-forward: ``COLUMNS`` by ticker.

    Raises MissingArtefact where nothing has been forecast yet.
    """
    newest = next(_tables(store, declared_renames(store)))
    if (newest["source"] == WALK_FORWARD).all():
        newest = newest.filter(pl.col("date") == pl.col("date").max())
    # A ticker that came late to the night was forecast at its session before first.
    newest = newest.filter(pl.col("date") == pl.col("date").max().over("ticker"))
    return newest.sort(KEYS[1], KEYS[0], KEYS[2])


def forecasts_of(store: Store, tickers: Sequence[str], *, day: dt.date | None = None) -> pl.DataFrame:
    """Return the forecasts of ``tickers`` at the close of ``day`` (None: each one's latest): ``COLUMNS``, in their order.

    Of a ticker and day the night that was committed first counts, as in the service. Raises BadInput for an unknown ticker
    and a day without a forecast of it, MissingArtefact where nothing has been forecast yet.
    """
    renames = declared_renames(store)
    wanted = {ticker: renames.get(ticker, ticker) for ticker in tickers}
    missing = set(wanted.values())
    nights: list[pl.DataFrame] = []
    folds: list[pl.DataFrame] = []
    for table in _tables(store, renames, since=day):
        mine = table.filter(pl.col("ticker").is_in(list(wanted.values())))
        mine = mine if day is None else mine.filter(pl.col("date") == day)
        (nights if (mine["source"] == LEDGER).all() else folds).append(mine)
        if day is None:
            missing -= set(mine["ticker"])
            if not missing:
                break
    # A night counts before a fold, and of two nights the one that was committed first; they were read from the newest back.
    found = pl.concat([*reversed(nights), *folds]).unique(KEYS, keep="first", maintain_order=True)
    if day is None:
        found = found.filter(pl.col("date") == pl.col("date").max().over("ticker"))
    for name in wanted.values():
        if found.filter(pl.col("ticker") == name).is_empty():
            raise BadInput(_nothing_found(store, renames, ticker=name, day=day))
    order = pl.DataFrame({"ticker": list(wanted.values())}).unique(maintain_order=True)
    return (
        order.join(found, on="ticker", maintain_order="left_right")
        .select(COLUMNS)
        .sort(pl.col("ticker").cast(pl.Enum(order["ticker"])), "horizon")
    )


def _tables(store: Store, renames: dict[str, str], *, since: dt.date | None = None) -> Iterator[pl.DataFrame]:
    """Yield the tables of nights and then of folds, latest commit first, that may forecast ``since`` or later.

    A night forecasts sessions up to its own, so those before ``since`` hold none of it.
    """
    nights = [
        store.current(NIGHTLY_FORECAST, night)
        for night in store.partitions(NIGHTLY_FORECAST)
        if since is None or night >= since.isoformat()
    ]
    nights.sort(key=lambda version: (version.manifest.created, str(version.partition)), reverse=True)
    years = [store.current(ENSEMBLE, year) for year in sorted(store.partitions(ENSEMBLE), reverse=True)]
    if not years and not nights:
        raise MissingArtefact(f"{store}: no forecasts yet; make some with: forecast-assets run")
    for version in (*nights, *years):
        if since is None or version.asset == NIGHTLY_FORECAST or version.partition == str(since.year):
            yield _of_version(version, renames)


def _of_version(version: Version, renames: dict[str, str]) -> pl.DataFrame:
    table = issued_table(version, renames).filter(pl.col("split") == "test")
    if version.asset == NIGHTLY_FORECAST:
        source, made_by = LEDGER, f"{version.label}, model {version.json(NIGHT_RECORD)['model_version']}"
    else:
        source, made_by = WALK_FORWARD, version.label
    p_up = pl.Series(probability_above(table.select(QUANTILE_COLUMNS).to_numpy()), dtype=pl.Float64)
    return table.with_columns(p_up=p_up, source=pl.lit(source), made_by=pl.lit(made_by)).select(COLUMNS)


def _nothing_found(store: Store, renames: dict[str, str], *, ticker: str, day: dt.date | None) -> str:
    dates: list[dt.date] = []
    names: set[str] = set()
    for table in _tables(store, renames):
        names |= set(table["ticker"])
        dates += table.filter(pl.col("ticker") == ticker)["date"].to_list()
    if ticker not in names:
        near = nearest_names(ticker, sorted(names))
        return f"{ticker}: no such ticker among the forecasts" + (f"; did you mean {', '.join(near)}?" if near else "")
    assert day is not None  # without one, its latest was found
    before, after = [d for d in dates if d < day], [d for d in dates if d > day]
    there = f"the one before is of {max(before)}" if before else f"the first is of {min(after)}"
    return f"{ticker}: no forecast was made at the close of {day}; {there}"
