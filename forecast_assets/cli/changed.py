"""``changed``: why a ticker's forecast changed from one night to the next."""

import datetime as dt

import click

from forecast_assets.cli.common import open_store, user_command


@click.command("changed")
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@user_command
def command(ticker: str, day: dt.datetime) -> None:
    """Explain how TICKER's forecast changed on DATE. By data, model or calibration, against the night before."""
    from forecast_assets.champion.forecast_change import change_lines, explain_change

    store, _ = open_store()
    for line in change_lines(explain_change(store, ticker=ticker, day=day.date())):
        click.echo(line)
