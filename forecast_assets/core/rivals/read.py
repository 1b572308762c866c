"""Read a rival's forecasts from a file, strictly: a row per date, ticker and horizon, in log returns once read.

A file that has to be guessed at is refused whole, with its first bad line: a row left out in silence would be one forecast
less to answer for.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import QUANTILE_COLUMNS, QUANTILES
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.strict_table import MOMENT, MOMENT_HINT, as_date, as_moment, as_number, as_text, open_table

KEY = ("date", "ticker", "horizon")
RETURNS, AVAILABLE = "returns", "available_at"
KINDS_OF_RETURN = ("log", "simple")

QUANTILE_FORM, NORMAL_FORM, POINT_FORM = "quantiles", "mean and sigma", "point forecast"
FORMS: dict[str, tuple[str, ...]] = {
    QUANTILE_FORM: QUANTILE_COLUMNS,
    NORMAL_FORM: ("mean", "sigma"),
    POINT_FORM: ("forecast",),
}
"""Form of a file -> its columns of numbers."""

COLUMNS = (
    f"date, ticker, horizon, {RETURNS} and either {QUANTILE_COLUMNS[0]} ... {QUANTILE_COLUMNS[-1]}, or mean and sigma, "
)
COLUMNS += "or forecast"

REFUSED = "refused"  # in the record of a file: why it can't be used

SUFFIXES = (".csv.gz", ".csv", ".parquet")
LONGEST = 10_000  # sessions ahead, above which a horizon is a slip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
ZERO_SHOT_NAME = "f0_chronos"  # of the graph's own zero-shot forecasts
RESERVED_END = "_raw"  # of the name under which the forecasts before calibration are scored

ROWS: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "ticker": pl.String(),
    "horizon": pl.Int32(),
    AVAILABLE: MOMENT,
    "mean": pl.Float64(),
    **dict.fromkeys(QUANTILE_COLUMNS, pl.Float64()),
}


@dataclass(frozen=True)
class RivalForecasts:
    """What a file holds.

    ``rows`` (``ROWS``): log returns. ``available_at`` is null where the file has none; ``mean`` is the point forecast, null
    in the other forms; a point forecast has no quantiles.
    """

    name: str
    file: str
    form: str
    returns: str  # as the file has them
    rows: pl.DataFrame
    made_here: bool = False  # by a model of this graph, so that no unit has to be guessed

    @property
    def has_band(self) -> bool:
        """Whether the file says how uncertain its forecasts are."""
        return self.form != POINT_FORM

    @property
    def timed(self) -> bool:
        """Whether the file says when each forecast was available."""
        return self.rows[AVAILABLE].null_count() == 0


def rival_name(path: Path, *, beside: Sequence[Path] = ()) -> str:
    """Return the rival's name, that of its file without the suffix.

    ``beside``: all files of the folder. Raises BadInput for a file that can't be one, or that has another one's name.
    """
    suffix = _suffix(path)
    if suffix is None:
        raise BadInput(f"{path.name}: not read; a rival's forecasts are a file NAME.csv, NAME.csv.gz or NAME.parquet")
    name = path.name[: -len(suffix)]
    if not NAME.fullmatch(name) or name.endswith(RESERVED_END):
        raise BadInput(
            f"{path.name}: {name!r} is no name for a rival; use up to 40 letters, digits, _ and -, "
            f"without {RESERVED_END} at the end"
        )
    if name == ZERO_SHOT_NAME:
        raise BadInput(f"{path.name}: {name} is what our own zero-shot forecasts are called; choose another name")
    if twins := [other.name for other in beside if other != path and _same_name(other, name)]:
        raise BadInput(f"{path.name}: {', '.join(twins)} names the same rival, and nothing says which holds; keep one")
    return name


def read_rival(path: Path, *, until: dt.date | None = None, beside: Sequence[Path] = ()) -> RivalForecasts:
    """Read one file up to forecast origins of day ``until``; ``beside``: all files of its folder.

    Raises BadInput, one sentence, where it can't be used.
    """
    name, file = rival_name(path, beside=beside), path.name
    raw = open_table(path, holds=f"a file of forecasts has {COLUMNS}")
    form = _form(raw.columns, file)
    table = _typed(raw, FORMS[form])
    _check(table, FORMS[form], file)
    returns = str(table[RETURNS][0])
    if until is not None:
        table = table.filter(pl.col("date") <= until)
    made = _in_log_returns(form, simple=returns == "simple")
    absent = {n: pl.lit(None, dtype=dtype) for n, dtype in ROWS.items() if n not in (*table.columns, *made)}
    rows = table.with_columns(**absent, **made)
    return RivalForecasts(name, file, form, returns, rows.select(pl.col(n).cast(dtype) for n, dtype in ROWS.items()))


def rival_of_table(table: pl.DataFrame, *, name: str) -> RivalForecasts:
    """Return the forecasts of a model of this graph, from its forecast table, as a rival of the others."""
    absent = {n: pl.lit(None, dtype=dtype) for n, dtype in ROWS.items() if n in (AVAILABLE, "mean")}
    rows = table.with_columns(**absent).select(pl.col(n).cast(dtype) for n, dtype in ROWS.items())
    return RivalForecasts(name, name, QUANTILE_FORM, "log", rows, made_here=True)


def _suffix(path: Path) -> str | None:
    return next((end for end in SUFFIXES if path.name.lower().endswith(end)), None)


def _same_name(path: Path, name: str) -> bool:
    suffix = _suffix(path)
    return suffix is not None and path.name[: -len(suffix)] == name


def _form(columns: Sequence[str], file: str) -> str:
    """Return which of ``FORMS`` the columns are. Raises BadInput for missing and unknown ones and for two forms at once."""
    required, allowed = (*KEY, RETURNS), {"line", *KEY, RETURNS, AVAILABLE, *(n for of in FORMS.values() for n in of)}
    if unknown := [name for name in columns if name not in allowed]:
        meant = {name: nearest_names(name, allowed - {"line"}, count=1, cutoff=0.7) for name in unknown}
        hint = ", ".join(f"{name} may be {found[0]}" for name, found in meant.items() if found)
        raise BadInput(
            f"{file}: unknown columns {unknown}{f' ({hint})' if hint else ''}; rename or remove them: a file of "
            f"forecasts has {COLUMNS}, and {AVAILABLE} if you like"
        )
    if missing := [name for name in required if name not in columns]:
        say = f"; {RETURNS} holds log or simple in each row" if RETURNS in missing else ""
        raise BadInput(f"{file}: missing columns {missing}{say}; a file of forecasts has {COLUMNS}")
    begun = [form for form, names in FORMS.items() if set(names) & set(columns)]
    if len(begun) != 1:
        found = f"columns of {' and of '.join(begun)}" if begun else "no forecasts"
        raise BadInput(f"{file}: {found}; keep one form: {'; '.join(', '.join(names) for names in FORMS.values())}")
    if missing := [name for name in FORMS[begun[0]] if name not in columns]:
        raise BadInput(f"{file}: missing columns {missing}; {begun[0]} are all of {', '.join(FORMS[begun[0]])}")
    return begun[0]


def _typed(raw: pl.DataFrame, numbers: Sequence[str]) -> pl.DataFrame:
    """Return the columns typed; what can't be read becomes null."""
    return raw.select(
        "line",
        as_date(raw, "date").alias("date"),
        as_text("ticker"),
        as_number(raw, "horizon").alias("horizon"),
        pl.col(RETURNS).cast(pl.String).str.strip_chars().str.to_lowercase(),
        *(as_number(raw, name).alias(name) for name in numbers),
        *([as_moment(raw, AVAILABLE).alias(AVAILABLE)] if AVAILABLE in raw.columns else []),
    )


