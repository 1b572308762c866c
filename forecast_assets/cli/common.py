"""What all commands share: common options, the store, one sentence instead of a traceback for a user's mistake."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from forecast_assets.core.errors import UserError

if TYPE_CHECKING:
    from forecast_assets.store.store import Store


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that are accepted both before and after a command's name."""
    for option in (
        click.option("--as-of", metavar="DATE", help="Last date that is read (FORECAST_AS_OF)."),
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
    """Accept the common options after the command's name too; print a ``UserError`` as a sentence and exit with 1."""

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


def open_store() -> "tuple[Store, str]":
    """Return the store and the data root that it is in; unlike the resource, without importing Dagster."""
    from forecast_assets.resources import environment
    from forecast_assets.store.store import Store

    root = environment.data_dir()
    return Store(f"{root.rstrip('/')}/store"), root


def listed(text: str | None) -> tuple[str, ...]:
    """Return the parts of a list that is separated by commas or spaces."""
    return tuple(part for part in (text or "").replace(" ", ",").split(",") if part)
