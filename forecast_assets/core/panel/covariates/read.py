"""Read the file of a covariate, strictly: a row per value, with the point in time from which it was known.

A file that has to be guessed at is refused whole, with its first bad line. When a value was known is never guessed: a column
``available_at`` says it, or the release that is declared.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.nearest import nearest_name, nearest_names
from forecast_assets.core.panel.covariates.declare import NAME, Specs
from forecast_assets.core.panel.origins import MOMENT, released_after_close, released_at
from forecast_assets.core.specs import CovariateColumn, CovariateSpec
from forecast_assets.core.strict_table import LINE, MOMENT_HINT, as_date, as_moment, as_number, as_text, open_table

DATE, TICKER, AVAILABLE, WITHDRAWN = "date", "ticker", "available_at", "withdrawn_at"
EVENT = ""
"""Column of the rows that say that there is an event, of value 1."""
ROWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "covariate": pl.String,
    "column": pl.String,  # of the file; ``EVENT`` of an event itself
    "ticker": pl.String,  # null: of all tickers
    "date": pl.Date,  # null of a static value
    "known_from": MOMENT,  # null of a static value, which was always known
    "withdrawn": MOMENT,  # from when on an event was known not to come; null: never
    "value": pl.Float64,
}
FAR_EAST = dt.timedelta(hours=14)  # how long before its midnight in UTC a day begins in the furthest time zone
NAMED = 3  # tickers that a sentence names


@dataclass(frozen=True)
class Covariates:
    """The declared series with their ``columns`` filled in, and the rows (``ROWS``) of all of them."""

    specs: Specs
    rows: pl.DataFrame

    def of(self, name: str) -> pl.DataFrame:
        """Return the rows of one covariate."""
        return self.rows.filter(pl.col("covariate") == name)


def no_covariates() -> Covariates:
    """Return what is there where none is declared."""
    return Covariates({}, pl.DataFrame(schema=ROWS))


def read_covariates(specs: Specs, files: Mapping[str, Path]) -> Covariates:
    """Read the file of each of ``specs``, by name. Raises BadInput as ``read_covariate``."""
    read = {name: read_covariate(files[name], name=name, spec=spec) for name, spec in specs.items()}
    return Covariates(
        {name: spec for name, (spec, _) in read.items()},
        pl.concat([no_covariates().rows, *(rows for _, rows in read.values())]),
    )


def read_covariate(path: Path, *, name: str, spec: CovariateSpec) -> tuple[CovariateSpec, pl.DataFrame]:
    """Return ``spec`` with its ``columns`` filled in, and the rows (``ROWS``) of the file.

    Raises BadInput, one sentence, where the file can't be used: "FILE: line 7: what is wrong; what to write".
    """
    keys = _keys(spec)
    raw = open_table(path, holds=f"a {spec.kind} series has {', '.join(keys)} and columns of numbers")
    filled = _with_columns(spec, raw.columns, file=path.name).model_copy(update={"path": path.name})
    table = raw.select(LINE, *_key_columns(raw, filled), *_numbers(raw, filled))
    table = _timed(table, filled, file=path.name)
    _check(raw, table, filled, file=path.name)
    columns = [column for column in _value_columns(filled) if column in table.columns]
    events = table.with_columns(pl.lit(1.0).alias(EVENT)) if spec.kind == "known_future" else table
    absent = {n: pl.lit(None, dtype=t) for n, t in ROWS.items() if n not in events.columns and n != "value"}
    long = [
        events.with_columns(**absent | {"covariate": pl.lit(name), "column": pl.lit(column)}, value=pl.col(column))
        for column in ([EVENT, *columns] if spec.kind == "known_future" else columns)
    ]
    rows = pl.concat(part.select(pl.col(n).cast(t) for n, t in ROWS.items()) for part in long)
    return filled, rows.filter(pl.col("value").is_not_null())  # an empty cell is no value


def require_tickers(covariates: Covariates, tickers: pl.Series) -> None:
    """Raise BadInput for a covariate by ticker that has none of the panel's ``tickers``."""
    for name, spec in covariates.specs.items():
        own = covariates.of(name)["ticker"].drop_nulls().unique().sort()
        if spec.is_of_tickers and not own.is_in(tickers.implode()).any():
            seen = ", ".join(own.head(NAMED).to_list()) or "none at all"
            meant = nearest_name(own[0], tickers.to_list()) if len(own) else tickers[0]
            raise BadInput(
                f"{Path(spec.path).name}: no ticker of {name} ({seen}) is in the panel; name them as the panel does, "
                f"such as {meant}"
            )


def _keys(spec: CovariateSpec) -> tuple[str, ...]:
    dates = () if spec.kind == "static" else (DATE,)
    return (*dates, *((TICKER,) if spec.is_of_tickers else ()))


def _value_columns(spec: CovariateSpec) -> list[str]:
    return sorted({column.column.lower() for column in spec.columns.values()})


