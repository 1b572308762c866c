"""``fork``: a data root of its own for replays of past nights."""

from pathlib import Path

import click

from forecast_assets.cli.common import user_command
from forecast_assets.core.errors import BadSetting


@click.command("fork")
@click.argument("target", type=click.Path(path_type=Path))
@user_command
def command(target: Path) -> None:
    """Make TARGET a data root for replays from --as-of on.

    The one that serves is left as it is: its versions are shared, but for the panel and later nights.
    """
    from forecast_assets.resources import environment
    from forecast_assets.store.fork import fork

    as_of = environment.as_of()
    if as_of is None:
        raise BadSetting("fork: name the first day to be replayed, like --as-of 2025-05-26")
    root = environment.data_dir()
    versions = fork(root, target, before=str(as_of.day))
    click.echo(
        f"{target}: {versions} versions of {root}, without its panel and its nights from {as_of.day} on. Replay with: "
        f"forecast-assets nightly --as-of {as_of.day} --data-dir {target} --panel {environment.panel_path()}"
    )
