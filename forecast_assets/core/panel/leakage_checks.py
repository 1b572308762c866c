"""Leakage checks of the calendar and feature panels: no row may depend on data after its date.

Rows up to a day are computed twice more: from data that end on that day (truncation), and from data whose later values
are garbage (poison). Both have to equal, value for value, what the whole panel gives.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from forecast_assets.core.horizons import TARGETS
from forecast_assets.core.panel.build import feature_panel
from forecast_assets.core.panel.calendar import reindex
from forecast_assets.core.panel.comparison import KEY, compare, without_open_holes
from forecast_assets.core.panel.contracts import CalendarPanel
from forecast_assets.core.panel.corrections import apply_corrections
from forecast_assets.core.panel.covariates.read import Covariates
from forecast_assets.core.panel.origins import origin_times
from forecast_assets.core.panel.point_in_time import known_by, label_sectors, mark_members
from forecast_assets.core.specs import FeatureSpec, PanelSpec

SAMPLE_TICKERS = 40  # a larger panel is checked on this many tickers, evenly spaced over exchanges and tickers
CUT_SHARE = 0.7  # share of the sessions that lie up to the cut
GARBAGE_SPREAD = 3.0  # standard deviation of the log of the factors on later numbers, by row and again by ticker


@dataclass(frozen=True)
class LeakageCheck:
    """Differences of the rows up to ``cut`` after one way of changing the future."""

    cut: dt.date
    tickers: int
    rows: int
    changed: Mapping[str, int]  # column -> number of rows that differ; "rows": rows added or removed

    @property
    def holds(self) -> bool:
        """Whether there were rows to compare and none differs."""
        return not self.changed and self.rows > 0


def calendar_leakage(
    raw_panel: pl.LazyFrame,
    *,
    spec: PanelSpec,
    universe: pl.DataFrame | None = None,
    sectors: pl.DataFrame | None = None,
) -> dict[str, LeakageCheck]:
    """Check sessions, members and sector labels by truncation and poison, on the corrected panel: a correction rescales
    earlier prices.

    A hole at the cut is not known to be one yet, so its filled rows may be missing. The universe and the labels are cut
    with the panel.
    """
    rows, _ = apply_corrections(sample(raw_panel), corrections=spec.corrections)
    cut = cut_day(rows["date"])

    def make(part: pl.DataFrame) -> pl.DataFrame:
        seen = cut if part.select(pl.max("date")).item() <= cut else None
        marked = mark_members(reindex(part, spec=spec), known_by(universe, seen))
        return label_sectors(marked, known_by(sectors, seen))

    return check_leakage(rows, make, cut=cut)


def feature_leakage(
    calendar_panel: pl.LazyFrame,
    *,
    features: FeatureSpec,
    macro: pl.DataFrame | None = None,
    covariates: Covariates | None = None,
) -> dict[str, LeakageCheck]:
    """Check all feature columns, and the targets that end by the cut, by truncation and poison.

    The macro series are cut with the panel. Of the user's own series, what arrived after the cut's last close is dropped, or
    garbage.
    """
    rows = sample(calendar_panel.select(list(CalendarPanel.columns())))
    cut = cut_day(rows["date"])
    last_close: dt.datetime = origin_times(rows.filter(pl.col("date") <= cut)).select(pl.max("close")).item()

    def make(part: pl.DataFrame) -> pl.DataFrame:
        is_short = part.select(pl.max("date")).item() <= cut
        seen = macro.filter(pl.col("date") <= cut) if macro is not None and is_short else macro
        own = covariates
        if covariates is not None and part is not rows:
            own = _changed_after(covariates, last_close, dropped=is_short)
        return feature_panel(part, features=features, macro=seen, covariates=own)

    return check_leakage(rows, make, cut=cut)


def _changed_after(covariates: Covariates, moment: dt.datetime, *, dropped: bool) -> Covariates:
    """Return covariates without withdrawals after ``moment``, and values that arrived after it ``dropped`` or garbage."""
    rows = covariates.rows.with_columns(withdrawn=pl.when(pl.col("withdrawn") <= moment).then("withdrawn"))
    later = (pl.col("known_from") > moment).fill_null(False)
    if dropped:
        return replace(covariates, rows=rows.filter(~later))
    noise = pl.Series(np.exp(np.random.default_rng(0).normal(0.0, GARBAGE_SPREAD, rows.height)))
    return replace(
        covariates, rows=rows.with_columns(value=pl.when(later).then(pl.col("value") * noise).otherwise("value"))
    )


def check_leakage(
    rows: pl.DataFrame, make: Callable[[pl.DataFrame], pl.DataFrame], *, cut: dt.date
) -> dict[str, LeakageCheck]:
    """Compare ``make(rows)`` up to ``cut`` with the same from truncated and from poisoned ``rows``: name -> LeakageCheck.

    Both tables have ``ticker`` and ``date``. A target that is null in the truncated table reaches past the cut, so it and
    ``label_end`` may change there; only filled rows may be missing from the truncated table.
    """
    early = pl.col("date") <= cut
    whole = make(rows).filter(early).sort(KEY)
    short = make(rows.filter(early)).filter(early).sort(KEY)
    poisoned = make(poison(rows, later=~early)).filter(early).sort(KEY)
    tickers = rows["ticker"].n_unique()

    def check(before: pl.DataFrame, after: pl.DataFrame, *, count: int) -> LeakageCheck:
        found = compare(*_matured(short, before, after))
        return LeakageCheck(cut, tickers, count, {column: change.count for column, change in found.items()})

    return {
        "truncation": check(without_open_holes(whole, short), short, count=short.height),
        "poison": check(whole, poisoned, count=whole.height),
    }


def sample(table: pl.LazyFrame, *, tickers: int = SAMPLE_TICKERS) -> pl.DataFrame:
    """Return the rows of at most ``tickers`` tickers, the same ones for the same panel."""
    names = table.select("exchange", "ticker").unique().sort("exchange", "ticker").collect(engine="streaming")["ticker"]
    chosen = names.gather_every(max(1, -(-len(names) // tickers)))
    return table.filter(pl.col("ticker").is_in(chosen.implode())).collect(engine="streaming")


def cut_day(dates: pl.Series) -> dt.date:
    """Return the session up to which ``CUT_SHARE`` of the sessions lie, at least the first."""
    days = dates.unique().sort()
    day: dt.date = days[max(0, int(CUT_SHARE * len(days)) - 1)]
    return day


def poison(rows: pl.DataFrame, *, later: pl.Expr) -> pl.DataFrame:
    """Return ``rows`` with numbers, sectors and members of ``later`` rows replaced by garbage that keeps the contracts."""
    rng = np.random.default_rng(0)
    own = rng.normal(0.0, GARBAGE_SPREAD, rows.height)
    levels = rng.normal(0.0, GARBAGE_SPREAD, rows["ticker"].n_unique())  # which of two tickers is larger is garbage too
    noise = np.exp(own + levels[rows["ticker"].rank("dense").to_numpy() - 1])
    numbers = [name for name, dtype in rows.schema.items() if dtype == pl.Float64]
    garbage = [
        pl.when(later).then(pl.col(name) * pl.Series(np.roll(noise, shift))).otherwise(pl.col(name)).alias(name)
        for shift, name in enumerate(numbers)
    ]
    sector = pl.when(later).then(pl.lit("poison")).otherwise(pl.col("sector")).alias("sector")
    is_member = [(pl.col(name) ^ later).alias(name) for name in rows.columns if name == "is_member"]
    return rows.with_columns(*garbage, sector, *is_member)


def _matured(short: pl.DataFrame, *tables: pl.DataFrame) -> list[pl.DataFrame]:
    """Return tables without ``label_end`` and without the targets that ``short`` does not have: they reach past the cut."""
    targets = [name for name in TARGETS if name in short.columns]
    known = short.select(*KEY, *(pl.col(name).is_not_null().alias(f"{name} known") for name in targets))
    kept = [pl.when(f"{name} known").then(name).alias(name) for name in targets]
    return [
        table.drop("label_end", strict=False)
        .join(known, on=KEY, how="left", maintain_order="left")
        .with_columns(kept)
        .drop(f"{name} known" for name in targets)
        for table in tables
    ]
