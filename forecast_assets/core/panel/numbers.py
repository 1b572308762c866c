"""Parse numbers from text; what has two readings is refused, not guessed."""

from dataclasses import dataclass, field

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.layouts import OPTIONS

MISSING_WORDS = ("", "nan", "na", "n/a", "null", "none", "-", "--", "\\n", "nat", "#n/a", "#n/a n/a", "<na>", "(null)")
SPACES = "[ '_\u00a0\u202f\u2019]"
ONE_READING = (
    r"^[+-]?\d{1,3}(,\d{3})+\.\d+$|^[+-]?\d{1,3}(,\d{3}){2,}$|^[+-]?\d{1,2}(,\d{2})+,\d{3}(\.\d+)?$"
    rf"|^[+-]?\d{{1,3}}({SPACES}\d{{3}})+(\.\d+)?$"
)
"""Unambiguous thousands marks: a decimal point follows, there are two, groups of two (lakh), or they are no comma."""
WHOLE_NUMBER = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
MAYBE_DECIMAL_COMMA = r"^[+-]?[\d.]*\d,\d+$"
DECIMAL_COMMA = r"^[+-]?\d+,(\d{1,2}|\d{4,})$|^[+-]?\d{1,3}(\.\d{3})+,\d+$"
"""A comma that no thousands mark can be."""
DOTTED_GROUP = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"
"""A decimal of three digits, or thousands marked with a dot as in much of Europe."""
EIGHTH = r"\.(125|375|625|875)$"
DOTTED_GROUPS = r"^[+-]?[1-9]\d{0,2}(\.\d{3}){2,}$"
POINTS_MARK_THOUSANDS = r"^[^.]*$|^\D*[1-9]\d{0,2}(\.\d{3})+(\D.*)?$"
DOTTED = r"^[+-]?\d*\.\d*([eE][+-]?\d+)?$"
CURRENCY = r"^([+-]?)\s?(?:US\$|[$\u20ac\u00a3\u00a5\u20b9\u20a9])\s?"
MULTIPLE = r"^([\d.,]+) ?([KkMmBbTt])$"
MULTIPLES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
MOST = 0.5  # share of a file's prices that begin with a currency sign where it is its notation


@dataclass(frozen=True)
class Style:
    """How one file writes numbers, found from its first rows or declared."""

    decimal: str | None = None  # declared: '.' or ','
    commas: bool = False  # single commas are thousands marks, as other numbers of the file prove
    currency: bool = False  # prices begin with a currency sign


def find_style(prices: list[pl.Series], volumes: pl.Series | None, *, decimal: str | None, whole_prices: bool) -> Style:
    """Return the style of a file's numbers from samples of its columns.

    A comma is a thousands mark throughout where some numbers leave no other reading (1,234,567 or 1,234.50), none can
    only be a decimal comma, and in ``whole_prices`` (of a currency without decimals) where all groups are of three digits.
    """
    texts = [series.drop_nulls().str.strip_chars() for series in prices if series.dtype == pl.String]
    price = pl.concat(texts) if texts else pl.Series(dtype=pl.String)
    signed = price.str.contains(CURRENCY)
    currency = len(price) > 0 and signed.sum() >= MOST * len(price)
    volume = volumes.drop_nulls().str.strip_chars() if volumes is not None and volumes.dtype == pl.String else None
    every = pl.concat([price.str.replace(CURRENCY, "$1"), *([volume] if volume is not None else [])])
    certain = every.str.contains(ONE_READING).any() and every.str.contains(",", literal=True).any()
    decimal_commas = price.str.replace(CURRENCY, "$1").str.contains(DECIMAL_COMMA).any()
    grouped = price.filter(price.str.contains(",", literal=True))
    whole = whole_prices and len(grouped) > 0 and grouped.str.contains(WHOLE_NUMBER).all()
    return Style(decimal, bool((certain or whole) and not decimal_commas), bool(currency))


