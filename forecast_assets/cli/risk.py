"""``risk``: what the book, or a portfolio of one's own, may lose over the sessions ahead."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from forecast_assets.cli.common import json_option, open_store, print_json, set_option, user_command
from forecast_assets.cli.export import chosen_slots
from forecast_assets.core.errors import BadInput, MissingArtefact
from forecast_assets.store.artefact_files import POSITIONS, TABLE
from forecast_assets.store.asset_keys import BACKTEST, ENSEMBLE, TARGET_POSITIONS
from forecast_assets.store.store import Store

if TYPE_CHECKING:
    from forecast_assets.core.joint.night import NightForecasts
    from forecast_assets.core.joint.walk_forward import Weights
    from forecast_assets.core.specs import ScenarioSpec

CHECK_SCENARIOS = 2000
"""Of each past day that is checked, where there may be thousands of days."""


@dataclass(frozen=True)
class Portfolio:
    """What is held."""

    name: str
    weights: dict[str, float]  # by ticker that has a forecast
    left_out: list[str]  # held without a forecast


def read_portfolio(store: Store, forecasts: "NightForecasts", weights: Path | None) -> Portfolio:
    """Return the portfolio of a file, or the book that is to be held after the night.

    Raises BadInput where the file can't be used or the book is empty, MissingArtefact where the night has no book.
    """
    from forecast_assets.core.joint.weights import book_weights, read_weights

    if weights is not None:
        return Portfolio(weights.name, read_weights(weights, tickers=forecasts.tickers), [])
    if not store.has(TARGET_POSITIONS, forecasts.night):
        raise MissingArtefact(
            f"{TARGET_POSITIONS}: no book of {forecasts.night}; name a portfolio with --weights, or make the book with: "
            "forecast-assets nightly"
        )
    table = pl.read_parquet(store.current(TARGET_POSITIONS, forecasts.night).path(TABLE))
    held, left_out = book_weights(table, tickers=forecasts.tickers)
    if not held:
        raise BadInput(
            f"the book of {forecasts.night} is empty, so nothing is at risk; name a portfolio with --weights"
        )
    return Portfolio(f"book of {forecasts.night}", held, left_out)


def risk_of_night(forecasts: "NightForecasts", portfolio: Portfolio, spec: "ScenarioSpec") -> dict[str, Any]:
    """Return the portfolio's risk over each horizon by scenarios, as JSON can hold it.

    Raises BadInput where too few outcomes have matured before the night.
    """
    from forecast_assets.core.joint.night import night_template, portfolio_risk

    past = night_template(forecasts, spec)
    rows = portfolio_risk(forecasts, past, portfolio.weights, spec)
    weights = np.array([*portfolio.weights.values()])
    return {
        "portfolio": portfolio.name,
        "night": forecasts.night,
        "tickers": len(weights),
        "gross": float(np.abs(weights).sum()),
        "net": float(weights.sum()),
        "left_out": portfolio.left_out,
        "scenarios": spec.scenarios,
        "past_days": past.past_days,
        "horizons": rows,
    }


def check_of_past(
    store: Store, forecasts: "NightForecasts", portfolio: Portfolio, spec: "ScenarioSpec", *, is_book: bool
) -> pl.DataFrame:
    """Return the tests of value at risk on every past day that enough had matured before, see ``coverage_tests``.

    The book is what the backtest held on each day; a portfolio of one's own has the same weights on all of them.
    """
    from forecast_assets.core.joint.scenarios import scenario_returns
    from forecast_assets.core.joint.walk_forward import (
        coverage_tests,
        held_weights,
        portfolio_outcomes,
        same_weights,
        scenario_days,
    )

    weights: Weights
    if is_book:
        years = [store.current(BACKTEST, year).path(POSITIONS) for year in chosen_slots(store, BACKTEST, [])]
        positions = pl.concat(pl.scan_parquet(path).filter(pl.col("strategy") == ENSEMBLE) for path in years)
        weights = held_weights(positions.select("date", "ticker", "weight").collect())
    else:
        weights = same_weights(portfolio.weights)
    quick = spec.model_copy(update={"scenarios": min(spec.scenarios, CHECK_SCENARIOS)})
    ended = forecasts.before.filter(
        pl.col("split") == "test", pl.col("label_end") <= dt.date.fromisoformat(forecasts.night)
    )
    days = ended["date"].unique().sort().to_numpy().astype("datetime64[D]")
    rows: list[dict[str, object]] = []
    for day in scenario_days(forecasts.before, days=days, sectors=forecasts.sectors, spec=quick, skip_early=True):
        rows += portfolio_outcomes(
            day, scenario_returns(day.quantiles, day.model, spec=quick), {portfolio.name: weights}, spec=quick
        )
    if not rows:
        raise BadInput(
            f"{portfolio.name}: held nothing on the {len(days)} past days with an outcome, so there is no check"
        )
    return coverage_tests(pl.DataFrame(rows))


@click.command("risk")
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of ticker and weight; else the book of the night.",
)
@click.option("--night", type=click.DateTime(["%Y-%m-%d"]), help="Of this night; default: the newest.")
@click.option("--check", is_flag=True, help="Also test the promised losses on every past day; takes minutes.")
@json_option
@set_option
@user_command
def command(
    weights: Path | None, night: dt.datetime | None, check: bool, as_json: bool, overrides: tuple[str, ...]
) -> None:
    """Show what a portfolio may lose, by joint scenarios.

    Value at risk and expected shortfall over each horizon. A scenario is of all tickers: the night's calibrated forecasts,
    ordered as past outcomes were.
    """
    from forecast_assets.champion.risk import read_forecasts
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    spec = compose_settings(environment.profile_name(), list(overrides)).scenarios
    store, _ = open_store()
    wanted = night.date().isoformat() if night else None
    forecasts = read_forecasts(store, wanted, spec=None if check else spec)
    portfolio = read_portfolio(store, forecasts, weights)
    found = risk_of_night(forecasts, portfolio, spec)
    tested = check_of_past(store, forecasts, portfolio, spec, is_book=weights is None) if check else None
    if as_json:
        print_json(found | ({"check": tested.to_dicts()} if tested is not None else {}))
        return
    print_risk(found)
    if tested is not None:
        print_check(tested)


def print_risk(found: dict[str, Any]) -> None:
    """Print a line per horizon."""
    click.echo(
        f"{found['portfolio']}: {found['tickers']} tickers, gross {found['gross']:.0%}, net {found['net']:.0%}; "
        f"night of {found['night']}, {found['scenarios']:,} scenarios of {found['past_days']} past days"
    )
    if found["left_out"]:
        click.echo(f"Left out, without a forecast: {', '.join(found['left_out'])}.")
    columns = [f"{name} {level}" for level in ("95 %", "99 %") for name in ("VaR", "ES")]
    table = Table("sessions", *columns, "lowest 95 %", "lowest 99 %", "median", "P(loss)")
    for row in found["horizons"]:
        tail = [value for pair in zip(row["value_at_risk"], row["expected_shortfall"], strict=True) for value in pair]
        numbers = [*tail, *row["lowest_point"], row["median"], row["probability_of_loss"]]
        table.add_row(str(row["horizon"]), *(f"{value:.2%}" for value in numbers[:-1]), f"{numbers[-1]:.0%}")
    console = Console(width=max(Console().width, 110))
    console.print(table)
    click.echo(
        "Losses as shares of equity, weights held as they are, each return in its own currency, before costs. Lowest: the "
        "loss at the worst session on the way. Rescaled to the range of the portfolio's own past returns: "
        f"{found['horizons'][0]['volatility_factor']:.2f} times over one session."
    )


def print_check(tested: pl.DataFrame) -> None:
    """Print a line per horizon and level."""
    click.echo("Past days (those of longer horizons do not overlap):")
    table = Table("sessions", "VaR", "days", "exceeded", "expected", "Kupiec p", "Christoffersen p", "the same by Holm")
    for row in tested.to_dicts():
        adjusted = f"{row['kupiec_holm']:.3f}, {row['christoffersen_holm']:.3f}"
        counts = (f"{row['days']:,}", str(row["exceedances"]), f"{row['expected']:.1f}")
        table.add_row(
            *(str(row["horizon"]), f"{row['level']:.0%}", *counts, f"{row['kupiec']:.3f}"),
            *(f"{row['christoffersen']:.3f}", adjusted),
        )
    Console(width=max(Console().width, 110)).print(table)
