"""``ui``: the Dagster UI with its daemon."""

import click

from forecast_assets.cli.common import user_command


@click.command("ui", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF dagster dev]")
@user_command
def command(options: tuple[str, ...]) -> None:
    """Start the Dagster UI and its daemon.

    It is `dagster dev`, with its options, behind a guard that rejects requests of other sites' pages: it answers loopback
    names, and those of FORECAST_UI_HOSTS (separated by commas).
    """
    from forecast_assets.resources import environment
    from forecast_assets.webserver.launch import dev

    environment.ui_hosts()  # a name that is none ends it before anything starts
    dev(options)