def _check(table: pl.DataFrame, numbers: Sequence[str], file: str) -> None:
    """Raise BadInput with the first line of the first thing that is wrong, and in how many lines it is."""
    column = {name: pl.col(name) for name in numbers}
    kinds = " or ".join(KINDS_OF_RETURN)
    checks: list[tuple[pl.Expr, str]] = [
        (
            pl.col("date").is_null(),
            "the date is not one like 2024-01-31; it is that of the close the forecast is made from",
        ),
        (pl.col("ticker").is_null(), "the ticker is missing; name it as the panel does"),
        (
            pl.col("horizon").is_null()
            | ~pl.col("horizon").is_between(1, LONGEST)
            | (pl.col("horizon").round() != pl.col("horizon")),
            "the horizon is no whole number of sessions; write 1, 5, ...",
        ),
        (~pl.col(RETURNS).is_in(KINDS_OF_RETURN) | pl.col(RETURNS).is_null(), f"{RETURNS} is not {kinds}; write which"),
        (
            pl.col(RETURNS) != pl.col(RETURNS).first(),
            f"{RETURNS} is not what line {table['line'][0]} says; write one kind",
        ),
        *(
            (~each.is_finite() | each.is_null(), f"{name} is not a number; give one, or leave the whole row out")
            for name, each in column.items()
        ),
    ]
    if "sigma" in column:
        checks.append((column["sigma"] <= 0, "sigma is not above zero; it is the standard deviation of the return"))
    simple = pl.col(RETURNS) == "simple"
    of_returns = [each for name, each in column.items() if name != "sigma"]
    checks.append(
        (
            simple & pl.any_horizontal(each <= -1 for each in of_returns),
            "a simple return of -1 or less loses more than everything; write fractions, 0.01 for 1 %",
        )
    )
    if tuple(numbers) == QUANTILE_COLUMNS:
        ordered = pairwise(QUANTILE_COLUMNS)
        crossing = pl.any_horizontal(pl.col(high) < pl.col(low) for low, high in ordered)
        checks.append((crossing, "its quantiles cross; sort them from q025 to q975"))
    if AVAILABLE in table.columns:
        checks.append(
            (
                pl.col(AVAILABLE).is_null(),
                f"{AVAILABLE} {MOMENT_HINT}",
            )
        )
    checks.append(
        (pl.struct(KEY).is_duplicated(), "its date, ticker and horizon are there twice; keep one row of each")
    )
    for wrong, what in checks:
        if (found := table.filter(wrong)).height:
            more = f" (and {found.height - 1} more)" if found.height > 1 else ""
            raise BadInput(f"{file}: line {found['line'][0]}{more}: {what}")


def _in_log_returns(form: str, *, simple: bool) -> dict[str, pl.Expr]:
    """Return the columns of ``ROWS`` that a form gives.

    Of simple returns a quantile's logarithm is the logarithm's quantile; mean and sigma become those of the lognormal with
    the same two moments. A point forecast r becomes log(1 + r): without a sigma, nothing is known of the half variance by
    which the mean of the logarithm is less.
    """
    if form == QUANTILE_FORM:
        return {name: pl.col(name).log1p() if simple else pl.col(name) for name in QUANTILE_COLUMNS}
    if form == NORMAL_FORM:
        mean, sigma = pl.col("mean"), pl.col("sigma")
        if simple:
            variance = ((sigma / (1 + mean)) ** 2).log1p()
            mean, sigma = mean.log1p() - variance / 2, variance.sqrt()
        scores = zip(QUANTILE_COLUMNS, map(NormalDist().inv_cdf, QUANTILES), strict=True)
        return {name: mean + sigma * score for name, score in scores} | {"mean": pl.lit(None, dtype=pl.Float64)}
    return {"mean": pl.col("forecast").log1p() if simple else pl.col("forecast")}
