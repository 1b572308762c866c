"""Say why a ticker's forecast changed."""

import datetime as dt

import click

from forecast_assets.cli.common import user_command


@click.command("changed")
@click.argument("ticker")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@user_command
def command(ticker: str, day: dt.datetime) -> None:
    """Why TICKER's forecast of the night of DATE differs from the night before: data, model or calibration."""
    from forecast_assets.champion.forecast_change import change_lines, explain_change
    from forecast_assets.resources.store_io import StoreResource

    for line in change_lines(explain_change(StoreResource().store(), ticker=ticker, day=day.date())):
        click.echo(line)
