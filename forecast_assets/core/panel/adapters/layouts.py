"""Recognise the layout of a table from its header: long, one ticker a file, wide, and whose export it is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.adapters.headers import (
    PRICE_FIELDS,
    UNNAMED,
    Columns,
    fields_of,
    is_field,
    is_header,
    plain,
)
from forecast_assets.core.panel.input_file import InputFile
from forecast_assets.core.specs import PanelSpec

OPTIONS = "panel.yaml beside the file"
"""Where messages say to write an option of reading."""
SHOWN = 5  # spellings shown of a missing column
ADJUSTED = ("open", "high", "low", "close", "volume")
_WORDS = (
    "daily weekly monthly day d d1 1d 1day eod hist history historical data dataset prices price stock stocks quotes quote"
    " ohlc ohlcv adjusted adj unadjusted raw split export download downloads table chart charts max full compact all in"
    " input output out file files panel sample test example main new old copy final merged combined yahoo yfinance stooq"
    " nasdaq nyse nse bse investing com investing.com kaggle tiingo polygon alpaca alphavantage eodhd us market markets"
    " wiki equity eq historische daten datos históricos dados données historiques"
    " index indices from to the of csv part time series timeseries book1 sheet1 untitled -"
)
WORDS_IN_NAMES = frozenset(_WORDS.split())
"""Words of file names that are no ticker."""
EXPORTS: Mapping[str, frozenset[str]] = {
    "NSE bhavcopy": frozenset({"symbol", "series", "tottrdqty"}),
    "NSE bhavcopy (UDiFF)": frozenset({"tckr symb", "scty srs", "cls pric"}),
    "NSE website": frozenset({"series", "prev close", "ltp"}),
    "NSE security archive": frozenset({"symbol", "series", "prev close", "last"}),
    "Nasdaq.com": frozenset({"date", "close/last"}),
    "investing.com": frozenset({"date", "price", "change %"}),
    "Stooq": frozenset({"ticker", "per", "date", "openint"}),
    "MetaTrader": frozenset({"date", "tickvol", "spread"}),
    "Tiingo": frozenset({"date", "adj close", "div cash", "split factor"}),
    "Alpha Vantage": frozenset({"timestamp", "adjusted close", "dividend amount"}),
    "Alpaca": frozenset({"timestamp", "trade count", "vwap"}),
    "Polygon": frozenset({"window start", "transactions"}),
    "EODHD": frozenset({"date", "adjusted close", "volume", "open"}),
    "yfinance history": frozenset({"date", "dividends", "stock splits"}),
    "Nasdaq Data Link": frozenset({"ticker", "date", "ex-dividend", "adj close"}),
    "Yahoo download": frozenset({"date", "open", "adj close", "volume"}),
}
"""Exports by column names that only they have together; the first that fits is named."""
TICKERS_WORD = re.compile(
    r"^(level 1|security|securities|asset|instrument|index name)$|\b(symbol|ticker|ric|(ts|stock) code)s?\b"
)
"""Names of columns that may hold tickers."""
ADJUSTED_CLOSE = re.compile(r"\badj|\badjusted\b|\bclose ?adj")
"""Names of columns, beside those of a close, that hold adjusted prices."""
_PREFIXES = "px prc price prices bid ask mid mkt unadj adj adjusted prev previous daily"
NO_TICKERS = frozenset(_PREFIXES.split())
"""Words before or behind the field in a column's name that are no ticker: PX_OPEN, price_open, BidOpen."""
NSE = ("NSE bhavcopy", "NSE bhavcopy (UDiFF)", "NSE website", "NSE security archive")


@dataclass(frozen=True)
class WideColumn:
    """A column of a wide table: which field of which ticker it holds."""

    place: int
    field: str
    ticker: str


@dataclass(frozen=True)
class Layout:
    """How a table is read: ``places`` (field -> column) of a long one, or the ``wide`` columns beside ``places['date']``.

    ``constants`` are fields that the file's name, its folder or an option says for all rows.
    """

    name: str
    places: Mapping[str, int]
    constants: Mapping[str, str] = field(default_factory=dict)
    wide: tuple[WideColumn, ...] = ()
    notes: tuple[str, ...] = ()
    header_rows: int = 1
    lone_basis: bool = False  # some of open and close are adjusted by their names, some not
    shares_only: bool = False  # rows of another series than shares are other instruments

    @property
    def fields(self) -> set[str]:
        """Return the fields that rows of this table have."""
        return {*self.places, *self.constants, *(column.field for column in self.wide)}


