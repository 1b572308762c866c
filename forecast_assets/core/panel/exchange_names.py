"""The exchange that a ticker's text or its exchange column names, if any: by word, suffix, symbol, or by default.

A name decides alone only where it is unmistakable. What looks like a ticker of New York is one *by default*: its dates
are to confirm it (see ``exchanges``). Digits alone, ISINs and company names name no exchange at all.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import polars as pl

from forecast_assets.core.panel.adapters.layouts import OPTIONS
from forecast_assets.core.panel.exchange_words import vendor_names
from forecast_assets.core.specs import PanelSpec

AssignedBy = Literal["declared", "column", "suffix", "symbol", "default", "guess", "dates", "none"]
"""``default``: it looks like a ticker of New York; ``guess``: like nothing in particular; ``none``: like no such ticker."""
NEW_YORK, COINS_CALENDAR, CURRENCIES_CALENDAR, FUTURES_CALENDAR = "XNYS", "24/7", "24/5", "CMES"

NO_WORD = frozenset({"", "-", "NA", "N/A", "NAN", "NONE", "NULL"})
AMBIGUOUS = {
    "TSE": ("XTKS", "XTSE"),
    "OSE": ("XTKS", "XOSL"),
    "ASE": ("XNYS", "ASEX"),
    "BSE": ("XBOM", "XBUD", "XBSE"),
    "SSE": ("XSHG", "XSTO", "XSGO"),
    "ISE": ("XIST", "XDUB"),
}
"""Words that several exchanges go by: where the ticker's suffix is one of them, it decides; else the table does."""

FIAT = frozenset(
    word
    for line in (
        "USD EUR JPY GBP CHF AUD CAD NZD SEK NOK DKK CNY CNH HKD SGD KRW INR MXN BRL ZAR TRY PLN HUF CZK ILS THB IDR MYR",
        "PHP TWD RUB SAR AED CLP COP PEN ARS XAU XAG XPT XPD",
    )
    for word in line.split()
)
"""Currencies and metals that trade round the clock on weekdays."""
COINS = frozenset(
    word
    for line in (
        "BTC XBT ETH XRP LTC BCH BNB ADA SOL DOGE DOT XLM XMR ETC TRX EOS AVAX MATIC POL SHIB UNI LINK ATOM XTZ DASH ZEC",
        "NEO ALGO FIL NEAR APT ARB OP SUI TON PEPE ICP AAVE MKR USDT USDC VET HBAR XEM IOTA WAVES QTUM BSV",
    )
    for word in line.split()
)
"""Coins by their bare symbol; some are tickers of New York too (DASH, LINK, SUI): the dates say which."""
STABLE = ("USDT", "USDC", "BUSD", "TUSD", "FDUSD")
QUOTES = frozenset((*STABLE, "DAI", "BTC", "ETH", "BNB")) | FIAT

_PREFERRED = re.compile(r"[A-Z]{1,5}\.PR\.?[A-Z]")
_US_SYMBOL = re.compile(
    r"[A-Z]{1,5}([-/ ^]([A-Z]|UN|WS|WT|RT|RI|WI|CL|PR?[A-Z]?)([-. ][A-Z])?)?"  # BF-B, BAC-PL, BAC/PRL, AAC-WT
    r"|[A-Z]{1,5}\.([A-Z]|UN|WS|WT|RT|WI|CL)(\.[A-Z])?"  # BRK.B, AAC.U, AAC.WS
    r"|[A-Z]{1,5}\d{1,2}"  # made-up tickers are numbered
)
_FOREIGN = re.compile(r"\d{4,6}|[A-Z]{2}[A-Z0-9]{9}\d|\^.*|.* .*|[A-Z&-]{6,}")
"""No ticker of New York: Asian codes, ISINs, indices that no table knows, names of companies."""
_SUFFIX = re.compile(r"(\.[A-Z]{1,7}|=[A-Z]| [A-Z]{2})( (EQUITY|INDEX|CURNCY|COMDTY))?$")
_CHINESE = re.compile(r"(SH|SZ|BJ)\.?\d{6}")
_HONG_KONG = re.compile(r"HK\.?\d{5}")
_PAIR = re.compile(r"([A-Z]{3})[-/_]?([A-Z]{3})")
_COIN_PAIR = re.compile(r"([A-Z0-9]{2,10})[-/_]([A-Z]{3,5})")
_COIN_JOINED = re.compile(
    rf"({'|'.join(sorted(COINS))})({'|'.join(sorted(QUOTES))})|[A-Z0-9]{{2,10}}({'|'.join(STABLE)})"
)
_FUTURE = re.compile(r"[A-Z]{1,3}(\d!|c\d)")  # ES1!, CLc1


@dataclass(frozen=True)
class Named:
    """The exchange (a MIC) that a name gives, and how; ``problem``: why the name alone rules the ticker out."""

    exchange: str | None
    assigned_by: AssignedBy
    problem: str | None = None


def add_exchange(frame: pl.DataFrame, *, spec: PanelSpec) -> pl.DataFrame:
    """Return ``frame`` (ticker, exchange: the word of an exchange column or null) with the named MIC in ``exchange``.

    Adds ``assigned_by`` and ``exchange_problem`` (null: none). A null exchange without a problem is left to the dates.
    """
    pairs = frame.select("ticker", "exchange").unique()
    table, found = names_table(spec), []
    for ticker, word in pairs.iter_rows():
        named = (
            Named(None, "none") if ticker is None else named_exchange(ticker, word, table=table, tickers=spec.tickers)
        )
        found.append((ticker, word, named.exchange, named.assigned_by, named.problem))
    schema = ["ticker", "exchange", "mic", "assigned_by", "exchange_problem"]
    names = pl.DataFrame(found, schema=dict.fromkeys(schema, pl.String), orient="row")
    return (
        frame.join(names, on=["ticker", "exchange"], how="left", nulls_equal=True, maintain_order="left")
        .drop("exchange")
        .rename({"mic": "exchange"})
    )


