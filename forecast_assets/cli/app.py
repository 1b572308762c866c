"""The command group: which commands there are, and where each one is.

A command's module is imported when it is used, so that no command waits for another one's libraries.
"""

import os
import resource
from importlib import import_module

import click

from forecast_assets.cli.common import common_options
from forecast_assets.cli.interrupts import ends_at_once
from forecast_assets.core.horizons import horizons_text
from forecast_assets.core.nearest import nearest_names

COMMANDS = (
    *("run", "inspect", "sweep", "nightly", "fork", "rollback", "demo-panel"),
    *("verify", "record", "prune", "rebuild-home", "forecast", "status", "export", "export-model"),
    *("explain", "factor", "risk", "orders", "benchmark-task", "serve", "ui", "changed", "audit", "knobs"),
)
"""In the order of the help; each is the function ``command`` of the module of its name in this package."""


class Commands(click.Group):
    """Imports the module of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with ends_at_once():
            found: click.Command = import_module(f"forecast_assets.cli.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's; names the command that an unknown one is most like."""
        if (
            args
            and args[0] not in COMMANDS
            and not args[0].startswith("-")
            and (near := nearest_names(args[0], COMMANDS))
        ):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Calibrated {horizons_text(mark='-')}session return forecasts from a raw price panel.",
)
@click.version_option(None, "--version", package_name="forecast-assets", message="%(package)s %(version)s")
@common_options
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Run one of the commands; the options before it hold for each of them."""
    context.obj = {"debug": debug}


def main() -> None:
    """Console entry point."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        # Polars' allocator would start threads of its own, and report at each allocation that it could not.
        os.environ.setdefault("_RJEM_MALLOC_CONF", "background_thread:false")
    cli(prog_name="forecast-assets")
