"""``run``: materialise the graph, or a selection of it."""

import click

from forecast_assets.cli.common import arrived_option, listed, panel_option, set_option, user_command
from forecast_assets.cli.materialise import materialise


@click.command("run")
@click.option("--select", metavar="KEYS", multiple=True, help="Asset keys, comma-separated or repeated; default: all.")
@click.option("--years", metavar="YEARS", help="Test years, comma-separated; default: all the panel has.")
@panel_option
@arrived_option
@set_option
@user_command
def command(select: tuple[str, ...], years: str | None, overrides: tuple[str, ...]) -> None:
    """Materialise the graph. What has not changed is not computed again."""
    materialise(listed(",".join(select)), listed(years), list(overrides))

    from forecast_assets.cli.run_summary import print_summary
    from forecast_assets.resources import environment

    print_summary(environment.data_dir())
