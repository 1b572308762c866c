"""The command group: which commands there are, and where each one is.

A command's module is imported when it is asked for, so that no command waits for another one's libraries.
"""

from importlib import import_module

import click

from forecast_assets.cli.common import common_options, export
from forecast_assets.core.horizons import horizons_text

COMMANDS = {
    "run": "run",
    "sweep": "sweep",
    "nightly": "nightly",
    "rollback": "rollback",
    "demo-panel": "demo_panel",
    "verify": "verify",
    "prune": "prune",
    "status": "status",
    "export": "export",
    "explain": "explain",
    "serve": "serve",
    "changed": "changed",
    "knobs": "knobs",
}
"""Command -> its module in this package, which calls the command ``command``; in the order of the help."""


class Commands(click.Group):
    """Imports the module of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"forecast_assets.cli.{COMMANDS[cmd_name]}").command
        return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Calibrated {horizons_text(mark='-')}session return forecasts from a raw price panel.",
)
@common_options
@click.pass_context
def cli(context: click.Context, debug: bool, data_dir: str | None, profile: str | None, as_of: str | None) -> None:
    """Run one of the commands; the options before it hold for each of them."""
    context.obj = {"debug": debug}
    export(FORECAST_DATA_DIR=data_dir, FORECAST_PROFILE=profile, FORECAST_AS_OF=as_of)


def main() -> None:
    """Console entry point."""
    cli(prog_name="forecast-assets")
