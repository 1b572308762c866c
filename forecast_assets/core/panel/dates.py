"""Read dates as files write them: one notation a file, found from its own rows; what can be read in two ways is refused."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.layouts import OPTIONS
from forecast_assets.core.panel.sessions import time_zone

TEXT_MARKS = " \t\r\n'"  # around a date; spreadsheets put an apostrophe before what is text
FIRST_YEAR, LAST_YEAR = 1950, 2100
FIRST_QUOTES = 1800  # an earlier year is no date
SAMPLE = 1000  # different dates that are looked at first
SHARE = 0.5  # of the dates of a file's first block that have to be of one notation
MIN_DATES = 5  # distinct dates from which their spacing tells one reading from another
DENSE, SPARSE = 0.3, 0.08  # dates per calendar day: of daily quotes, and below which a reading is none of them
TIME = r"(?:,?[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?: ?([AaPp][Mm]))?)?"
ZONE = r" ?(Z|UTC|GMT|[+-]\d{2}:?\d{2})?(?: ?\[?[A-Za-z]+/[A-Za-z_]+\]?)?$"
DAY_OF_WEEK = r"^(?:[A-Za-z]{3,9},? )?"
ISO = r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + TIME + ZONE
COMPACT = r"^(\d{4})(\d{2})(\d{2})(?:\.0+)?" + TIME + ZONE
NUMERIC = DAY_OF_WEEK + r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + TIME + ZONE
TWO_DIGITS = DAY_OF_WEEK + r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{2})" + TIME + ZONE
MINGUO = r"^(\d{2,3})/(\d{1,2})/(\d{1,2})()()()()()$"
DAY_NAME = DAY_OF_WEEK + r"(\d{1,2})[- /.]([A-Za-z]{3,9})\.?[- /.,]+(\d{4}|\d{2})" + TIME + ZONE
NAME_DAY = DAY_OF_WEEK + r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})" + TIME + ZONE
EPOCH = r"^(\d{9,10}|\d{12,13}|\d{15,16}|\d{18,19})(?:\.0+)?$"
EXCEL_DAY = r"^[2-5]\d{4}(\.\d+)?$"  # 1954 to 2064
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MINGUO_ZERO = 1911  # the year before the first of the Republic of China's calendar


@dataclass(frozen=True)
class Notation:
    """How one file writes dates: a pattern, and which of its first three groups are year, month and day."""

    pattern: str
    order: str = "ymd"
    code: str = "%Y-%m-%d"
    minguo: bool = False


PLAIN = (Notation(ISO), Notation(COMPACT, code="%Y%m%d"))
"""Notations that have one reading; they are read in every file."""
OTHERS: Mapping[str, tuple[Notation, ...]] = {
    "numeric": (Notation(NUMERIC, "dmy", "%d/%m/%Y"), Notation(NUMERIC, "mdy", "%m/%d/%Y")),
    "two digits": (
        Notation(TWO_DIGITS, "dmy", "%d/%m/%y"),
        Notation(TWO_DIGITS, "mdy", "%m/%d/%y"),
        Notation(TWO_DIGITS, "ymd", "%y/%m/%d"),
    ),
    "minguo": (Notation(MINGUO, "ymd", "minguo", minguo=True),),
    "day and name": (Notation(DAY_NAME, "dmy", "%d-%b-%Y"),),
    "name and day": (Notation(NAME_DAY, "mdy", "%b %d, %Y"),),
    "epoch": (Notation(EPOCH, "", "epoch"),),
}
"""Notations by their shape; those of one shape are the readings that it may have."""


def find_notation(values: pl.Series, *, file: str, declared: str | None = None) -> tuple[Notation, ...]:
    """Return the notations that a file's dates are read by, from a sample of them.

    ``declared``: a format like ``%d/%m/%Y``, ``minguo`` or ``epoch``. Raises BadInput, with the line to add, where most
    dates have two readings and their spacing does not decide between them.
    """
    if declared:
        return (_declared(declared, file),)
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        return PLAIN
    text = _texts(values).drop_nulls().unique()
    _refuse_unknown(text, file)
    plain = sum(int(text.str.contains(notation.pattern).sum()) for notation in PLAIN)
    if plain >= SHARE * len(text):
        return PLAIN
    shapes = Counter({name: int(text.str.contains(readings[0].pattern).sum()) for name, readings in OTHERS.items()})
    if shapes["minguo"] and not text.str.contains(r"^1\d\d/").any():
        del shapes["minguo"]
    name, count = shapes.most_common(1)[0]
    if count < SHARE * len(text):
        return PLAIN
    return (*PLAIN, _one_reading(text, OTHERS[name], file))


def _refuse_unknown(text: pl.Series, file: str) -> None:
    """Raise BadInput, with the line to add, where none of the texts is written like a date."""
    text = text.filter(text != "").head(SAMPLE)
    notations = (*PLAIN, *(notation for readings in OTHERS.values() for notation in readings))
    if (
        text.is_empty()
        or text.str.contains(ISO).any()
        or any(_read(text, notation).is_not_null().any() for notation in notations)
    ):
        return
    serial = text.str.contains(EXCEL_DAY).all()
    hint = "a spreadsheet's count of days: format the column as dates and save it again, or " if serial else ""
    raise BadInput(
        f"{file}: dates like {text.sort()[0][:40]!r} are in no notation that is known ({hint}say it, in {OPTIONS}: "
        'date_format: "%d%m%Y"; or say which column holds the days: columns: {date: NAME})'
    )


def _one_reading(text: pl.Series, readings: tuple[Notation, ...], file: str) -> Notation:
    found = {notation: _read(text, notation).drop_nulls() for notation in readings}
    most = max(len(dates) for dates in found.values())
    able = [notation for notation, dates in found.items() if len(dates) >= 0.98 * most and len(dates)]
    if not able:
        return readings[0]
    if len(able) > 1 and len(text) >= MIN_DATES:
        dense = {notation: _density(found[notation]) for notation in able}
        best = max(able, key=lambda notation: dense[notation])
        if dense[best] >= DENSE and all(dense[notation] < SPARSE for notation in able if notation != best):
            able = [best]
    if len(able) > 1:
        example = text.sort()[0]
        ways = " or ".join(f"{found[n].sort()[0]} ({_shown(n, example)})" for n in able)
        raise BadInput(
            f"{file}: dates like {example} have {len(able)} readings, {ways}; say which it is, in {OPTIONS}: "
            f'date_format: "{_shown(able[0], example)}"'
        )
    return able[0]


def _density(dates: pl.Series) -> float:
    days = dates.unique().sort()
    return len(days) / max(1, (days[-1] - days[0]).days)


def _shown(notation: Notation, example: str) -> str:
    mark = next((mark for mark in example if mark in "-/."), "/")
    return notation.code.replace("/", mark)


def _declared(code: str, file: str) -> Notation:
    if code.lower() in ("epoch", "minguo"):
        return OTHERS[code.lower()][0]
    parts = re.findall(r"%([YymdbB])", code)
    orders = {"Y": "y", "y": "y", "m": "m", "b": "m", "B": "m", "d": "d"}
    order = "".join(orders[part] for part in parts)
    if sorted(order) != ["d", "m", "y"]:
        raise BadInput(
            f"{file}: date_format: {code!r} needs %Y (or %y), %m (or %b) and %d, like %d/%m/%Y; or epoch, minguo"
        )
    shapes = {
        "Y": r"(\d{4})",
        "y": r"(\d{2})",
        "m": r"(\d{1,2})",
        "d": r"(\d{1,2})",
        "b": r"([A-Za-z]+)",
        "B": r"([A-Za-z]+)",
    }
    pieces = re.split(r"%[YymdbB]", re.sub(r"[T ]*%H.*$", "", code))
    if not any(pieces[1:-1]):
        shapes |= {"m": r"(\d{2})", "d": r"(\d{2})"}  # 1032024 without its zero has two readings
    pattern = "".join(re.escape(piece) + shapes[part] for piece, part in zip(pieces, parts, strict=False))
    return Notation(f"^{pattern}" + TIME + ZONE, order, code)


def parse_dates(values: pl.Series, notations: tuple[Notation, ...], *, exchanges: pl.Series) -> pl.Series:
    """Return dates, null where there is none.

    A midnight is the date as written, whatever its offset. Another time with an offset is an instant, whose date is that
    of the exchange's own clock: 15:00 UTC is the next day in Tokyo. ``exchanges``: MIC of each row, or null.
    """
    if values.dtype == pl.Date:
        dates = values
    elif isinstance(values.dtype, pl.Datetime):
        dates = _of_instants(values, exchanges)
    else:
        text = _texts(values)
        dates = pl.repeat(None, len(text), dtype=pl.Date, eager=True)
        if notations[0] == PLAIN[0]:
            dates = _quoted(text.str.to_date("%Y-%m-%d", strict=False))
        for notation in notations:
            open_places = (dates.is_null() & text.is_not_null()).arg_true()
            if not len(open_places):
                break
            rest = text.gather(open_places)
            read = _with_clock(rest, _read(rest, notation), notation, exchanges.gather(open_places))
            dates = dates.scatter(open_places, read)
    return _quoted(dates).rename("date")


def _quoted(dates: pl.Series) -> pl.Series:
    """Return the dates without those of years that no quote is of; 26-05-25 is none of the year 26."""
    return dates.set((dates.dt.year() < FIRST_QUOTES).fill_null(False), None)


def _texts(values: pl.Series) -> pl.Series:
    if values.dtype.is_float():
        values = values.fill_nan(None).cast(pl.Int64, strict=False)
    return values.cast(pl.String, strict=False).str.strip_chars(TEXT_MARKS)


def _read(text: pl.Series, notation: Notation) -> pl.Series:
    if notation.code == "epoch":
        return _instants(text).dt.date()
    groups = text.str.extract_groups(notation.pattern).struct.unnest()
    parts = {name: groups[groups.columns[k]] for k, name in enumerate(notation.order)}
    year, month = parts["y"], parts["m"]
    if notation.minguo:
        year = (year.cast(pl.Int64, strict=False) + MINGUO_ZERO).cast(pl.String)
    else:
        short = year.str.len_chars() == 2
        century = pl.Series(["19", "20"]).gather((year.cast(pl.Int64, strict=False).fill_null(0) < 70).cast(pl.UInt32))
        year = year.zip_with(~short.fill_null(False), century + year)
    named = month.str.contains("[A-Za-z]").fill_null(False)
    if named.any():
        number = (
            month.str.slice(0, 3)
            .str.to_lowercase()
            .replace_strict({name: str(k + 1) for k, name in enumerate(MONTHS)}, default=None, return_dtype=pl.String)
        )
        month = month.zip_with(~named, number)
    joined = year + "-" + month.str.zfill(2) + "-" + parts["d"].str.zfill(2)
    return joined.str.to_date("%Y-%m-%d", strict=False)


def _instants(text: pl.Series) -> pl.Series:
    """Return UTC times of counts of seconds, milli-, micro- or nanoseconds since 1970, distinguished by their digits."""
    digits = text.str.extract(EPOCH)
    count, length = digits.cast(pl.Int64, strict=False), digits.str.len_chars()
    micro = count * 1_000_000
    micro = micro.zip_with((length < 12).fill_null(True), count * 1_000)
    micro = micro.zip_with((length < 15).fill_null(True), count)
    micro = micro.zip_with((length < 18).fill_null(True), count // 1_000)
    return micro.cast(pl.Datetime("us"))


def _with_clock(text: pl.Series, dates: pl.Series, notation: Notation, exchanges: pl.Series) -> pl.Series:
    """Move the dates of times with an offset that are no midnight to their exchange's own clock."""
    if notation.code == "epoch":
        instants = _instants(text)
        labels = instants.dt.date().cast(pl.Datetime("us")) == instants
        return dates.zip_with(labels.fill_null(True), _local(instants, dates, exchanges))
    if not text.str.contains(r":").any():
        return dates
    groups = text.str.extract_groups(notation.pattern).struct.unnest()
    hour, minute, second, half, offset = (groups[name] for name in groups.columns[3:8])
    hours = hour.cast(pl.Int64, strict=False).fill_null(0)
    late = (half.str.to_lowercase() == "pm").fill_null(False)
    early = (half.str.to_lowercase() == "am").fill_null(False)
    hours = hours.zip_with(~(late & (hours < 12)), hours + 12).zip_with(~(early & (hours == 12)), hours * 0)
    seconds = hours * 3600 + minute.cast(pl.Int64, strict=False).fill_null(0) * 60
    seconds = seconds + second.cast(pl.Int64, strict=False).fill_null(0)
    clock = offset.is_not_null() & (seconds != 0)
    if not clock.any():
        return dates
    sign = pl.Series([1, -1]).gather(offset.str.starts_with("-").fill_null(False).cast(pl.UInt32))
    digits = offset.str.replace_all(r"\D", "")
    away = digits.str.slice(0, 2).cast(pl.Int64, strict=False).fill_null(0) * 3600
    away = (away + digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0) * 60) * sign
    instants = dates.cast(pl.Datetime("us")) + ((seconds - away) * 1_000_000).cast(pl.Duration("us"))
    return dates.zip_with(~clock, _local(instants, dates, exchanges))


def _of_instants(values: pl.Series, exchanges: pl.Series) -> pl.Series:
    """Return the dates of times of a Parquet column: as shown on their own clock at midnight or without a time zone."""
    zone = values.dtype.time_zone  # type: ignore[attr-defined]
    dates = values.dt.date()
    if zone is None:
        return dates
    shown = values.dt.time() == pl.Series([0]).cast(pl.Time)[0]
    instants = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return dates.zip_with(shown.fill_null(True), _local(instants, dates, exchanges))


def _local(instants: pl.Series, dates: pl.Series, exchanges: pl.Series) -> pl.Series:
    """Return the dates of UTC times on each row's exchange; ``dates`` where it is null."""
    for exchange in exchanges.drop_nulls().unique().to_list():
        there = (exchanges == exchange).fill_null(False)
        local = instants.dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone(exchange)).dt.date()
        dates = dates.zip_with(~there, local)
    return dates
