"""What a position is worth in the currency that the book counts in, and how much of the book stands in which currency.

A position is bought with the base currency and its whole value moves with the exchange rate, unhedged: over a session it
earns (1 + return) x (rate at the end / rate at the begin) - 1. A short one owes shares in their own currency, and what it
was sold for is held in the base currency: it earns the negative of that. Nothing is earned or paid for the difference of
two currencies' interest rates. Weights, costs and caps are fractions of equity, whatever the currency; forecasts, sizes
and betas stay in each ticker's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecast_assets.core.errors import BadInput
from forecast_assets.core.panel.currencies import named, require_currencies, ticker_currencies
from forecast_assets.core.scores.trading import Floats
from forecast_assets.core.specs import CurrencySpec

Days = NDArray[np.datetime64]
Known = Literal["by", "before"]
"""Which rates are known: those of the day itself too (at its close), or of earlier days alone (at its open)."""


@dataclass(frozen=True)
class Conversion:
    """Exchange rates of the tickers' currencies in the base currency."""

    base: str
    currency: Mapping[str, str]  # of each ticker
    rates: Mapping[str, tuple[Days, Floats]]  # of each currency but the base: days (R,), base units for one unit (R,)
    max_age_days: int

    @classmethod
    def of(cls, rates: pl.DataFrame, tickers: pl.DataFrame, spec: CurrencySpec) -> "Conversion | None":
        """Return the conversion of ``tickers`` (ticker, exchange) by a file's ``rates``; None without any: no file.

        Raises BadSetting for a ticker of no known currency, BadInput for a currency without a rate.
        """
        if rates.is_empty():
            return None
        currencies = ticker_currencies(tickers, spec)
        require_currencies(currencies)
        by_currency = {
            str(code): (part["date"].to_numpy().astype("datetime64[D]"), part["rate"].to_numpy())
            for (code,), part in rates.sort("date").group_by("currency", maintain_order=True)
        }
        missing = currencies.filter(~pl.col("currency").is_in([spec.base, *by_currency]))
        if missing.height:
            code = missing["currency"][0]
            whose = missing.filter(pl.col("currency") == code)["ticker"]
            raise BadInput(
                f"exchange rates: none leads from {code} ({named(whose)}) to {spec.base}; add a column {code}{spec.base} to "
                f"the file that FORECAST_FX names, or declare another currency, --set 'currency.tickers={{{whose[0]}: EUR}}'"
            )
        return cls(spec.base, dict(currencies.select("ticker", "currency").iter_rows()), by_currency, spec.max_age_days)

    def at(self, dates: Days, tickers: Sequence[str], *, known: Known, needed: NDArray[np.bool_]) -> Floats:
        """Return the base units (T, N) of one unit of each ticker's currency; 1 where not ``needed`` (T, N).

        It is the last rate known, at most ``max_age_days`` old. Raises BadInput where one is needed and there is none.
        """
        found = np.ones((len(dates), len(tickers)))
        codes = np.array([self.currency[ticker] for ticker in tickers])
        for code in sorted(set(codes.tolist()) - {self.base}):
            used = needed & (codes == code)  # (T, N)
            day = used.any(axis=1)
            if gap := self._gap(code, dates[day], known=known):
                raise BadInput(gap)
            days, values = self.rates[code]
            rate = np.ones(len(dates))
            rate[day] = values[_last(days, dates[day], known)]
            found = np.where(used, rate[:, None], found)
        return found

    def first_gap(self, quotes: pl.DataFrame) -> str | None:
        """Return the first rate that the opens of ``quotes`` (date, ticker) lack, in a sentence; None where all have one."""
        codes = pl.col("ticker").replace_strict(self.currency, return_dtype=pl.String)
        for (code,), part in quotes.sort(codes, "date").group_by(codes.alias("currency"), maintain_order=True):
            dates = part["date"].unique().sort().to_numpy().astype("datetime64[D]")
            if code != self.base and (gap := self._gap(str(code), dates, known="before")):
                return gap
        return None

    def _gap(self, code: str, dates: Days, *, known: Known) -> str | None:
        """Return the first of ``dates`` without a rate, in a sentence with what to do."""
        days, _ = self.rates[code]
        last = _last(days, dates, known)
        age = (dates - days[np.maximum(last, 0)]).astype(np.int64)
        if not len(lacking := np.flatnonzero((last < 0) | (age > self.max_age_days))):
            return None
        first = lacking[0]
        if last[first] < 0:
            return (
                f"exchange rates: those of {code} begin on {days[0]}, and the book needs an earlier one for {dates[first]}; "
                "let the file begin earlier, or run later years alone (--years)"
            )
        return (
            f"exchange rates: the last one of {code} for {dates[first]} is of {days[last[first]]}, {age[first]} days before "
            f"(currency.max_age_days: {self.max_age_days}); add the days between to the file that FORECAST_FX names"
        )


def _last(days: Days, dates: Days, known: Known) -> NDArray[np.intp]:
    """Return the place of the last of ``days`` that is known on each of ``dates``; -1 where there is none."""
    return np.searchsorted(days, dates, side="right" if known == "by" else "left") - 1


def in_base_money(
    amounts: pl.DataFrame, column: str, currencies: pl.DataFrame, conversion: Conversion | None
) -> pl.DataFrame:
    """Return a table (date, ticker, ...) with the amounts of money in ``column`` in the base currency, at rates known
    before each day.

    ``currencies``: as from ``ticker_currencies``; amounts are in what prices are quoted in, pence for instance. Without a
    conversion they are in whole units of each ticker's own currency, pounds for instance.
    """
    whole = amounts.join(currencies.select("ticker", "per_unit"), on="ticker", how="left", maintain_order="left")
    whole = whole.with_columns(pl.col(column) / pl.col("per_unit")).drop("per_unit")
    if conversion is None or amounts.is_empty():
        return whole
    tickers = whole["ticker"].unique().sort().to_list()
    dates = whole["date"].to_numpy().astype("datetime64[D]")
    days = np.unique(dates)
    rates = conversion.at(days, tickers, known="before", needed=_held(days, tickers, whole))
    place = np.searchsorted(np.array(tickers), whole["ticker"].to_numpy().astype(np.str_))
    return whole.with_columns(pl.col(column) * pl.Series(rates[np.searchsorted(days, dates), place]))


def _held(days: Days, tickers: Sequence[str], table: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which cells (T, N) the table has a row of."""
    needed = np.zeros((len(days), len(tickers)), dtype=bool)
    place = np.searchsorted(np.array(tickers), table["ticker"].to_numpy().astype(np.str_))
    needed[np.searchsorted(days, table["date"].to_numpy().astype("datetime64[D]")), place] = True
    return needed


def currency_exposures(positions: pl.DataFrame, sessions: int, currency: Mapping[str, str]) -> pl.DataFrame:
    """Return currency, tickers, gross and net exposure (means over ``sessions``, fractions of equity), largest first.

    ``positions``: of one strategy (date, ticker, weight).
    """
    codes = pl.DataFrame(
        {"ticker": list(currency), "currency": list(currency.values())},
        schema=dict.fromkeys(("ticker", "currency"), pl.String),
    )
    return (
        positions.join(codes, on="ticker")
        .group_by("currency")
        .agg(
            tickers=pl.col("ticker").n_unique(),
            gross=pl.col("weight").abs().sum() / sessions,
            net=pl.col("weight").sum() / sessions,
        )
        .sort(-pl.col("gross"), "currency")
    )
