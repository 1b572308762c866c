"""The currency in which each ticker is quoted: by its exchange, by a pair's or a coin's own name, or as declared.

Returns don't care whether London is quoted in pounds or pence, amounts of money do: a hundredth of a currency has a code of
its own here (GBX), as vendors write it.
"""

import re
from collections.abc import Iterable

import polars as pl

from forecast_assets.core.errors import BadSetting
from forecast_assets.core.nearest import nearest_names
from forecast_assets.core.panel.exchange_names import COINS_CALENDAR, CURRENCIES_CALENDAR, FIAT, STABLE
from forecast_assets.core.specs import CurrencySpec

QUOTED_IN = {
    **dict.fromkeys(("XNYS", "CMES"), "USD"),
    **dict.fromkeys(("XETR", "XFRA", "XHAM", "XDUS", "XSTU", "XPAR", "XAMS", "XBRU", "XLIS", "XDUB"), "EUR"),
    **dict.fromkeys(("XMIL", "XMAD", "XHEL", "XWBO", "ASEX"), "EUR"),
    **{"XTSE": "CAD", "XMEX": "MXN", "BVMF": "BRL", "XBUE": "ARS", "XSGO": "CLP", "XBOG": "COP", "XLIM": "PEN"},
    **{"XLON": "GBX", "XSWX": "CHF", "XSTO": "SEK", "XCSE": "DKK", "XOSL": "NOK", "XICE": "ISK", "XWAR": "PLN"},
    **{"XPRA": "CZK", "XBUD": "HUF", "XIST": "TRY", "XTAE": "ILA", "XJSE": "ZAC", "XSAU": "SAR"},
    **{"XBOM": "INR", "XTKS": "JPY", "XHKG": "HKD", "XSHG": "CNY", "XKRX": "KRW", "XTAI": "TWD", "XSES": "SGD"},
    **{"XASX": "AUD", "XNZE": "NZD", "XBKK": "THB", "XIDX": "IDR", "XKLS": "MYR", "XPHS": "PHP"},
}
"""What an exchange quotes most of its tickers in; London, Tel Aviv and Johannesburg in hundredths."""

HUNDREDTHS = {"GBX": "GBP", "ILA": "ILS", "ZAC": "ZAR"}
SPELLINGS = {"GBp": "GBX", "GBPp": "GBX", "ZAc": "ZAC"}  # of a hundredth, whose capitals are those of the whole
METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})
CURRENCIES = FIAT - METALS | {"ISK", "RON", "AED", "QAR", "KWD", "EGP", "VND"}
"""Currencies by their ISO codes that a pair may be named of."""

SUFFIXED_DOLLARS = (".IL",)  # London's international order book
SCHEMA = {"ticker": pl.String, "exchange": pl.String, "currency": pl.String, "per_unit": pl.Float64}
EXAMPLES = 5  # tickers that a message names


def ticker_currencies(tickers: pl.DataFrame, spec: CurrencySpec) -> pl.DataFrame:
    """Return ticker, exchange, currency and ``per_unit`` of ``tickers`` (ticker, exchange), by ticker.

    ``per_unit``: quoted units of one unit of the currency, 100 where prices are in hundredths. ``currency`` is null where
    neither the exchange nor the name says it. A ticker's own declaration holds over its exchange's.

    >>> rows = pl.DataFrame({"ticker": ["BA.L", "BTC-EUR"], "exchange": ["XLON", "24/7"]})
    >>> ticker_currencies(rows, CurrencySpec())[["currency", "per_unit"]].rows()
    [('GBP', 100.0), ('EUR', 1.0)]
    """
    found = []
    for ticker, exchange in tickers.select("ticker", "exchange").unique().sort("ticker", "exchange").iter_rows():
        quoted = _quoted_in(ticker, exchange, spec)
        whole = quoted if quoted is None else HUNDREDTHS.get(quoted, quoted)
        found.append((ticker, exchange, whole, 1.0 if whole == quoted else 100.0))
    return pl.DataFrame(found, schema=SCHEMA, orient="row").unique("ticker", keep="last").sort("ticker")


def require_currencies(currencies: pl.DataFrame) -> None:
    """Raise BadSetting for tickers of no known currency, with what to type; ``currencies``: as ``ticker_currencies``."""
    unknown = currencies.filter(pl.col("currency").is_null())
    if unknown.is_empty():
        return
    ticker, exchange = unknown.select("ticker", "exchange").row(0)
    raise BadSetting(
        f"currency: nothing says in which currency {named(unknown['ticker'])} is quoted; declare it, such as "
        f"--set 'currency.tickers={{{ticker}: EUR}}' or --set 'currency.exchanges={{{exchange}: EUR}}'"
    )


def require_in_panel(spec: CurrencySpec, tickers: pl.DataFrame) -> None:
    """Raise BadSetting for a declared ticker or exchange that ``tickers`` (ticker, exchange) of the panel lack."""
    for setting, column, declared in (("tickers", "ticker", spec.tickers), ("exchanges", "exchange", spec.exchanges)):
        for name in sorted(declared.keys() - (known := set(tickers[column]))):
            near = nearest_names(name, known)
            raise BadSetting(
                f"currency.{setting}: {name!r} is no {column} of the panel{'; the nearest is ' + near[0] if near else ''}"
            )


def named(tickers: Iterable[str]) -> str:
    """Return the first few of ``tickers``, and how many more there are."""
    every = list(tickers)
    return ", ".join(every[:EXAMPLES]) + (f" and {len(every) - EXAMPLES} more" if len(every) > EXAMPLES else "")


def code_of(text: str, *, setting: str) -> str:
    """Return a declared currency in capitals. Raises BadSetting for what is no currency."""
    code = SPELLINGS.get(text, text.upper())
    if code not in CURRENCIES and code not in HUNDREDTHS:
        raise BadSetting(
            f"{setting}: {text} is no currency; write a code such as EUR, or {', '.join(HUNDREDTHS)} for hundredths"
        )
    return code


def _quoted_in(ticker: str, exchange: str, spec: CurrencySpec) -> str | None:
    """Return the code that a ticker's prices are in; None where nothing says it."""
    for setting, declared, key in (("tickers", spec.tickers, ticker), ("exchanges", spec.exchanges, exchange)):
        if text := declared.get(key):
            return code_of(text, setting=f"currency.{setting}")
    if exchange in (COINS_CALENDAR, CURRENCIES_CALENDAR):
        return _quote_of_pair(ticker.upper())
    if ticker.upper().endswith(SUFFIXED_DOLLARS):
        return "USD"
    return QUOTED_IN.get(exchange)


def _quote_of_pair(name: str) -> str | None:
    """Return the currency that a pair is quoted in: its name's end; a stable coin counts as the dollar."""
    text = re.sub(r"(=X|\.CC|\.FOREX)$", "", name)
    end = next((coin for coin in STABLE if text.endswith(coin)), text[-3:])
    if text == end:
        return None
    return "USD" if end in STABLE else end if end in CURRENCIES else None
