"""``ui``: the Dagster UI with its daemon."""

import os

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.cli.materialise import dagster_home
from forecast_assets.store.asset_keys import RAW_PANEL


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
    if os.environ.get("DAGSTER_HOME"):
        refill_home()
    dev(options)


def refill_home() -> None:
    """Report what the store holds where Dagster, whose home was wiped, knows nothing of it."""
    if not open_store()[0].has(RAW_PANEL):
        return
    dagster_home()
    import dagster as dg

    from forecast_assets.automation.rebuild import is_forgotten, rebuild
    from forecast_assets.resources.store_io import StoreResource

    with dg.DagsterInstance.get() as instance:
        if is_forgotten(instance, where := StoreResource()):
            from forecast_assets import definitions  # noqa: F401 - makes the stages known

            click.echo(f"{rebuild(instance, where)} materialisations reported to Dagster again")