def parse_numbers(
    values: pl.Series, *, whole: bool, notation: "Notation", style: Style = Style()
) -> tuple[pl.Series, pl.Series]:
    """Return (numbers as Float64, mask of entries that are neither a number nor missing).

    NaN becomes null. In ``whole`` numbers (volumes) a single comma is a thousands mark and 1.5M a million and a half; in
    prices a comma is one where the file's ``style`` says so. The texts are counted in ``notation``.
    """
    if values.dtype != pl.String:
        if not (values.dtype.is_numeric() or values.dtype == pl.Null):
            return pl.Series(values.name, [None] * len(values), dtype=pl.Float64), values.is_not_null()
        return values.cast(pl.Float64).fill_nan(None), values.is_null() & False
    if style.currency:
        values = values.str.strip_chars().str.replace(CURRENCY, "$1")
    if style.decimal == ",":
        values = values.str.strip_chars()
        # A point that marks no thousands: read without it, 100.25 would be 10025.
        values = values.set((~values.str.contains(POINTS_MARK_THOUSANDS)).fill_null(False), "a decimal point")
        values = values.str.replace_all(rf"[.]|{SPACES}", "").str.replace(",", ".", literal=True)
    numbers = values.cast(pl.Float64, strict=False)
    odd = numbers.is_null() & values.is_not_null()
    if style.decimal is None:
        notation.add(values, odd=odd)
    if odd.any():  # the rare path: text that is not a plain number
        text = values.filter(odd).str.strip_chars()
        text = text.set(text.str.to_lowercase().is_in(MISSING_WORDS), None)
        multiple = pl.Series([1.0]).new_from_index(0, len(text))
        if whole:
            letters = text.str.extract(MULTIPLE, 2).str.to_lowercase()
            multiple = letters.replace_strict(MULTIPLES, default=1.0, return_dtype=pl.Float64)
            text = text.zip_with(letters.is_null(), text.str.extract(MULTIPLE, 1))
        pattern = WHOLE_NUMBER if whole or style.commas or style.decimal == "." else ONE_READING
        marked = text.str.contains(ONE_READING) | text.str.contains(pattern)
        text = text.zip_with(~marked.fill_null(False), text.str.replace_all(rf",|{SPACES}", ""))
        dots = text.str.contains(DOTTED_GROUPS).fill_null(False)
        text = text.zip_with(~dots, text.str.replace_all(".", "", literal=True))
        read = text.cast(pl.Float64, strict=False) * multiple
        where = odd.arg_true()
        numbers = numbers.scatter(where, read)
        odd = odd.scatter(where, text.is_not_null() & read.is_null())
    return numbers.fill_nan(None), odd


@dataclass
class Notation:
    """Counts of how the numbers of one file are written, over its blocks, to find ambiguous ones.

    Counts of texts: ``groups`` like 12.345, of which ``eighths`` like 12.375, ``many`` like 1.234.567, ``decimals`` with any
    other point, ``whole`` without one, ``commas`` like 1,234 that stand alone.
    """

    groups: int = 0
    eighths: int = 0
    many: int = 0
    decimals: int = 0
    whole: int = 0
    commas: int = 0
    example: dict[str, str] = field(default_factory=dict)  # of each kind, one text

    def add(self, values: pl.Series, *, odd: pl.Series) -> None:
        """Count the next texts of a column; ``odd`` marks those that are no plain number."""
        strange = values.filter(odd).str.strip_chars()
        self.many += int(strange.str.contains(DOTTED_GROUPS).sum())
        alone = strange.filter(strange.str.contains(MAYBE_DECIMAL_COMMA) & ~strange.str.contains(ONE_READING))
        self._count("commas", alone)
        if self.decimals > max(PROVEN, self.groups) and not self.many:
            return  # nearly every file, after its first block: its points are decimal
        texts = values.drop_nulls().str.strip_chars()
        point = texts.str.contains(".", literal=True)
        pointed = texts.filter(point)
        groups = pointed.str.contains(DOTTED_GROUP)
        self._count("groups", pointed.filter(groups))
        self.eighths += int(pointed.filter(groups).str.contains(EIGHTH).sum())
        self.decimals += int((~groups & pointed.str.contains(DOTTED)).sum())
        self.whole += int(texts.filter(~point).str.contains(r"^[+-]?\d+$").sum())

    def _count(self, kind: str, texts: pl.Series) -> None:
        setattr(self, kind, getattr(self, kind) + len(texts))
        if len(texts):
            self.example.setdefault(kind, texts[0])

    @property
    def points_are_decimal(self) -> bool:
        """Whether enough points are certainly decimal; a few may be slips in a file of thousands.

        So are two or more that are all eighths, as prices in the United States were until 2001.
        """
        return self.decimals > FEW * self.groups or (self.groups > 1 and self.eighths == self.groups)


PROVEN = 100  # number of certain decimals after which the points of a file count as decimal
FEW = 0.05  # share of certain decimals among numbers like 12.345 that may be slips


def check_notation(file: str, *, prices: Notation, volumes: Notation, style: Style = Style()) -> None:
    """Raise BadInput, with the line to add, where a file's numbers have two readings, a thousand times apart.

    A price like 1,234 is ambiguous unless other prices have decimal points or the ``style`` proves its commas. A number
    like 12.345 is a thousand where others are written 1.234.567; in volumes also where no point is certainly decimal,
    since volumes are whole; in prices also where no point is certainly decimal and some prices have none, since a file
    with three decimals always has them.
    """
    if prices.commas and not prices.decimals and not prices.groups and not style.commas:
        raise BadInput(
            f"{file}: prices like {prices.example['commas']} may have a decimal comma or thousands; say which, in "
            f'{OPTIONS}: decimal: "," (or decimal: ".")'
        )
    price = prices.groups and (prices.many or (not prices.points_are_decimal and prices.whole))
    volume = volumes.groups and (volumes.many or not volumes.points_are_decimal)
    for what, counted, ambiguous in (("prices", prices, price), ("volumes", volumes, volume)):
        if ambiguous:
            raise BadInput(
                f"{file}: {what} like {counted.example['groups']} may be decimal or thousands; say which, in {OPTIONS}: "
                'decimal: "." (or decimal: ",")'
            )