def names_table(spec: PanelSpec) -> dict[str, str]:
    """Return the MIC of each word, suffix, symbol and MIC that the settings know, in capitals."""
    known = vendor_names() | {_plain(key): mic for key, mic in spec.exchanges.items()}
    return known | {mic.upper(): mic for mic in spec.regions}


def named_exchange(
    ticker: str, word: str | None, *, table: Mapping[str, str], tickers: Mapping[str, str] | None = None
) -> Named:
    """Return what ``ticker`` and the ``word`` of its exchange column say; ``tickers``: exchanges declared by ticker.

    >>> table = {"": "XNYS", ".L": "XLON", "LSE": "XLON"}
    >>> named_exchange("VOD", "LSE", table=table).exchange
    'XLON'
    >>> named_exchange("BAC.PR.L", None, table=table).assigned_by
    'default'
    >>> named_exchange("7203", None, table=table).exchange is None
    True
    """
    upper = ticker.upper().strip()
    if tickers and (declared := tickers.get(ticker, tickers.get(upper))):
        return Named(table.get(_plain(declared), declared), "declared")
    by_text = _by_text(upper, ticker, table)
    plain = "" if word is None else _plain(word)
    if plain in NO_WORD:
        return by_text
    if plain in table:
        meant = AMBIGUOUS.get(plain, ())
        if by_text.assigned_by == "suffix" and by_text.exchange in meant:
            return by_text
        return Named(table[plain], "column")
    if by_text.assigned_by in ("suffix", "symbol"):
        return by_text
    problem = (
        f"the exchange {word} of {ticker} is unknown; add to {OPTIONS}: exchanges: {{{json.dumps(word)}: MIC}}, or "
        f"tickers: {{{json.dumps(ticker)}: MIC}}"
    )
    return Named(None, "none", problem)


def declaration(ticker: str, exchange: str = "MIC") -> str:
    """Return the line that declares a ticker's exchange; the ticker in quotes, since YAML reads 0700 as 448."""
    return f"{OPTIONS}: tickers: {{{json.dumps(ticker)}: {exchange}}}"


@cache
def _plain(word: str) -> str:
    """Return a word in capitals with single spaces for hyphens and underscores; suffixes and symbols as they are."""
    upper = word.upper()
    if upper[:1] in (".", "=", "^", " "):
        return upper
    return " ".join(re.sub(r"[-_]", " ", upper).split()) or upper.strip()


def _by_text(upper: str, ticker: str, table: Mapping[str, str]) -> Named:
    if upper[:1] in ("^", ".") and upper in table:
        return Named(table[upper], "symbol")
    suffix = _SUFFIX.search(upper)
    if suffix and not _PREFERRED.fullmatch(upper) and suffix.start() > 0 and suffix[1] in table:
        return Named(table[suffix[1]], "suffix")
    if symbol := _by_symbol(upper, ticker, table):
        return Named(symbol, "symbol")
    default = table.get("")
    looks_american = bool(_PREFERRED.fullmatch(upper) or _US_SYMBOL.fullmatch(upper))
    dotted = suffix is not None and suffix[1].startswith(".")
    # Another default than New York is a choice of the panel's owner: it holds for every ticker without a suffix.
    if default is not None and (looks_american or (default != NEW_YORK and not dotted)):
        return Named(default, "default")
    if dotted and suffix is not None:
        problem = (
            f"the exchange of {ticker} is unknown; add its suffix to {OPTIONS}: exchanges: "
            f"{{{json.dumps(suffix[1])}: MIC}}, or tickers: {{{json.dumps(ticker)}: MIC}}"
        )
        return Named(None, "none", problem)
    return Named(None, "none") if default is None or _FOREIGN.fullmatch(upper) else Named(default, "guess")


def _by_symbol(upper: str, ticker: str, table: Mapping[str, str]) -> str | None:
    """Return the exchange of an index, a currency pair, a coin, a future, or a code behind its exchange's name."""
    if ":" in upper:
        prefix, _, code = upper.partition(":")
        by_feed = {"C": CURRENCIES_CALENDAR, "X": COINS_CALENDAR, "I": table.get(f"^{code}")}  # as Polygon writes them
        return by_feed.get(prefix, table.get(_plain(prefix)) if prefix else None)
    if _CHINESE.fullmatch(upper):
        return "XSHG"  # Shenzhen and Beijing have Shanghai's sessions
    if _HONG_KONG.fullmatch(upper):
        return "XHKG"
    if _FUTURE.fullmatch(ticker):
        return FUTURES_CALENDAR
    if (pair := _PAIR.fullmatch(upper)) and pair[1] in FIAT and pair[2] in FIAT:
        return CURRENCIES_CALENDAR
    if ((pair := _COIN_PAIR.fullmatch(upper)) and pair[2] in QUOTES and pair[1] not in FIAT) or _COIN_JOINED.fullmatch(
        upper
    ):
        return COINS_CALENDAR
    return None
