"""``run``: materialise the graph, or a selection of it."""

import time

import click

from forecast_assets.cli.common import arrived_option, listed, panel_option, set_option, user_command
from forecast_assets.cli.materialise import materialise
from forecast_assets.store.asset_keys import BACKTEST_REPORT


@click.command("run")
@click.option("--select", metavar="KEYS", multiple=True, help="Asset keys, comma-separated or repeated; default: all.")
@click.option("--years", metavar="YEARS", help="Test years, comma-separated; default: all the panel has.")
@panel_option
@arrived_option
@set_option
@user_command
def command(select: tuple[str, ...], years: str | None, overrides: tuple[str, ...]) -> None:
    """Materialise the graph. What has not changed is not computed again."""
    started = time.monotonic()
    selected = listed(",".join(select))
    materialise(selected, listed(years), list(overrides))
    if selected and BACKTEST_REPORT not in selected:
        return

    from forecast_assets.cli.run_summary import closing_lines
    from forecast_assets.resources import environment

    for line in closing_lines(environment.data_dir(), seconds=time.monotonic() - started):
        click.echo(line)
