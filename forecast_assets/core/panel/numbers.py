"""Parse numbers and dates from text; ambiguous notations are rejected, not guessed."""

from dataclasses import dataclass

import polars as pl

from forecast_assets.core.errors import BadInput

MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "-")
ONE_READING = r"^[+-]?\d{1,3}(,\d{3})+\.\d+$|^[+-]?\d{1,3}(,\d{3}){2,}$|^[+-]?\d{1,3}([ '_]\d{3})+(\.\d+)?$"
"""Unambiguous thousands marks: a decimal point follows, there are two of them, or they are no comma."""
WHOLE_NUMBER = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
MAYBE_DECIMAL_COMMA = r"^[+-]?[\d.]*\d,\d+$"
DOTTED_GROUP = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"
"""A decimal of three digits, or thousands marked with a dot as in much of Europe."""
DOTTED_GROUPS = r"^[+-]?[1-9]\d{0,2}(\.\d{3}){2,}$"
DOTTED = r"^[+-]?\d*\.\d*([eE][+-]?\d+)?$"
FIRST_YEAR, LAST_YEAR = 1950, 2100


def parse_numbers(values: pl.Series, *, whole: bool, notation: "Notation") -> tuple[pl.Series, pl.Series]:
    """Return (numbers as Float64, mask of entries that are neither a number nor missing).

    NaN becomes null. In ``whole`` numbers (volumes) a single comma is a thousands mark, in prices it is not. The texts
    are counted in ``notation``.
    """
    if values.dtype != pl.String:
        if not (values.dtype.is_numeric() or values.dtype == pl.Null):
            return pl.Series(values.name, [None] * len(values), dtype=pl.Float64), values.is_not_null()
        return values.cast(pl.Float64).fill_nan(None), values.is_null() & False
    numbers = values.cast(pl.Float64, strict=False)
    odd = numbers.is_null() & values.is_not_null()
    notation.add(values, odd=odd)
    if odd.any():  # the rare path: text that is not a plain number
        text = values.filter(odd).str.strip_chars()
        text = text.set(text.str.to_lowercase().is_in(MISSING_WORDS), None)
        pattern = WHOLE_NUMBER if whole else ONE_READING
        marked = text.str.contains(ONE_READING) | text.str.contains(pattern)
        text = text.zip_with(~marked.fill_null(False), text.str.replace_all("[, '_]", ""))
        dots = text.str.contains(DOTTED_GROUPS).fill_null(False)
        text = text.zip_with(~dots, text.str.replace_all(".", "", literal=True))
        read = text.cast(pl.Float64, strict=False)
        where = odd.arg_true()
        numbers = numbers.scatter(where, read)
        odd = odd.scatter(where, text.is_not_null() & read.is_null())
    return numbers.fill_nan(None), odd


@dataclass
class Notation:
    """Counts of how the numbers of one file are written, over its blocks, to find ambiguous ones.

    Counts of texts: ``groups`` like 12.345, ``many`` like 1.234.567, ``decimals`` with any other point, ``whole`` without
    one, ``commas`` like 1,234 that stand alone.
    """

    groups: int = 0
    many: int = 0
    decimals: int = 0
    whole: int = 0
    commas: int = 0

    def add(self, values: pl.Series, *, odd: pl.Series) -> None:
        """Count the next texts of a column; ``odd`` marks those that are no plain number."""
        strange = values.filter(odd).str.strip_chars()
        self.many += int(strange.str.contains(DOTTED_GROUPS).sum())
        self.commas += int((strange.str.contains(MAYBE_DECIMAL_COMMA) & ~strange.str.contains(ONE_READING)).sum())
        if self.decimals > max(PROVEN, self.groups) and not self.many:
            return  # nearly every file, after its first block: its points are decimal
        texts = values.drop_nulls().str.strip_chars()
        point = texts.str.contains(".", literal=True)
        pointed = texts.filter(point)
        groups = pointed.str.contains(DOTTED_GROUP)
        self.groups += int(groups.sum())
        self.decimals += int((~groups & pointed.str.contains(DOTTED)).sum())
        self.whole += int(texts.filter(~point).str.contains(r"^[+-]?\d+$").sum())

    @property
    def points_are_decimal(self) -> bool:
        """Whether enough points are certainly decimal; a few may be slips in a file of thousands."""
        return self.decimals > FEW * self.groups


PROVEN = 100  # number of certain decimals after which the points of a file count as decimal
FEW = 0.05  # share of certain decimals among numbers like 12.345 that may be slips


def check_notation(file: str, *, prices: Notation, volumes: Notation) -> None:
    """Raise BadInput where a file's numbers have two readings, a thousand times apart.

    A price like 1,234 is ambiguous unless other prices have decimal points. A number like 12.345 is a thousand where
    others are written 1.234.567; in volumes also where no point is certainly decimal, since volumes are whole; in prices
    also where no point is certainly decimal and some prices have none, since a file with three decimals always has them.
    """
    if prices.commas and not prices.decimals and not prices.groups:
        raise BadInput(
            f"{file}: prices with a comma may be decimal or thousands (1,234); write them with a decimal point"
        )
    price = prices.groups and (prices.many or (not prices.points_are_decimal and prices.whole))
    volume = volumes.groups and (volumes.many or not volumes.points_are_decimal)
    for what, ambiguous in (("prices", price), ("volumes", volume)):
        if ambiguous:
            raise BadInput(
                f"{file}: {what} like 12.345 may be decimal or thousands; write them without marks between thousands"
            )


def parse_dates(values: pl.Series) -> pl.Series:
    """Parse dates, null where there is none: ISO (2024-01-31, 2024/01/31, 20240131), also with a time and an offset.

    A time with an offset is the exchange's own clock, so its date is the date as written. Ambiguous orders of day
    and month (01/02/2024) are not read. Years outside 1950 to 2100 are taken as errors.
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
