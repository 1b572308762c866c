"""Let the champion before the current one serve again."""

import click

from forecast_assets.cli.common import user_command


@click.command("rollback")
@user_command
def command() -> None:
    """Let the champion before the current one serve again; no later night brings the current one back."""
    from forecast_assets.champion.promotion import roll_back
    from forecast_assets.resources.store_io import StoreResource

    resource = StoreResource()
    gone, serving = roll_back(resource.store(), resource.root())
    click.echo(f"serving_model: version {serving.id} serves again, {gone.id} is revoked")
