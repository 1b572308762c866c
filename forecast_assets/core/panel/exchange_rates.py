"""Read exchange rates from a file, strictly: pairs by name, which say the direction, made into units of one base currency.

EURUSD is dollars for one euro, here as anywhere. A column that only names a currency would not say which way its rate goes,
and is refused; so are pairs whose numbers say the opposite of their names, or that contradict each other.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from forecast_assets.core.errors import BadInput, BadSetting
from forecast_assets.core.panel.currencies import CURRENCIES, HUNDREDTHS

DATE, PAIR, RATE = "date", "pair", "rate"
FORMS = "a file of exchange rates has either Date and a column per pair, such as EURUSD, or date, pair, rate"
LARGEST_STEP = 3.0  # factor between two days' rates beyond which one of them is a slip: no currency here lost as much
APART = 0.1  # by which two ways to one rate may differ on a day: fixings of other hours, and no more
FARTHER = (
    5.0  # factor by which a rate must be farther from its usual size than its inverse is, to be the other way round
)
UNIT = 50.0  # factor off its usual size beyond which a rate counts pennies, or hundreds

USUAL_DOLLARS = {
    **{"USD": 1.0, "EUR": 1.15, "GBP": 1.4, "CHF": 1.05, "SEK": 0.11, "NOK": 0.12, "DKK": 0.155, "ISK": 0.0075},
    **{"PLN": 0.27, "CZK": 0.045, "HUF": 0.0035, "RON": 0.24, "TRY": 0.15, "RUB": 0.017, "ILS": 0.28, "ZAR": 0.07},
    **{"EGP": 0.06, "SAR": 0.267, "AED": 0.272, "QAR": 0.275, "KWD": 3.3, "INR": 0.014, "JPY": 0.0085, "CNY": 0.15},
    **{"CNH": 0.15, "HKD": 0.128, "KRW": 0.00085, "TWD": 0.033, "SGD": 0.74, "THB": 0.03, "IDR": 0.00007},
    **{"MYR": 0.25, "PHP": 0.02, "VND": 0.000043, "AUD": 0.77, "NZD": 0.7, "CAD": 0.8, "MXN": 0.055, "BRL": 0.25},
    **{"ARS": 0.02, "CLP": 0.0014, "COP": 0.0003, "PEN": 0.28},
}
"""Rough value of one unit in dollars since 2010, to notice a rate that goes the other way or counts another unit."""

RATES: dict[str, pl.DataType] = {"date": pl.Date(), "currency": pl.String(), "rate": pl.Float64()}
"""Columns of the rates: units of the base currency for one unit of ``currency``, on the days that the file has."""

_NAME = re.compile(r"(?:C:)?([A-Z]{3})[/_ -]?([A-Z]{3})(?:=X)?")


@dataclass(frozen=True)
class Pair:
    """A pair of currencies with its quotes by day: units of ``second`` for one unit of ``first``."""

    name: str  # as the file has it
    first: str
    second: str
    quotes: pl.DataFrame  # line, date, rate, by date


def no_rates() -> pl.DataFrame:
    """Return the empty table of rates."""
    return pl.DataFrame(schema=RATES)


def read_rates(path: Path, *, base: str, until: dt.date | None = None) -> pl.DataFrame:
    """Read a CSV or Parquet file of pairs up to day ``until`` as ``RATES``, by currency and date.

    A currency without a pair with ``base`` is taken through the one other currency that has a pair with both, on the days
    of both; one that can't be reached is left out. Raises BadInput, one sentence, where the file can't be used, BadSetting
    where ``base`` is none of its currencies.
    """
    if base not in CURRENCIES:
        raise BadSetting(f"currency.base: {base} is no currency that is known here; write a code such as USD or EUR")
    pairs = list(_pairs(_opened(path), path.name))
    if until is not None:
        pairs = [Pair(p.name, p.first, p.second, p.quotes.filter(pl.col("date") <= until)) for p in pairs]
    for pair in pairs:
        _require_plausible(pair, path.name)
    known = sorted({code for pair in pairs for code in (pair.first, pair.second)})
    if base not in known:
        raise BadSetting(
            f"currency.base: {path.name} has no pair with {base} (it has {', '.join(known)}); add one, or --set "
            f"currency.base={known[0]}"
        )
    by_second: dict[str, dict[str, pl.DataFrame]] = {}
    for first, second, way in _both_ways(pairs, path.name):
        by_second.setdefault(second, {})[first] = way
    found = [no_rates()]
    for currency in known:
        if currency != base and (ways := _ways(currency, base, by_second)):
            _require_agreement(ways, currency, base, path.name)
            rates = next(iter(ways.values()))
            found.append(rates.select("date", currency=pl.lit(currency), rate="rate"))
    if (table := pl.concat(found)).is_empty():
        raise BadInput(
            f"{path.name}: no rate{f' up to {until}' if until else ''}; give the file rows, or leave FORECAST_FX unset"
        )
    return table


def _opened(path: Path) -> pl.DataFrame:
    """Return the file's columns, text in those of a CSV, and ``line``: of a Parquet file the row."""
    is_parquet = path.name.lower().endswith((".parquet", ".pq"))
    try:
        raw = pl.read_parquet(path) if is_parquet else pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        kind = "a Parquet file" if is_parquet else "a CSV with commas"
        raise BadInput(
            f"{path.name}: not readable as {kind} ({str(error).splitlines()[0]}); write it as one"
        ) from error
    names = [name.strip().lstrip("\ufeff") for name in raw.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{path.name}: columns {twice} are there twice; keep one of each")
    raw = raw.rename(dict(zip(raw.columns, names, strict=True)))
    for name, dtype in raw.schema.items():
        if name.lower() != DATE and dtype != pl.String and not dtype.is_numeric():
            raise BadInput(f"{path.name}: column {name} holds {dtype}; write numbers")
    dates = [name for name in raw.columns if name.lower() == DATE]
    if len(dates) != 1:
        raise BadInput(f"{path.name}: no column Date; {FORMS}")
    if "line" in raw.columns:
        raise BadInput(f"{path.name}: the column line is no pair; {FORMS}")
    if raw.is_empty():
        raise BadInput(f"{path.name}: no row; {FORMS}")
    table = raw.rename({dates[0]: DATE}).with_row_index("line", offset=1 if is_parquet else 2)
    return table.filter(~pl.all_horizontal(pl.exclude("line").is_null()))  # an empty line is no row


def _pairs(raw: pl.DataFrame, file: str) -> Iterator[Pair]:
    """Yield the pairs of the file, each checked line by line."""
    lower = {name.lower(): name for name in raw.columns}
    table = raw.with_columns(_date(raw.schema[DATE]).alias(DATE))
    _refuse(table.filter(pl.col(DATE).is_null()), "the date is not one like 2024-01-31", file)
    if PAIR not in lower:
        columns = [name for name in raw.columns if name not in ("line", DATE)]
        ends = {name: _ends(name, file) for name in columns}
        tables = {name: table.select("line", DATE, rate=name) for name in columns}
    else:
        if missing := {RATE} - set(lower):
            raise BadInput(f"{file}: missing columns {sorted(missing)}; {FORMS}")
        long = table.select("line", DATE, pair=pl.col(lower[PAIR]).cast(pl.String).str.strip_chars(), rate=lower[RATE])
        _refuse(long.filter(pl.col(PAIR).fill_null("") == ""), "the pair is missing; name it, such as EURUSD", file)
        parts = long.partition_by(PAIR, as_dict=True, maintain_order=True)
        ends = {str(name): _ends(str(name), file) for (name,) in parts}
        tables = {str(name): part.drop(PAIR) for (name,), part in parts.items()}
        for part in tables.values():
            _refuse(part.filter(_is_empty(part.schema[RATE])), "the rate is missing; leave the row out", file)
    if not tables:
        raise BadInput(f"{file}: no pair; {FORMS}")
    for name, quotes in tables.items():
        yield Pair(name, *ends[name], _checked(quotes, name, file))


def _ends(name: str, file: str) -> tuple[str, str]:
    """Return the two currencies of a pair's name. Raises BadInput for what is no pair."""
    text = name.upper()
    if (found := _NAME.fullmatch(text)) and found[1] != found[2] and {found[1], found[2]} <= CURRENCIES:
        return found[1], found[2]
    part = next((code for code in HUNDREDTHS if code in text), None)
    if part:
        raise BadInput(
            f"{file}: {name}: {part} is a hundredth of {HUNDREDTHS[part]}; give the rate of {HUNDREDTHS[part]}"
        )
    if text in CURRENCIES or text in ("CURRENCY", RATE.upper()):
        raise BadInput(
            f"{file}: the column {name} does not say which way its rates go; name a pair: EURUSD is dollars for one euro, "
            "USDJPY yen for one dollar"
        )
    raise BadInput(f"{file}: {name} is no pair of currencies; name it like EURUSD, or remove it: {FORMS}")


def _date(dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date:
        return pl.col(DATE)
    if isinstance(dtype, pl.Datetime):
        return pl.col(DATE).dt.date()
    return pl.col(DATE).cast(pl.String, strict=False).str.strip_chars().str.to_date("%Y-%m-%d", strict=False)


def _is_empty(dtype: pl.DataType) -> pl.Expr:
    column = pl.col(RATE)
    return column.is_null() | (column.str.strip_chars() == "") if dtype == pl.String else column.is_null()


def _checked(quotes: pl.DataFrame, name: str, file: str) -> pl.DataFrame:
    """Return line, date and rate as numbers, by date, without days on which there is none."""
    dtype = quotes.schema[RATE]
    number = pl.col(RATE).str.strip_chars() if dtype == pl.String else pl.col(RATE)
    given = quotes.filter(~_is_empty(dtype)).with_columns(number.cast(pl.Float64, strict=False).alias(RATE))
    _refuse(
        given.filter(~(pl.col(RATE).is_finite() & (pl.col(RATE) > 0)).fill_null(False)),
        f"the rate of {name} is no number above zero",
        file,
    )
    _refuse(given.filter(pl.col(DATE).is_duplicated()), f"the date is there twice for {name}; keep one", file)
    given = given.sort(DATE)
    step = (pl.col(RATE) / pl.col(RATE).shift(1)).log().abs()
    _refuse(
        given.filter(step > np.log(LARGEST_STEP)),
        f"the rate of {name} is more than {LARGEST_STEP:g} times that of the day before, or less than a third of it; "
        "correct the file",
        file,
    )
    return given


def _refuse(bad: pl.DataFrame, what: str, file: str) -> None:
    if bad.height:
        more = f" (and {bad.height - 1} more)" if bad.height > 1 else ""
        raise BadInput(f"{file}: line {bad['line'][0]}{more}: {what}")


def _require_plausible(pair: Pair, file: str) -> None:
    """Raise BadInput where the numbers of a pair are those of the opposite pair, or of another unit."""
    if pair.quotes.is_empty():
        return
    usual = USUAL_DOLLARS[pair.first] / USUAL_DOLLARS[pair.second]
    rate = float(np.median(pair.quotes[RATE].to_numpy()))
    off, inverse_off = (abs(float(np.log(value / usual))) for value in (rate, 1.0 / rate))
    says = f"{file}: {pair.name} is about {rate:.6g}, but one {pair.first} is worth about {usual:.2g} {pair.second}"
    if off > inverse_off + np.log(FARTHER):
        raise BadInput(f"{says}; these are rates of {pair.second}{pair.first}: rename it")
    if off > np.log(UNIT):
        raise BadInput(f"{says}; give the rate of one whole {pair.first}, in whole {pair.second}")


def _both_ways(pairs: Sequence[Pair], file: str) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Yield (first, second, quotes) of each pair as it is, then of those that are there in the other direction alone."""
    given = {}
    for pair in pairs:
        if (pair.first, pair.second) in given:
            raise BadInput(f"{file}: {pair.name} is there twice; keep one")
        given[pair.first, pair.second] = pair.quotes.select(DATE, RATE)
    for (first, second), quotes in given.items():
        yield first, second, quotes
        inverse = quotes.with_columns((1.0 / pl.col(RATE)).alias(RATE))
        if (second, first) not in given:
            yield second, first, inverse
        else:
            ways = {f"{second}{first}": given[second, first], f"{first}{second}": inverse}
            _require_agreement(ways, second, first, file)


def _ways(currency: str, base: str, by_second: dict[str, dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    """Return the rates of ``currency`` in ``base`` by how they are come by, the direct pair first."""
    to_base = by_second[base]
    ways = {f"{currency}{base}": to_base[currency]} if currency in to_base else {}
    for middle in sorted(to_base):
        if middle != currency and (leg := by_second.get(middle, {}).get(currency)) is not None:
            both = leg.join(to_base[middle], on=DATE, suffix="_base").sort(DATE)
            ways[f"{currency}{middle} and {middle}{base}"] = both.select(DATE, rate=pl.col(RATE) * pl.col("rate_base"))
    return ways


def _require_agreement(ways: dict[str, pl.DataFrame], currency: str, base: str, file: str) -> None:
    """Raise BadInput where two ways to one rate differ: a pair among them is misnamed, or wrong."""
    (how, first), *others = ways.items()
    for other_how, other in others:
        both = first.join(other, on=DATE, suffix="_other").sort(DATE)
        apart = both.filter((pl.col(RATE) / pl.col("rate_other")).log().abs() > np.log1p(APART))
        if apart.height:
            day, one, two = apart.select(DATE, RATE, "rate_other").row(0)
            raise BadInput(
                f"{file}: on {day} one {currency} is {one:.6g} {base} by {how} and {two:.6g} by {other_how}; one of them is "
                "wrong or the other way round: correct it"
            )
