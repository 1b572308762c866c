"""``forecast``: the published forecasts of some tickers, as a fan in the terminal, a table or a file."""

import datetime as dt
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forecast_assets.cli.common import json_option, open_store, user_command
from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS, QUANTILE_COLUMNS
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.spreadsheet import guarded

if TYPE_CHECKING:
    from forecast_assets.forecaster import Forecaster

RANKED_BY = (*QUANTILE_COLUMNS, "mean", "sigma", "p_up")
FAN = 23  # characters of a drawn interval
SOURCES = {"ledger": "issued by", "walk_forward": "out of sample, by"}


@click.command("forecast")
@click.argument("tickers", nargs=-1)
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="At the close of this day; default: the latest.")
@click.option(
    "--top", type=click.IntRange(min=1), help="Without tickers: so many of the last night, the highest first."
)
@click.option(
    "--by", default="p_up", show_default=True, metavar="COLUMN", help="What --top ranks by; -COLUMN: the lowest."
)
@click.option("--horizon", type=int, default=HORIZONS[1], show_default=True, help="Sessions ahead that --top ranks by.")
@click.option("--csv", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table to a file.")
@json_option
@user_command
def command(
    tickers: tuple[str, ...],
    day: dt.datetime | None,
    top: int | None,
    by: str,
    horizon: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show the forecasts of TICKERS and what they rest on.

    They are those that a night issued or, before the first night, the walk-forward's. Without tickers: the last night's.

    \b
    forecast-assets forecast BMW.DE AAPL
    forecast-assets forecast BMW.DE --date 2024-05-02
    forecast-assets forecast --top 10 --by sigma
    """
    from forecast_assets.cli.export import require_folder
    from forecast_assets.forecaster import Forecaster

    if tickers and top is not None:
        raise BadInput("--top ranks all tickers of the last night; leave the tickers out, or --top")
    if out is not None:
        require_folder(out)
    forecaster = Forecaster(open_store()[0])
    table = forecaster.forecast(*tickers, date=day.date() if day else None)
    if not tickers and (top is not None or not (out or as_json)):
        table = _ranked(table, by=by, horizon=horizon, count=top or 10)
    if out is not None:
        guarded(table).write_csv(out)
        click.echo(f"{out}: {table.height} rows")
    elif as_json:
        click.echo(json.dumps(table.with_columns(pl.col("date").cast(pl.String)).to_dicts(), indent=1))
    elif tickers:
        for ticker in table["ticker"].unique(maintain_order=True):
            _print_fan(forecaster, table.filter(pl.col("ticker") == ticker))
    else:
        _print_ranking(table, horizon=horizon)


def _ranked(table: pl.DataFrame, *, by: str, horizon: int, count: int) -> pl.DataFrame:
    """Return the rows of ``horizon``, ``count`` at most, in the order that ``by`` names."""
    column = by.removeprefix("-")
    if column not in RANKED_BY:
        raise BadInput(
            f"--by {by}: no such column; did you mean {nearest_name(column, RANKED_BY)}? ({', '.join(RANKED_BY)})"
        )
    if horizon not in HORIZONS:
        raise BadInput(f"--horizon {horizon}: forecasts reach {', '.join(map(str, HORIZONS))} sessions ahead")
    rows = table.filter(pl.col("horizon") == horizon)
    return rows.sort(column, "ticker", descending=[not by.startswith("-"), False]).head(count)


def _print_fan(forecaster: "Forecaster", rows: pl.DataFrame) -> None:
    """Print a ticker's forecast: per horizon the intervals of the price, drawn on one scale."""
    ticker, day = rows["ticker"][0], rows["date"][0]
    quote = forecaster.closes(ticker).filter(pl.col("date") == day)
    close = quote["close"][0] if quote.height else None
    q = rows.select(QUANTILE_COLUMNS).to_numpy()
    largest = abs(q[:, [0, -1]]).max()
    console = Console(highlight=False)
    at = f"close {day}" + (f" at {close:,.6g}" if close is not None else "")
    console.print(Text.assemble((ticker, "bold"), f"  {at}"))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("sessions", "95 % from", "", "to", "median", "up"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for row, levels in zip(rows.iter_rows(named=True), q, strict=True):
        low, high = (_return_or_price(levels[k], close) for k in (0, -1))
        table.add_row(
            str(row["horizon"]), low, _drawn(levels, largest), high, f"{_simple(levels[3]):+.2%}", f"{row['p_up']:.0%}"
        )
    console.print(table)
    made_by = rows.row(0, named=True)
    console.print(f"{SOURCES[made_by['source']]} {made_by['made_by']}", style="dim")


def _print_ranking(rows: pl.DataFrame, *, horizon: int) -> None:
    console = Console(highlight=False)
    days = " to ".join(sorted({str(rows["date"].min()), str(rows["date"].max())}))
    console.print(f"Over {horizon} sessions from the close of {days}")
    table = Table("ticker", "95 % low", "median", "95 % high", "sigma", "up")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows.iter_rows(named=True):
        shown = [f"{_simple(row[name]):+.2%}" for name in ("q025", "q50", "q975")]
        table.add_row(row["ticker"], *shown, f"{row['sigma']:.2%}", f"{row['p_up']:.0%}")
    console.print(table)


def _drawn(levels: Any, largest: float) -> Text:
    """Draw an interval: thin 95 %, thick 50 %, the median; the bar in the middle is no change.

    ``levels`` (7,) log returns, on a scale of ``largest`` to both sides.
    """
    place = [round((FAN - 1) / 2 * (1 + value / largest)) if largest else FAN // 2 for value in levels]
    cells = [" "] * FAN
    cells[FAN // 2] = "│"
    for k in range(place[0], place[-1] + 1):
        cells[k] = "─"
    for k in range(place[2], place[4] + 1):
        cells[k] = "━"
    cells[FAN // 2] = "┼" if cells[FAN // 2] != "│" else "│"
    cells[place[3]] = "●"
    return Text("".join(cells), style="cyan")


def _return_or_price(value: float, close: float | None) -> str:
    change = _simple(value)
    return f"{change:+.1%}" if close is None else f"{close * (1 + change):,.6g} {change:+.1%}"


def _simple(value: float) -> float:
    """A log return as a share of the price."""
    return math.expm1(value)
