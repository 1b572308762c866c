"""Make the feature panel from the calendar panel, whole or part by part."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.announcements.columns import NAMES as ANNOUNCEMENTS
from forecast_assets.core.panel.contracts import CalendarPanel, FeaturePanel, validate
from forecast_assets.core.panel.covariates.declare import declared_features
from forecast_assets.core.panel.covariates.join import add_covariates
from forecast_assets.core.panel.covariates.read import Covariates
from forecast_assets.core.panel.cross_sections import CrossSections
from forecast_assets.core.panel.features import SCALE, add_own_features, carry, cross_names, observed_rows, own_names
from forecast_assets.core.panel.known_future import KNOWN_FUTURE, add_known_future
from forecast_assets.core.panel.macro import MACRO_NAMES, add_macro
from forecast_assets.core.panel.targets import add_targets
from forecast_assets.core.specs import FeatureSpec

KEYS = ("date", "ticker", "exchange", "sector", "region", "segment", "is_missing", "is_member")

Parts = Callable[[], Iterable[pl.DataFrame]]
"""The same parts of whole tickers, in the order of tickers, each time it is called."""


def feature_panel(
    calendar_panel: pl.DataFrame,
    *,
    features: FeatureSpec,
    macro: pl.DataFrame | None = None,
    covariates: Covariates | None = None,
) -> pl.DataFrame:
    """Return features, known-future columns, ``ewma_vol``, targets and ``label_end`` per row of the calendar panel.

    Sorted by ticker and date, without prices and volume. ``macro``: see ``core.panel.macro``; ``covariates``: see
    ``core.panel.covariates``. Raises BadInput where the input breaks its contract.
    """
    ordered = calendar_panel.sort("ticker", "date")
    parts = with_macro(feature_parts(lambda: [ordered], features=features), macro)
    return pl.concat(with_covariates(parts, covariates))


def feature_parts(calendar_panel: Parts, *, features: FeatureSpec) -> Iterator[pl.DataFrame]:
    """Yield the feature panel of a calendar panel that comes in parts, which are read twice.

    A rank needs all tickers of its day, and a special session holds for all tickers of its exchange: both are collected
    from all parts before the first part is made. Until then a few numbers a row are kept.
    """
    ranks, quoted = CrossSections(features), []
    for part in calendar_panel():
        validate(part, CalendarPanel, "calendar_panel")
        observed = observed_rows(part)
        ranks.add(observed)
        quoted.append(observed.select("exchange", "date").unique())
    ranks.close()
    days = pl.concat(quoted).unique()
    for part in calendar_panel():
        observed = observed_rows(part)
        own = add_own_features(observed, spec=features).select(own_names(features))
        carried = carry(part, own.hstack(ranks.take(observed.height)))
        panel = add_targets(add_known_future(part.hstack(carried)), quoted=days)
        yield validate(panel.select(columns(features)), FeaturePanel, "feature_panel")


class AnnouncementRows(NamedTuple):
    """The announcements' table, by ticker and date: its rows before a day, and those from it on."""

    before: pl.LazyFrame
    latest: pl.LazyFrame
    day: dt.date


def with_announcements(parts: Iterable[pl.DataFrame], announcements: AnnouncementRows) -> Iterator[pl.DataFrame]:
    """Yield parts of a feature panel with the announcements' columns before the known-future ones.

    Raises ValueError where the two tables are not of the same rows.
    """
    keys = ["ticker", "date"]
    before, latest = 0, 0
    for part in parts:
        late = int((part["date"] >= announcements.day).sum())
        early = part.height - late
        pieces = (announcements.before.slice(before, early), announcements.latest.slice(latest, late))
        table = pl.concat(piece.select(*keys, *ANNOUNCEMENTS).collect() for piece in pieces).sort(keys)
        if not table.select(keys).equals(part.select(keys)):
            raise ValueError("announcements: its rows are not those of the calendar panel")
        yield part.hstack(table.select(ANNOUNCEMENTS).cast(pl.Float64)).select(_columns_with(part, ANNOUNCEMENTS))
        before, latest = before + early, latest + late


def with_macro(parts: Iterable[pl.DataFrame], macro: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    """Yield parts of a feature panel with the macro columns, if any, before the known-future ones."""
    for part in parts:
        if macro is None or macro.is_empty():
            yield part
        else:
            yield add_macro(part, macro).select(_columns_with(part, MACRO_NAMES))


def with_covariates(parts: Iterable[pl.DataFrame], covariates: Covariates | None) -> Iterator[pl.DataFrame]:
    """Yield parts of a feature panel with the columns of the user's own series, if any, before the known-future ones."""
    for part in parts:
        if covariates is None or not covariates.specs:
            yield part
        else:
            names = [feature.name for feature in declared_features(covariates.specs)]
            yield add_covariates(part, covariates).select(_columns_with(part, names))


def _columns_with(part: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the columns of a part with ``names`` before the known-future ones."""
    place = part.columns.index(KNOWN_FUTURE[0])
    return [*part.columns[:place], *names, *part.columns[place:]]


def columns(features: FeatureSpec) -> list[str]:
    """Columns of the feature panel, in order."""
    own = [name for name in own_names(features) if name != SCALE]
    return [*KEYS, *own, *cross_names(features), *KNOWN_FUTURE, SCALE, *TARGETS, "label_end"]
