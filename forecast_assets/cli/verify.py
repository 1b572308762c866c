"""``verify``: check the store's hashes and derive the reports' numbers again."""

import sys

import click

from forecast_assets.cli.common import open_store, user_command
from forecast_assets.store.asset_keys import BACKTEST_REPORT


@click.command("verify")
@user_command
def command() -> None:
    """Check all hashes and derive the reports' numbers again."""
    store, root = open_store()
    problems = store.verify()
    if problems:
        click.echo("\n".join(map(str, problems)))
        click.echo(f"forecast-assets: {len(problems)} problems; run the graph again to repair them", err=True)
        sys.exit(1)
    artefacts = sum(len(store.slots(asset)) for asset in store.assets())
    click.echo(f"{root}/store: {artefacts} artefacts, all as published")
    if not store.has(BACKTEST_REPORT):
        return
    from forecast_assets.cli.report_problems import report_problems

    if wrong := report_problems(store, root):
        click.echo("\n".join(wrong))
        click.echo("forecast-assets: the report is not what its artefacts give; run the graph again", err=True)
        sys.exit(1)
    click.echo(f"{root}/reports/latest: every number derived again")
