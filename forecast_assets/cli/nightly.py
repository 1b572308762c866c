"""``nightly``: the nights that are due."""

import click

from forecast_assets.cli.common import arrived_option, panel_option, set_option, user_command
from forecast_assets.cli.materialise import materialise


@click.command("nightly")
@panel_option
@arrived_option
@set_option
@user_command
def command(overrides: tuple[str, ...]) -> None:
    """Read the panel and run every night that is due. The schedule in the Dagster UI does the same."""
    from forecast_assets.automation.jobs import NIGHT_ASSETS, PANEL_ASSETS

    materialise((*PANEL_ASSETS, *NIGHT_ASSETS), (), list(overrides))
