"""``orders``: the book of the newest night as orders in shares."""

import datetime as dt
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from forecast_assets.cli.common import json_option, open_store, print_json, set_option, user_command
from forecast_assets.cli.export import require_folder
from forecast_assets.core.errors import BadInput, BadSetting, MissingArtefact
from forecast_assets.core.spreadsheet import guarded
from forecast_assets.store.artefact_files import FLAGS, GONE_TICKERS, TABLE
from forecast_assets.store.asset_keys import CALENDAR_PANEL, RAW_PANEL, TARGET_POSITIONS
from forecast_assets.store.durable import replace_bytes
from forecast_assets.store.panel_in_use import days_in_panel
from forecast_assets.store.store import Store
from forecast_assets.store.versions import Version

if TYPE_CHECKING:
    from forecast_assets.core.specs import CurrencySpec

FX_RATES = "fx_rates"
SHARES = "a file of what is held has ticker and shares, below 0 where they are sold short"
LOTS = "a file of lots has ticker and lot: whole shares, at least 1, of a ticker or of all of an exchange (XTKS)"
PRICES = "a file of prices has ticker and price: above 0, as the ticker's exchange quotes it"
NOT_AS_QUOTED = {
    "rescaled_drop": "its later files stand on another adjustment basis and were rescaled",
    "mixed_basis": "its opens and closes stand on two bases",
}
"""Flags of tickers whose prices in the panel may not be those that are quoted."""
_OLD = pl.format("price of {}", "of")


@dataclass(frozen=True)
class Files:
    """What the user brings."""

    held: Path | None
    lots: Path | None
    prices: Path | None


@dataclass(frozen=True)
class Sized:
    """A night's book with all that sizes it, and the currency that the capital is in."""

    night: str
    currency: str
    book: pl.DataFrame  # as ``core.backtest.orders.share_orders`` takes it


def read_book(store: Store, night: str | None, files: Files, currency: "CurrencySpec") -> Sized:
    """Read the target positions of ``night``, the newest where none is named, and what sizes them.

    Raises MissingArtefact without a night; BadInput for a file that can't be used, a price that the panel may not have as
    quoted, a rate that is missing; BadSetting for a ticker of no known currency.
    """
    nights = days_in_panel(store, TARGET_POSITIONS)
    if not nights:
        raise MissingArtefact(f"{TARGET_POSITIONS}: no night yet; make one with: forecast-assets nightly")
    chosen = night or max(nights)
    if chosen not in nights:
        raise MissingArtefact(f"{TARGET_POSITIONS}: no night {chosen}; there are {nights[0]} to {nights[-1]}")
    positions = store.current(TARGET_POSITIONS, chosen)
    quotes = _quotes(store, positions, night=chosen)
    held, lots, prices = _numbers(files, quotes)
    targets = pl.read_parquet(positions.path(TABLE)).select("ticker", "weight_target", "note", of_night="price")
    book = targets.join(held, on="ticker", how="full", coalesce=True).filter(
        (pl.col("weight_target").fill_null(0.0) != 0) | (pl.col("held").fill_null(0.0) != 0)
    )
    _require_quoted(store, book.join(prices, on="ticker", how="anti")["ticker"])
    book = book.join(quotes, on="ticker", how="left").join(prices, on="ticker", how="left")
    of_exchange = lots.rename({"ticker": "exchange", "lot": "exchange_lot"})
    book = book.join(lots, on="ticker", how="left").join(of_exchange, on="exchange", how="left")
    sized = book.with_columns(
        pl.col("weight_target", "held").fill_null(0.0),
        price=pl.coalesce("own_price", "of_night", "price"),
        lot=pl.coalesce("lot", "exchange_lot", 1.0),
        note=pl.coalesce("note", pl.when(pl.col("own_price").is_null() & _is_old(night=chosen)).then(_OLD)),
    )
    units, base = _unit_values(store, sized, night=chosen, spec=currency)
    return Sized(chosen, base, sized.join(units, on="ticker").sort("ticker"))


