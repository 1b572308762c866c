"""``rollback``: the previous champion serves again."""

import click

from forecast_assets.cli.common import open_store, user_command


@click.command("rollback")
@user_command
def command() -> None:
    """Let the previous champion serve again. No later night brings the current one back."""
    from forecast_assets.champion.promotion import roll_back

    gone, serving = roll_back(*open_store())
    which = f"{gone.id} is revoked" if gone else "the damaged one before it is not made again"
    click.echo(f"serving_model: version {serving.id} serves again, {which}")
