"""What every command shares: its common options, and one sentence instead of a traceback for a user's mistake."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from forecast_assets.core.errors import UserError


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that stand before and after a command's name alike."""
    for option in (
        click.option("--as-of", metavar="DATE", help="Nothing after it is read (FORECAST_AS_OF)."),
        click.option("--profile", help="A file in conf/profile (FORECAST_PROFILE)."),
        click.option("--data-dir", help="Root of raw/, store/ and reports/ (FORECAST_DATA_DIR)."),
        click.option("--debug", is_flag=True, help="Show tracebacks."),
    ):
        function = option(function)
    return function


def export(**variables: str | None) -> None:
    """Set environment variables of this process; None and an empty text leave one as it is."""
    os.environ.update({name: value for name, value in variables.items() if value})


def user_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take the common options after the command's name too, and turn a ``UserError`` into its sentence and exit code 1."""

    @common_options
    @click.pass_context
    @wraps(function)
    def run(
        context: click.Context,
        debug: bool,
        data_dir: str | None,
        profile: str | None,
        as_of: str | None,
        **options: Any,
    ) -> None:
        export(FORECAST_DATA_DIR=data_dir, FORECAST_PROFILE=profile, FORECAST_AS_OF=as_of)
        try:
            function(**options)
        except UserError as error:
            if debug or context.obj["debug"]:
                traceback.print_exc()
            click.echo(f"forecast-assets: {error}", err=True)
            sys.exit(1)

    return run


panel_option = click.option(
    "--panel", metavar="PATH", help="The raw panel: a file or a folder of files (FORECAST_PANEL)."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting; repeatable."
)


def listed(text: str | None) -> tuple[str, ...]:
    """The parts of a list that is separated by commas or spaces."""
    return tuple(part for part in (text or "").replace(" ", ",").split(",") if part)
