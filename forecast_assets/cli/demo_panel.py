"""``demo-panel``: the synthetic panel as a CSV file."""

from pathlib import Path

import click

from forecast_assets.cli.common import user_command


@click.command("demo-panel")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rival", type=click.Path(dir_okay=False, path_type=Path), help="Also write a plain rival's forecasts.")
@user_command
def command(out: Path, rival: Path | None) -> None:
    """Write the synthetic panel to OUT. Its signal is planted, and some of its rows are malformed on purpose.

    The rival's forecasts go to a Parquet file: a Normal by the last 60 returns of each ticker.
    """
    from forecast_assets.cli.export import require_folder
    from forecast_assets.core.panel.demo import write_demo_csv
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    for path in filter(None, (out, rival)):
        require_folder(path)
    write_demo_csv(out, compose_settings(environment.profile_name(), []).demo, rival=rival)
    for path in (out, *([rival] if rival else [])):
        click.echo(f"{path}: written")
