"""The command group: which commands there are, and where each one is.

A command's module is imported when it is used, so that no command waits for another one's libraries.
"""

from importlib import import_module

import click

from forecast_assets.cli.common import common_options
from forecast_assets.core.horizons import horizons_text

COMMANDS = (
    *("run", "inspect", "sweep", "nightly", "rollback", "demo-panel", "verify", "prune"),
    *("forecast", "status", "export", "export-model", "explain", "factor", "serve", "changed", "audit", "knobs"),
)
"""In the order of the help; each is the function ``command`` of the module of its name in this package."""


class Commands(click.Group):
    """Imports the module of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"forecast_assets.cli.{cmd_name.replace('-', '_')}").command
        return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Calibrated {horizons_text(mark='-')}session return forecasts from a raw price panel.",
)
@common_options
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Run one of the commands; the options before it hold for each of them."""
    context.obj = {"debug": debug}


def main() -> None:
    """Console entry point."""
    cli(prog_name="forecast-assets")
