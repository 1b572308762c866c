"""``rebuild-home``: a wiped Dagster home is filled from the store."""

import click

from forecast_assets.cli.common import user_command
from forecast_assets.cli.materialise import dagster_home


@click.command("rebuild-home")
@user_command
def command() -> None:
    """Report the store to a wiped Dagster home.

    Each current version that Dagster has no record of becomes a materialisation. ``run``, ``nightly`` and ``ui`` do so by
    themselves where Dagster knows of no panel and the store has one.
    """
    dagster_home()
    import dagster as dg

    from forecast_assets.automation.rebuild import rebuild
    from forecast_assets.definitions import store

    with dg.DagsterInstance.get() as instance:
        reported = rebuild(instance, store)
    click.echo(f"{reported} materialisations reported to Dagster")
