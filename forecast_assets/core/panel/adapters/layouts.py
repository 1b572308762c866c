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
"""Where people are told to write an option of reading."""
ADJUSTED = ("open", "high", "low", "close", "volume")
_WORDS = (
    "daily weekly monthly day d d1 1d 1day eod hist history historical data dataset prices price stock stocks quotes quote"
    " ohlc ohlcv adjusted adj unadjusted raw split export download downloads table chart charts max full compact all in"
    " input output out file files panel sample test example main new old copy final merged combined yahoo yfinance stooq"
    " nasdaq nyse nse bse investing com investing.com kaggle tiingo polygon alpaca alphavantage eodhd us market markets"
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
        layout = _long(columns, file) if is_header(columns) else _one_field_wide(rows, file, spec)
    return None if layout is None else _finished(layout, names, file, spec)


def _long(columns: Columns, file: InputFile) -> Layout:
    places = dict(columns.places)
    words = {plain(name) for name in columns.names}
    for field_name, column in file.declared_columns.items():
        if plain(column) not in words:
            raise BadInput(
                f"{file.name}: it has no column {column!r} for {field_name}, which panel.yaml names; found "
                f"{', '.join(columns.names)}; correct the name, or give it under files: for those that have it"
            )
    if "date" not in places and plain(columns.names[0]) in UNNAMED:
        places["date"] = 0
    export = next((name for name, marks in EXPORTS.items() if marks <= words), None)
    constants = dict(file.constants)
    notes = []
    if "ticker" not in places and "ticker" not in constants:
        constants["ticker"] = ticker_of_name(file)
        notes.append(f"the ticker {constants['ticker']} is from the file's name")
    if export in NSE and "exchange" not in places:
        constants.setdefault("exchange", "NSE")
    name = export or ("one file per ticker" if "ticker" in constants else "long table")
    return Layout(name, places, constants, notes=tuple(notes), shares_only=export in NSE)


def _two_headers(rows: Sequence[Sequence[str]], spec: PanelSpec) -> Layout | None:
    """Return the layout of yfinance's tables: a row of fields and one of tickers, in either order, then perhaps ``Date``."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]) or len(rows[0]) < 2:
        return None
    first, second = (
        [is_field(name, spec.columns) for name in rows[0][1:]],
        [is_field(name, spec.columns) for name in rows[1][1:]],
    )
    upper, lower = list(rows[0][1:]), list(rows[1][1:])
    if all(name in (*PRICE_FIELDS, "volume", None) for name in first) and _are_prices(first):
        fields, tickers = first, lower
    elif _are_prices(second):
        fields, tickers = second, upper
    else:
        return None
    if any(not re.search(r"[A-Za-z^]|^\d{4,6}$", ticker) or is_field(ticker, spec.columns) for ticker in tickers):
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
    wide, dates = [], []
    for place, name in enumerate(names):
        if pair := _pair(name, spec):
            wide.append(WideColumn(place, *pair))
        elif is_field(name.strip("()', "), spec.columns) == "date" or plain(name) in UNNAMED:
            dates.append(place)
    if len(dates) != 1 or not wide or len(wide) < 0.8 * (len(names) - 1):
        return None
    return Layout("wide table, a column per ticker and field", {"date": dates[0]}, wide=tuple(wide))


def _pair(name: str, spec: PanelSpec) -> tuple[str, str] | None:
    if is_field(name, spec.columns):
        return None
    parts = re.findall(r"'([^']*)'", name) if name.startswith("(") else []
    if len(parts) != 2:
        for mark in ("_", " ", ":", "|", "."):
            head, _, tail = name.partition(mark)
            first, _, last = name.rpartition(mark)
            if tail and is_field(head, spec.columns) in (*PRICE_FIELDS, "volume"):
                parts = [head, tail]
            elif first and is_field(last, spec.columns) in (*PRICE_FIELDS, "volume"):
                parts = [last, first]
            if len(parts) == 2:
                break
        else:
            return None
    for name_of_field, ticker in (parts, parts[::-1]):
        found = is_field(name_of_field, spec.columns)
        if found in (*PRICE_FIELDS, "volume") and ticker.strip():
            return found, ticker.strip()
    return None


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
    layout = _one_basis_wide(layout, spec) if layout.wide else _one_basis_long(layout, spec)
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
        accepted = "; ".join(f"{name} (accepted: {', '.join(spec.columns[name])})" for name in missing)
        raise BadInput(
            f"{file.name}: missing column {accepted}; found {', '.join(names)}; say which it is, in {OPTIONS}: "
            f"columns: {{{missing[0]}: NAME}}"
        )
    if "volume" not in have:
        layout = replace(layout, notes=(*layout.notes, "it has no volume: volumes are missing"))
    return layout


def _one_basis_long(layout: Layout, spec: PanelSpec) -> Layout:
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
    elif adjusted:
        lone = spec.adjust != "none"
        raw |= {name: place for name, place in adjusted.items() if name not in raw or name == "close"}
    return replace(layout, places=raw, notes=tuple(notes), lone_basis=lone)


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