def recognise(rows: Sequence[Sequence[str]], file: InputFile, spec: PanelSpec) -> Layout | None:
    """Return the layout of a table that begins with ``rows`` (the header and what follows); None where it is no header.

    Raises BadInput where the header is one of prices and something is missing or said twice.
    """
    names = rows[0]
    layout = _two_headers(rows, spec) or _pairs_in_names(names, spec)
    if layout is None:
        columns = fields_of(names, spec.columns, file=file.name, declared=file.declared_columns)
        has_prices = is_header(columns, dated="date" in file.constants)
        layout = _long(columns, file, spec) if has_prices else _one_field_wide(rows, file, spec)
    return None if layout is None else _finished(layout, names, file, spec)


def _long(columns: Columns, file: InputFile, spec: PanelSpec) -> Layout:
    places = dict(columns.places)
    words = {plain(name) for name in columns.names}
    for field_name, column in file.declared_columns.items():
        if plain(column) not in words:
            raise BadInput(
                f"{file.name}: it has no column {column!r} for {field_name}, which panel.yaml names; found "
                f"{', '.join(columns.names)}; correct the name, or give it under files: for those that have it"
            )
    constants = dict(file.constants)
    if "date" in places:
        constants.pop("date", None)  # a folder named date=2024-05-01 may say when its rows were downloaded
    elif "date" not in constants:
        places["date"] = 0
    export = next((name for name, marks in EXPORTS.items() if marks <= words), None)
    notes = []
    if "ticker" not in places and "ticker" not in constants:
        _refuse_unread_tickers(columns, file)
        constants["ticker"] = ticker_of_name(file)
        notes.append(f"the ticker {constants['ticker']} is from the file's name")
    if export in NSE and "exchange" not in places:
        constants.setdefault("exchange", "NSE")
    name = export or ("one file per ticker" if "ticker" in constants else "long table")
    return Layout(name, places, constants, notes=tuple(notes), shares_only=export in NSE)


def _refuse_unread_tickers(columns: Columns, file: InputFile) -> None:
    """Raise BadInput where the ticker would be the file's name although a column looks like one of tickers."""
    unread = [name for place, name in enumerate(columns.names) if place not in columns.places.values()]
    if found := next((name for name in unread if TICKERS_WORD.search(plain(name))), None):
        raise BadInput(
            f"{file.name}: its column {found} may hold tickers; if it does, add to {OPTIONS}: columns: {{ticker: {found}}}; "
            f'if all rows are of one ticker: files: {{"{file.name}": {{ticker: AAPL}}}}'
        )


def _two_headers(rows: Sequence[Sequence[str]], spec: PanelSpec) -> Layout | None:
    """Return the layout of yfinance's tables: a row of fields and one of tickers, in either order, then perhaps ``Date``."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]) or len(rows[0]) < 2:
        return None
    first, second = (
        [is_field(name, spec.columns) for name in rows[0][1:]],
        [is_field(name, spec.columns) for name in rows[1][1:]],
    )
    upper, lower = list(rows[0][1:]), list(rows[1][1:])
    labels = [is_field(row[0], spec.columns) for row in rows[:2]]
    if labels[0] != "ticker" and all(name in (*PRICE_FIELDS, "volume", None) for name in first) and _are_prices(first):
        fields, tickers, labelled = first, lower, labels[1] == "ticker"
    elif _are_prices(second):
        fields, tickers, labelled = second, upper, labels[0] == "ticker"
    else:
        return None
    # Open, Low and Date are tickers too, where their row is labelled so.
    words = [ticker for ticker in tickers if not labelled and is_field(ticker, spec.columns)]
    if words or any(not re.search(r"[A-Za-z^]|^\d{4,6}$", ticker) for ticker in tickers):
        return None
    header_rows = 3 if len(rows) > 2 and plain(rows[2][0]) in ("date", "datetime") and not any(rows[2][1:]) else 2
    wide = [
        WideColumn(place, name, ticker.strip())
        for place, (name, ticker) in enumerate(zip(fields, tickers, strict=True), start=1)
        if name is not None
    ]
    count = len({column.ticker for column in wide})
    title = f"yfinance ({'one ticker' if count == 1 else 'several tickers'}, {header_rows} header rows)"
    return Layout(title, {"date": 0}, wide=tuple(wide), header_rows=header_rows)


def _are_prices(fields: Sequence[str | None]) -> bool:
    return sum(name in (*PRICE_FIELDS, "volume") for name in fields) >= max(2, 0.6 * len(fields)) and any(
        name in ("close", "adj_close") for name in fields
    )


def _pairs_in_names(names: Sequence[str], spec: PanelSpec) -> Layout | None:
    """Return the layout of a table whose names hold field and ticker: ('AAPL', 'Open'), Close_AAPL, AAPL Close."""
    readings, dates = {}, []
    for place, name in enumerate(names):
        if found := _pairs(name, spec):
            readings[place] = found
        elif (known := is_field(name.strip("()', "), spec.columns)) == "date" or plain(name) in UNNAMED:
            dates.append(place)
        elif known == "ticker":
            return None
    if len(dates) != 1 or not readings or len(readings) < 0.8 * (len(names) - 1):
        return None
    # OPEN_Close is the close of OPEN where other names have their field last, and the open of CLOSE where it is first.
    usual = {where for found in readings.values() if len(found) == 1 for where in found}
    if len(usual) != 1 and any(len(found) > 1 for found in readings.values()):
        return None
    chosen = {
        place: next(found[where] for where in (*usual, *found) if where in found) for place, found in readings.items()
    }
    wide = [WideColumn(place, *pair) for place, pair in chosen.items()]
    return Layout("wide table, a column per ticker and field", {"date": dates[0]}, wide=tuple(wide))


def _pairs(name: str, spec: PanelSpec) -> dict[str, tuple[str, str]]:
    """Return (field, ticker) of a column's name, by whether its field stands first or last; both may be possible."""
    if is_field(name, spec.columns):
        return {}
    parts = re.findall(r"'([^']*)'", name) if name.startswith("(") else []
    found = _split_at("|", "|".join(parts), spec) if len(parts) == 2 else {}
    for mark in () if parts else ("_", " ", ":", "|", "."):
        if found := found or _split_at(mark, name, spec):
            break
    return {} if any(plain(word) in NO_TICKERS for pair in found.values() for word in pair) else found