def _with_columns(spec: CovariateSpec, found: Sequence[str], *, file: str) -> CovariateSpec:
    """Return ``spec`` with a feature for each column of numbers, unless it names some. Raises BadInput for wrong columns."""
    keys = _keys(spec)
    if missing := [name for name in keys if name not in found]:
        raise BadInput(f"{file}: missing columns {missing}; have {[n for n in found if n != LINE]}; add them")
    timing = (
        {AVAILABLE, WITHDRAWN} if spec.kind == "known_future" else {AVAILABLE} if spec.kind == "observed" else set()
    )
    values = [name for name in found if name not in {LINE, *keys, *timing}]
    if spec.kind != "static" and (AVAILABLE in found) == (spec.release is not None):
        raise BadInput(
            f"{file}: both a column {AVAILABLE} and a release say when a value was known; keep one of them"
            if spec.release is not None
            else f"{file}: nothing says when a value was known; add a column {AVAILABLE}"
            + (", or declare its release" if spec.kind == "observed" else ", when each date was announced")
        )
    if TICKER in values:
        raise BadInput(f"{file}: it has a column ticker; declare key: ticker, or remove the column")
    if spec.columns:
        wanted = {column.column.lower(): column.column for column in spec.columns.values()}
        if unknown := [column for lower, column in wanted.items() if lower not in values]:
            near = nearest_names(unknown[0], values, count=1, cutoff=0)
            raise BadInput(f"{file}: no column {unknown[0]!r}" + (f"; the nearest is {near[0]}" if near else ""))
        return spec
    if odd := [name for name in values if not NAME.fullmatch(name)]:
        raise BadInput(f"{file}: column {odd[0]!r} gives no name for a feature; rename it, or name it under columns")
    if not values and spec.kind != "known_future":
        raise BadInput(f"{file}: no column of numbers beside {', '.join(keys)}; add one")
    return spec.model_copy(update={"columns": {name: CovariateColumn(column=name) for name in values}})


def _key_columns(raw: pl.DataFrame, spec: CovariateSpec) -> list[pl.Expr]:
    """Return the typed columns of keys and times; what can't be read becomes null."""
    keys = _keys(spec)
    typed = [as_date(raw, DATE).alias(DATE)] if DATE in keys else []
    typed += [as_text(TICKER).alias(TICKER)] if TICKER in keys else []
    if spec.kind == "static":
        return typed
    if AVAILABLE in raw.columns:
        typed.append(as_moment(raw, AVAILABLE).dt.replace_time_zone(None).alias("known_from"))
    if spec.kind == "known_future" and WITHDRAWN in raw.columns:
        typed.append(as_moment(raw, WITHDRAWN).dt.replace_time_zone(None).alias("withdrawn"))
    return typed


def _numbers(raw: pl.DataFrame, spec: CovariateSpec) -> list[pl.Expr]:
    return [as_number(raw, name).alias(name) for name in _value_columns(spec)]


def _timed(table: pl.DataFrame, spec: CovariateSpec, *, file: str) -> pl.DataFrame:
    """Return ``table`` with ``known_from`` by the declared release, if that says it."""
    release = spec.release
    if release is None or table[DATE].null_count():
        return table
    if release.exchange is not None:
        lag = dt.timedelta(hours=release.hours)
        what = f"{file}: its dates"
        known = released_after_close(table[DATE], exchange=release.exchange, lag=lag, what=what)
    else:
        assert release.days is not None  # by ReleaseSpec
        assert release.time is not None
        assert release.zone is not None
        known = released_at(table[DATE], lag_days=release.days, time=release.time, zone=release.zone)
    return table.with_columns(known_from=known)


def _check(raw: pl.DataFrame, table: pl.DataFrame, spec: CovariateSpec, *, file: str) -> None:
    """Raise BadInput with the first line of the first thing that is wrong, and in how many lines it is."""
    keys, checks = _keys(spec), list[tuple[pl.Expr, str]]()
    if DATE in keys:
        checks.append((pl.col(DATE).is_null(), "the date is not one like 2024-01-31"))
    if TICKER in keys:
        checks.append((pl.col(TICKER).is_null(), "the ticker is missing; name it as the panel does"))
    if "known_from" in table.columns:
        checks.append((pl.col("known_from").is_null(), f"{AVAILABLE} {MOMENT_HINT}"))
        if spec.kind == "observed":
            early = pl.col("known_from") < pl.col(DATE).cast(MOMENT) - FAR_EAST
            checks.append(
                (early, "it was available before its own day; if it tells of days ahead, declare kind: known_future")
            )
    if "withdrawn" in table.columns:
        given = raw[WITHDRAWN].cast(pl.String, strict=False).fill_null("").str.strip_chars() != ""
        checks.append((pl.col("withdrawn").is_null() & given, f"{WITHDRAWN} {MOMENT_HINT}"))
        checks.append((pl.col("withdrawn") <= pl.col("known_from"), f"{WITHDRAWN} is not after {AVAILABLE}"))
    for name in _value_columns(spec):
        text = raw[name].cast(pl.String, strict=False).fill_null("").str.strip_chars() != ""
        wrong = (pl.col(name).is_null() & text) | ~pl.col(name).is_finite()
        checks.append((wrong, f"{name} is not a number; leave it empty where there is none"))
    for label, column in spec.columns.items():
        if column.transform in ("log", "log_change"):
            checks.append(
                (pl.col(column.column.lower()) <= 0, f"{column.column} is not above zero, and {label} takes logs")
            )
    version = [*keys, *(["known_from"] if "known_from" in table.columns else [])]
    same = "the same ticker" if spec.kind == "static" else f"the same {' and '.join(keys)}, available at the same time,"
    checks.append((pl.struct(version).is_duplicated(), f"{same} is there twice; keep one row"))
    for fault, what in checks:
        if (found := table.filter(fault.fill_null(False))).height:
            more = f" (and {found.height - 1} more)" if found.height > 1 else ""
            raise BadInput(f"{file}: line {found[LINE][0]}{more}: {what}")
