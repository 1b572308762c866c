"""``changed``: why a ticker's forecast changed from one night to the next."""

import datetime as dt
from dataclasses import asdict

import click

from forecast_assets.cli.common import json_option, open_store, print_json, user_command
from forecast_assets.core.horizons import HORIZONS


@click.command("changed")
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@json_option
@user_command
def command(ticker: str, day: dt.datetime, as_json: bool) -> None:
    """Explain how TICKER's forecast changed on DATE. By data, model or calibration, against the night before."""
    from forecast_assets.champion.forecast_change import change_lines, explain_change

    store, _ = open_store()
    change = explain_change(store, ticker=ticker, day=day.date())
    if as_json:
        print_json({"ticker": ticker, "horizons": HORIZONS, "main_cause": change.main_cause, **asdict(change)})
        return
    for line in change_lines(change):
        click.echo(line)