def _split_at(mark: str, name: str, spec: PanelSpec) -> dict[str, tuple[str, str]]:
    """Return (field, ticker) by where the field stands, as long as it can be: Adj Close rather than Close."""
    words = name.split(mark)
    splits = [(mark.join(words[:k]), mark.join(words[k:]).strip()) for k in range(1, len(words))]
    last = next(((tail, head.strip()) for head, tail in splits if _is_price(tail, spec) and head.strip()), None)
    first = next(((head, tail) for head, tail in reversed(splits) if _is_price(head, spec) and tail), None)
    found = {"first": first, "last": last}
    return {where: (str(is_field(pair[0], spec.columns)), pair[1]) for where, pair in found.items() if pair}


def _is_price(name: str, spec: PanelSpec) -> bool:
    return is_field(name, spec.columns) in (*PRICE_FIELDS, "volume")


def _one_field_wide(rows: Sequence[Sequence[str]], file: InputFile, spec: PanelSpec) -> Layout | None:
    """Return the layout of a table of dates by tickers, one number each: the field that the file's name says, or closes."""
    names = rows[0]
    dated = is_field(names[0], spec.columns) == "date" or plain(names[0]) in UNNAMED
    others = [name.strip() for name in names[1:]]
    if not dated or not others or any(is_field(name, spec.columns) for name in others):
        return None
    if not all(re.fullmatch(r"[A-Za-z0-9^.&/=:+-]{1,15}", name) for name in others) or len(set(others)) < len(others):
        return None
    values = [value.strip() for row in rows[1:4] for value in row[1:]]
    if not any(values) or any(re.search(r"[A-Za-z]{4,}", value) for value in values):
        return None
    name_of_field = is_field(file.stem, spec.columns) or "close"
    wide = tuple(WideColumn(place, name_of_field, name) for place, name in enumerate(others, start=1))
    return Layout(f"wide table of {name_of_field} prices, a column per ticker", {"date": 0}, wide=wide)


def ticker_of_name(file: InputFile) -> str:
    """Return the ticker that a file's name says. Raises BadInput, with the line to add, where it says none or several."""
    if re.fullmatch(r"[A-Z]{1,5}", file.stem):
        return file.stem
    tokens: list[str] = []
    for token in re.split(r"[\s_,()\[\]]+", file.stem):
        parts = token.split("-")
        tokens += parts if any(_is_no_ticker(part) for part in parts) else [token]
    kept = [token for token in tokens if token and not _is_no_ticker(token)]
    if re.fullmatch(r"\d{4,6}", file.stem) and not re.fullmatch(r"(19|20)\d{2}(\d{2})?", file.stem):
        kept = [file.stem]
    if len(kept) == 1 and len(kept[0]) <= 20:
        return kept[0].upper()
    raise BadInput(
        f"{file.name}: there is no column of tickers, and the file's name does not say one; add to {OPTIONS}: "
        f'files: {{"{file.name}": {{ticker: AAPL}}}}'
    )


def _is_no_ticker(part: str) -> bool:
    """Whether a part of a file's name is a word of file names, a year, a date or a number."""
    return plain(part) in WORDS_IN_NAMES or re.fullmatch(r"[\d.]+", part) is not None


