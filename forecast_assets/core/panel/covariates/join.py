"""Add the user's own series to the feature panel: what was known at each row's forecast origin, never by date alone."""

from bisect import insort

import polars as pl

from forecast_assets.core.panel.covariates.declare import feature_name
from forecast_assets.core.panel.covariates.events import event_columns
from forecast_assets.core.panel.covariates.read import Covariates
from forecast_assets.core.panel.covariates.transform import transformed
from forecast_assets.core.panel.origins import origin_times
from forecast_assets.core.specs import CovariateColumn, CovariateSpec


def add_covariates(panel: pl.DataFrame, covariates: Covariates) -> pl.DataFrame:
    """Return ``panel`` (date, ticker, exchange, ...) plus the columns of ``declare.declared_features``, in its row order.

    A value enters from ``known_from`` on, compared with the close of the row's own exchange; null where none is known, or
    the newest is stale. A filled row has what was known at its session's close. Without covariates it adds nothing.
    """
    if not covariates.specs:
        return panel
    keys = ["exchange", "date"]
    rows = panel.select("ticker", *keys).join(origin_times(panel), on=keys, how="left", maintain_order="left")
    columns: list[pl.Series] = []
    for name, spec in covariates.specs.items():
        own = covariates.of(name)
        if spec.is_of_tickers:
            own = own.filter(pl.col("ticker").is_in(panel["ticker"].unique().implode()))
        if spec.kind == "known_future":
            jump = panel["announcement_jump"] if "announcement_jump" in panel.columns else None
            columns += event_columns(rows, own, name=name, spec=spec, jump=jump)
        else:
            columns += [
                _joined(rows, own.filter(pl.col("column") == column.column.lower()), column, spec).alias(
                    feature_name(name, label)
                )
                for label, column in spec.columns.items()
            ]
    return panel.with_columns(columns)


def _joined(rows: pl.DataFrame, values: pl.DataFrame, column: CovariateColumn, spec: CovariateSpec) -> pl.Series:
    """Return one column for ``rows`` (ticker, exchange, date, close), (N,)."""
    if spec.kind == "static":
        seen = values.select("ticker", found=transformed(column))
        return rows.join(seen, on="ticker", how="left", maintain_order="left")["found"]
    by = ["ticker"] if spec.is_of_tickers else []
    known = newest_known(values, column, by=by).rename({"date": "day"})
    # A series by date is the same for all tickers of an exchange: it is looked up once for each.
    places = rows.select([*by, "exchange", "date", "close"]).unique().sort("close")
    found = places.join_asof(
        known, left_on="close", right_on="known_from", by=by or None, check_sortedness=False
    ).with_columns(found=pl.when((pl.col("date") - pl.col("day")).dt.total_days() <= spec.stale_days).then("found"))
    keys = [*by, "exchange", "date"]
    return rows.join(found.select(*keys, "found"), on=keys, how="left", maintain_order="left")["found"]


def newest_known(values: pl.DataFrame, column: CovariateColumn, *, by: list[str]) -> pl.DataFrame:
    """Return, each time that a value of a series arrives, what is known of it then: (``by``, known_from, date, found).

    That is the value of the newest date, in its newest version then, transformed; a change looks back to the date ``over``
    dates before, of those known by then and in its version of then.
    """
    ordered = values.sort(*by, "known_from", "date")
    group = pl.struct(by) if by else pl.lit(0)
    comes_late = (pl.col("date").diff().dt.total_days() <= 0).any().over(group)
    marked = ordered.with_columns(base=pl.col("value").shift(column.over).over(group), comes_late=comes_late)
    late = marked.filter("comes_late")
    parts = [marked.filter(~pl.col("comes_late"))]
    parts += [_in_versions(part, over=column.over) for part in (late.partition_by(by) if by else [late])]
    seen = pl.concat(parts).select(*by, "known_from", "date", found=transformed(column, base=pl.col("base")))
    return seen.sort("known_from", "date", maintain_order=True)


def _in_versions(series: pl.DataFrame, *, over: int) -> pl.DataFrame:
    """Return a series with revisions, or whose dates did not arrive in order, as it was known with each row's arrival."""
    dates: list[int] = []  # that have arrived, ascending
    newest: dict[int, float] = {}
    seen: list[tuple[int, float, float | None]] = []
    for date, value in zip(series["date"].to_physical(), series["value"], strict=True):
        if date not in newest:
            insort(dates, date)
        newest[date] = value
        seen.append((dates[-1], newest[dates[-1]], newest[dates[-1 - over]] if len(dates) > over else None))
    date, value, base = zip(*seen, strict=True) if seen else ((), (), ())
    return series.with_columns(
        date=pl.Series(date, dtype=pl.Int32).cast(pl.Date),
        value=pl.Series(value, dtype=pl.Float64),
        base=pl.Series(base, dtype=pl.Float64),
    )
