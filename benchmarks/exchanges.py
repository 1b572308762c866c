"""Tickers whose name does not say their exchange: what their first quotes assign them to, on every calendar's own sessions.

    python -m benchmarks.exchanges

A made-up ticker trades on the sessions of one calendar, from each month of some years on; some quotes are missing (at
random, seeded). It is named by nothing, by New York's default, or rightly by a suffix. ``wrong``: assigned to another
calendar than its own; ``refused``: none is assigned, and the line to type is printed. A ticker that stays on New York by
default shows fewer than two quotes on days New York is closed, or no other calendar explains them.
"""

import collections
import datetime as dt
import random

import polars as pl

from forecast_assets.core.panel.exchanges import FIRST_QUOTES, place_tickers
from forecast_assets.core.panel.sessions import calendar_bounds, sessions
from forecast_assets.core.specs import PanelSpec
from forecast_assets.resources.settings import compose_settings
from tools.results import record

YEARS = (2006, 2011, 2016, 2021, 2024)
MISSING = (0, 3)  # of the first quotes
COMMAND = "python -m benchmarks.exchanges"


def main() -> None:
    spec = compose_settings("full", []).panel
    figures = {}
    for by in ("none", "default", "suffix"):
        for missing in MISSING:
            counts, wrong = outcomes(spec, by=by, missing=missing)
            figures[f"wrong_{by}_{missing}_missing"] = {
                "value": counts["wrong"],
                "tickers": sum(counts.values()),
                "outcomes": dict(sorted(counts.items())),
                "pairs": {f"{own} as {given}": number for (own, given), number in sorted(wrong.items())},
            }
            print(by, missing, dict(counts), dict(wrong), flush=True)
    print(record("exchanges", figures, command=COMMAND))


def outcomes(
    spec: PanelSpec, *, by: str, missing: int
) -> tuple[collections.Counter[str], collections.Counter[tuple[str, str]]]:
    """Return how many tickers came to which outcome, and how many of each exchange went wrongly to which."""
    own = {f"{exchange} {year}-{month}": exchange for exchange, year, month in _begins(spec)}
    rng = random.Random(f"{by} {missing}")
    parts = []
    for ticker, exchange in own.items():
        year, month = map(int, ticker.split()[1].split("-"))
        begin = dt.date(year, month, 2)
        days = sessions(exchange, begin, begin + dt.timedelta(days=400))[: FIRST_QUOTES + missing].to_list()
        kept = sorted(rng.sample(days, FIRST_QUOTES))
        named = {"none": None, "default": "XNYS", "suffix": exchange}[by]
        parts.append(
            pl.DataFrame({"ticker": ticker, "date": kept}).with_columns(exchange=pl.lit(named, dtype=pl.String))
        )
    quotes = pl.concat(parts).sort("ticker", "date").with_columns(assigned_by=pl.lit(by), news=pl.lit(True))
    placed = place_tickers(quotes, until=dt.date(2025, 12, 31), spec=spec)
    counts: collections.Counter[str] = collections.Counter()
    wrong: collections.Counter[tuple[str, str]] = collections.Counter()
    for ticker, given, how in placed.select("ticker", "exchange", "assigned_by").iter_rows():
        if given == own[ticker]:
            counts["right"] += 1
        elif given is None:
            counts["refused"] += 1
        elif how == "default":
            counts["stays on New York"] += 1
        else:
            counts["wrong"] += 1
            wrong[own[ticker], given] += 1
    return counts, wrong


def _begins(spec: PanelSpec) -> list[tuple[str, int, int]]:
    return [
        (exchange, year, month)
        for exchange in spec.regions
        for year in YEARS
        for month in range(1, 13)
        if calendar_bounds(exchange)[0] <= dt.date(year, month, 2)
    ]


if __name__ == "__main__":
    main()