def _finished(layout: Layout, names: Sequence[str], file: InputFile, spec: PanelSpec) -> Layout:
    """Choose one basis of prices, and say what is missing."""
    _refuse_repeated(layout, names, file)
    layout = _one_basis_wide(layout, spec) if layout.wide else _one_basis_long(layout, names, file, spec)
    if spec.exchange and "exchange" not in layout.places:
        layout = replace(layout, constants={**layout.constants, "exchange": spec.exchange})
    have = layout.fields
    if "close" in have and "open" not in have and not spec.one_price:
        raise BadInput(
            f"{file.name}: it has one price a day and no open; what is decided at a close is traded at the next open, so "
            f"add opens, or take each close for its day's open too (orders then fill a session later): add to {OPTIONS}: "
            "one_price: true"
        )
    wanted = ["date", "close", *([] if layout.wide else ["ticker"]), *([] if spec.one_price else ["open"])]
    if missing := [name for name in wanted if name not in have]:
        accepted = "; ".join(f"{name} (accepted: {_first_of(spec.columns[name])})" for name in missing)
        raise BadInput(
            f"{file.name}: missing column {accepted}; found {', '.join(names)}; say which it is, in {OPTIONS}: "
            f"columns: {{{missing[0]}: NAME}}"
        )
    if "volume" not in have:
        layout = replace(layout, notes=(*layout.notes, "it has no volume: volumes are missing"))
    return layout


def _refuse_repeated(layout: Layout, names: Sequence[str], file: InputFile) -> None:
    """Raise BadInput where two columns of a wide table are one field of one ticker."""
    first: dict[tuple[str, str], int] = {}
    for column in layout.wide:
        place = first.setdefault((column.field, column.ticker), column.place)
        if place != column.place:
            raise BadInput(
                f"{file.name}: columns {place + 1} ({names[place]}) and {column.place + 1} ({names[column.place]}) are both "
                f"the {column.field} of {column.ticker}; keep one of them"
            )


def _first_of(spellings: Sequence[str]) -> str:
    shown, rest = spellings[:SHOWN], len(spellings) - SHOWN
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _one_basis_long(layout: Layout, names: Sequence[str], file: InputFile, spec: PanelSpec) -> Layout:
    places, notes = dict(layout.places), list(layout.notes)
    raw = {name: place for name, place in places.items() if not name.startswith("adj_")}
    adjusted = {name: places[f"adj_{name}"] for name in ADJUSTED if f"adj_{name}" in places}
    lone = False
    if spec.adjust == "none" and "close" in raw:
        if adjusted:
            notes.append("raw prices are read and adjusted ones left out, as adjust: none says")
    elif {"open", "close"} <= adjusted.keys():
        for name in ("open", "high", "low"):
            raw.pop(name, None)
        raw |= adjusted
        if "close" in places:
            notes.append("its adjusted columns are read, the raw ones beside them left out")
    elif "close" in adjusted and "close" in raw and "open" not in adjusted:
        raw["unadjusted_close"] = raw["close"]
        raw["close"] = adjusted["close"]
        notes.append("open, high and low are adjusted by adjusted close / close")
    elif unread := next((name for name in names if not adjusted and _is_unread_adjusted(name, layout, names)), None):
        raise BadInput(
            f"{file.name}: its column {unread} looks like adjusted prices and is not read; add to {OPTIONS}: "
            f"columns: {{adj_close: {unread}}} (or adjust: none, for the prices as quoted)"
        )
    elif adjusted:
        lone = spec.adjust != "none"
        raw |= {name: place for name, place in adjusted.items() if name not in raw or name == "close"}
    return replace(layout, places=raw, notes=tuple(notes), lone_basis=lone)


def _is_unread_adjusted(name: str, layout: Layout, names: Sequence[str]) -> bool:
    words = plain(name)
    is_close = re.search(r"close|price|last", words) is not None
    return is_close and ADJUSTED_CLOSE.search(words) is not None and names.index(name) not in layout.places.values()


def _one_basis_wide(layout: Layout, spec: PanelSpec) -> Layout:
    have = {column.field for column in layout.wide}
    names = {name: name for name in have if not name.startswith("adj_")}
    notes = list(layout.notes)
    lone = False
    if spec.adjust == "none" and "close" in have:
        pass
    elif {"adj_open", "adj_close"} <= have:
        names = {name: name.removeprefix("adj_") for name in have if name.startswith("adj_")}
        if "adj_volume" not in have:
            names["volume"] = "volume"
        notes.append("its adjusted columns are read, the raw ones beside them left out")
    elif {"adj_close", "close"} <= have:
        names |= {"close": "unadjusted_close", "adj_close": "close"}
        notes.append("open, high and low are adjusted by adjusted close / close")
    elif "adj_close" in have:
        names |= {"adj_close": "close"}
        lone = "open" in have
    wide = tuple(replace(column, field=names[column.field]) for column in layout.wide if column.field in names)
    return replace(layout, wide=wide, notes=tuple(notes), lone_basis=lone)