def _is_old(*, night: str) -> pl.Expr:
    return pl.col("of") < dt.date.fromisoformat(night)


def _quotes(store: Store, positions: Version, *, night: str) -> pl.DataFrame:
    """Return ticker, exchange, price (the last close up to the night) and its day ``of``, also of what left the panel."""
    columns = ("date", "ticker", "exchange", "close")
    panel = pl.scan_parquet(store.current(CALENDAR_PANEL).path(TABLE)).filter(~pl.col("is_missing")).select(columns)
    parts = [panel]
    if GONE_TICKERS in positions.manifest.files:
        parts.append(pl.scan_parquet(positions.path(GONE_TICKERS)).filter(~pl.col("is_missing")).select(columns))
    rows = pl.concat(parts).filter(pl.col("date") <= dt.date.fromisoformat(night)).sort("date").collect()
    return rows.group_by("ticker").agg(
        pl.col("exchange").last(), price=pl.col("close").last(), of=pl.col("date").last()
    )


def _numbers(files: Files, quotes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return what the user's files hold: ticker and held, ticker (or exchange) and lot, ticker and own_price."""
    from forecast_assets.core.ticker_numbers import read_numbers

    tickers, exchanges = quotes["ticker"].to_list(), quotes["exchange"].unique().to_list()

    def table(path: Path | None, name: str, **rules: Any) -> pl.DataFrame:
        rules = {"known": tickers, "lacks": "has no price in the panel"} | rules
        found = {} if path is None else read_numbers(path, **rules)
        columns = {"ticker": list(found), name: list(found.values())}
        return pl.DataFrame(columns, schema={"ticker": pl.String, name: pl.Float64})

    return (
        table(files.held, "held", column="shares", holds=SHARES),
        table(
            files.lots,
            "lot",
            column="lot",
            holds=LOTS,
            known=[*tickers, *exchanges],
            allowed=lambda lot: lot >= 1 and lot.is_integer(),
        ),
        table(files.prices, "own_price", column="price", holds=PRICES, allowed=lambda price: price > 0),
    )


def _require_quoted(store: Store, tickers: pl.Series) -> None:
    """Raise BadInput for a ticker whose prices in the panel may not be those that its exchange quotes."""
    flags = pl.read_parquet(store.current(RAW_PANEL).path(FLAGS))
    doubtful = flags.filter(pl.col("ticker").is_in(tickers.implode()) & pl.col("flag").is_in(list(NOT_AS_QUOTED)))
    if doubtful.is_empty():
        return
    ticker, flag = doubtful.sort("ticker").select("ticker", "flag").row(0)
    others = doubtful["ticker"].n_unique() - 1
    raise BadInput(
        f"{ticker}{f' and {others} others' if others else ''}: the panel's price may not be the one that is quoted, since "
        f"{NOT_AS_QUOTED[flag]}; give what is quoted with --prices, a file of ticker and price"
    )


def _unit_values(store: Store, book: pl.DataFrame, *, night: str, spec: "CurrencySpec") -> tuple[pl.DataFrame, str]:
    """Return ticker, currency and unit_value, and the currency that these are in: that of the rates, or the only one.

    ``unit_value``: of one unit of a ticker's price, by the last rate known at the close of the night. Without a file of
    rates all tickers have to be quoted in one currency.
    """
    from forecast_assets.core.backtest.currency import Conversion
    from forecast_assets.core.panel.currencies import named, require_currencies, ticker_currencies

    codes = ticker_currencies(book, spec)
    require_currencies(codes)
    stored = store.current(FX_RATES)  # empty where the user has none
    rates = pl.read_parquet(stored.path(TABLE))
    value = np.ones(codes.height)
    used = codes["currency"].unique().sort().to_list()
    base = used[0] if used else spec.base
    if not rates.is_empty():
        base = stored.manifest.config["currency"]["base"]
        if spec.base != base:
            raise BadSetting(
                f"currency.base is {spec.base}, and the exchange rates of the store lead to {base}; set it to {base}, or "
                "run the graph again"
            )
        conversion = Conversion.of(rates, book.select("ticker", "exchange"), spec)
        assert conversion is not None  # there are rates
        days, needed = np.array([night], dtype="datetime64[D]"), np.ones((1, codes.height), dtype=bool)
        value = conversion.at(days, codes["ticker"].to_list(), known="by", needed=needed)[0]
    elif len(used) > 1:
        examples = named(f"{code}: {codes.filter(pl.col('currency') == code)['ticker'][0]}" for code in used)
        raise BadInput(
            f"the book holds tickers in {len(used)} currencies ({examples}), and there are no exchange rates to size them "
            "from one capital; name a file of rates with FORECAST_FX and run the graph again"
        )
    unit_value = pl.Series(value) / pl.col("per_unit")  # prices in pence are hundredths
    return codes.select("ticker", "currency", unit_value=unit_value), base


@click.command("orders")
@click.option(
    "--capital", type=float, required=True, help="The whole equity, cash and holdings, in the book's currency."
)
@click.option(
    "--held", type=click.Path(dir_okay=False, path_type=Path), help="A file of ticker and shares; else nothing."
)
@click.option(
    "--lots",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of ticker (or exchange) and lot; else 1 share.",
)
@click.option(
    "--prices",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of ticker and price as quoted; else the closes.",
)
@click.option("--night", type=click.DateTime(["%Y-%m-%d"]), help="Of this night; default: the newest.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this CSV.")
@json_option
@set_option
@user_command
def command(
    capital: float,
    held: Path | None,
    lots: Path | None,
    prices: Path | None,
    night: dt.datetime | None,
    out: Path | None,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Show the book of the newest night as orders in shares.

    From the target weights, the capital and what is held to whole lots, towards the target and never beyond it. What is less
    than a lot is unfilled, and named.
    """
    from forecast_assets.core.backtest.orders import share_orders, totals
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    if not capital > 0 or not np.isfinite(capital):
        raise BadInput(f"--capital {capital:g}: has to be above 0, such as --capital 1000000")
    if out is not None:
        require_folder(out)
    store, _ = open_store()
    currency = compose_settings(environment.profile_name(), list(overrides)).currency
    sized = read_book(store, night.date().isoformat() if night else None, Files(held, lots, prices), currency)
    orders = share_orders(sized.book, capital=capital)
    found = asdict(totals(orders, sized.book, capital=capital))
    if out is not None:
        replace_bytes(out, guarded(orders).write_csv().encode())
    facts = {"night": sized.night, "capital": capital, "currency": sized.currency, **found}
    if as_json:
        print_json({**facts, "rows": orders.to_dicts()})
        return
    if out is None and not orders.is_empty():
        print_orders(orders, sized.currency)
    click.echo(
        f"{f'{out}: ' if out else ''}{found['orders']} orders of the night of {sized.night}: buy {found['bought']:,.0f}, "
        f"sell {found['sold']:,.0f} {sized.currency}; gross {found['gross_after']:.1%} of {capital:,.0f} {sized.currency}, "
        f"wanted {found['gross_target']:.1%}; unfilled, less than a lot each: {found['unfilled']:,.0f} {sized.currency}"
    )


def print_orders(orders: pl.DataFrame, base: str) -> None:
    """Print a line per order or remainder."""
    table = Table("ticker", "side", "shares", "price", f"value, {base}", "held", "target", "unfilled", "note")
    for column in table.columns[2:8]:
        column.justify = "right"
    for row in orders.iter_rows(named=True):
        shares = f"{row['shares']:,}" if row["shares"] else "-"
        numbers = (f"{row['price']:,.6g} {row['currency']}", f"{row['value']:,.0f}", f"{row['held']:,.6g}")
        rest = (f"{row['target']:,.1f}", f"{row['unfilled']:,.1f}")
        table.add_row(row["ticker"], row["side"], shares, *numbers, *rest, row["note"] or "")
    Console(width=max(Console().width, 110)).print(table)
