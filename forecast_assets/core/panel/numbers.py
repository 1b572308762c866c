"""Text as numbers and dates. What can be read in two ways is not guessed."""

import polars as pl

MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "-")
ONE_READING = r"^[+-]?\d{1,3}(,\d{3})+\.\d+$|^[+-]?\d{1,3}(,\d{3}){2,}$|^[+-]?\d{1,3}([ '_]\d{3})+(\.\d+)?$"
"""Thousands marks that leave no doubt: a decimal point follows, there are two of them, or they are no comma."""
WHOLE_NUMBER = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
MAYBE_DECIMAL_COMMA = r"^[+-]?[\d.]*\d,\d+$"
FIRST_YEAR, LAST_YEAR = 1950, 2100


def parse_numbers(values: pl.Series, *, whole: bool) -> tuple[pl.Series, pl.Series]:
    """(numbers as Float64, mask of entries that are neither a number nor missing).

    NaN becomes null. ``whole`` numbers (volumes) take a single comma as a thousands mark, prices do not.
    """
    if values.dtype != pl.String:
        if not (values.dtype.is_numeric() or values.dtype == pl.Null):
            return pl.Series(values.name, [None] * len(values), dtype=pl.Float64), values.is_not_null()
        return values.cast(pl.Float64).fill_nan(None), values.is_null() & False
    numbers = values.cast(pl.Float64, strict=False)
    odd = numbers.is_null() & values.is_not_null()
    if odd.any():  # the rare path: text that is not a plain number
        text = values.filter(odd).str.strip_chars()
        text = text.set(text.str.to_lowercase().is_in(MISSING_WORDS), None)
        pattern = WHOLE_NUMBER if whole else ONE_READING
        marked = text.str.contains(ONE_READING) | text.str.contains(pattern)
        text = text.zip_with(~marked.fill_null(False), text.str.replace_all("[, '_]", ""))
        read = text.cast(pl.Float64, strict=False)
        where = odd.arg_true()
        numbers = numbers.scatter(where, read)
        odd = odd.scatter(where, text.is_not_null() & read.is_null())
    return numbers.fill_nan(None), odd


def has_decimal_commas(prices: list[pl.Series]) -> bool:
    """Whether the prices of a file seem to be written with decimal commas, so that `1,234` has two readings.

    True when some price has a lone comma and none has a plain decimal point.
    """
    texts = [series.drop_nulls().str.strip_chars() for series in prices if series.dtype == pl.String]
    commas = any(
        (text.str.contains(MAYBE_DECIMAL_COMMA) & ~text.str.contains(ONE_READING)).any()
        for text in texts
        if not text.is_empty()
    )
    return commas and not any(text.str.contains(r"^[+-]?\d*\.\d+$").any() for text in texts)


def parse_dates(values: pl.Series) -> pl.Series:
    """Dates, null where there is none: ISO (2024-01-31, 2024/01/31, 20240131), also with a time and an offset.

    A time with an offset is the exchange's own clock, so its date is the date as written. Orders of day and month that
    can't be told apart (01/02/2024) are not read. Years outside 1950 to 2100 are taken as errors.
    """
    if values.dtype == pl.Date:
        dates = values
    elif isinstance(values.dtype, pl.Datetime):
        dates = values.dt.date()
    else:
        text = values.cast(pl.String, strict=False).str.strip_chars()
        dates = text.str.to_date("%Y-%m-%d", strict=False)
        odd = dates.is_null() & text.is_not_null()
        if odd.any():
            rare = text.filter(odd)
            day = rare.str.extract(r"^(\d{4}[-/]\d{2}[-/]\d{2})(?:[T ]\d{2}:\d{2}.*)?$").str.replace_all("/", "-")
            compact = rare.str.extract(r"^(\d{8})$")
            read = day.str.to_date("%Y-%m-%d", strict=False)
            read = read.zip_with(read.is_not_null(), compact.str.to_date("%Y%m%d", strict=False))
            dates = dates.scatter(odd.arg_true(), read)
    dates = dates.rename("date")
    return dates.set(~dates.dt.year().is_between(FIRST_YEAR, LAST_YEAR).fill_null(True), None)
