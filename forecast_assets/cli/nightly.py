"""``nightly``: the nights that are due."""

import click

from forecast_assets.cli.common import arrived_option, open_store, panel_option, set_option, user_command
from forecast_assets.cli.materialise import materialise


@click.command("nightly")
@panel_option
@arrived_option
@set_option
@click.option("--skip", multiple=True, metavar="DAY", help="Give up a missing night instead; repeatable.")
@user_command
def command(overrides: tuple[str, ...], skip: tuple[str, ...]) -> None:
    """Read the panel and run every night that is due. The schedule in the Dagster UI does the same.

    A night that failed stays due, also behind later ones, until it is done or given up with --skip.
    """
    if skip:
        from forecast_assets.automation.nights import listed, skip_nights

        skip_nights(*open_store(), skip)
        click.echo(f"given up: {listed(sorted(set(skip)))}")
        return
    from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS

    materialise((*PANEL_ASSETS, *NIGHT_ASSETS), (), list(overrides))
