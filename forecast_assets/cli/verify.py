"""Re-hash the store and derive the reports again."""

import sys

import click

from forecast_assets.cli.common import user_command


@click.command("verify")
@user_command
def command() -> None:
    """Re-hash every artefact against its manifest, and derive the report's numbers from them again."""
    from forecast_assets.cli.report_problems import REPORT_ASSET, report_problems
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    store = resource.store()
    problems = store.verify()
    for problem in problems:
        click.echo(str(problem))
    if problems:
        click.echo(f"forecast-assets: {len(problems)} problems; run the graph again to repair them", err=True)
        sys.exit(1)
    artefacts = sum(len(store.slots(asset)) for asset in store.assets())
    click.echo(f"{resource.root()}/store: {artefacts} artefacts, all as published")
    if not store.has(REPORT_ASSET):
        return
    wrong = report_problems(resource)
    for sentence in wrong:
        click.echo(sentence)
    if wrong:
        click.echo("forecast-assets: the report is not what its artefacts give; run the graph again", err=True)
        sys.exit(1)
    click.echo(f"{resource.root()}/reports/latest: every number derived again")
