"""What all commands share: common options, the store, one sentence instead of a traceback for a user's mistake."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from forecast_assets.cli.interrupts import INTERRUPTED, SENTENCE
from forecast_assets.core.errors import Stopped, UserError
from forecast_assets.resources.machine_errors import machine_error

if TYPE_CHECKING:
    from forecast_assets.store.store import Store

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def variable_option(name: str, variable: str, *, help: str, metavar: str | None = None) -> Decorator:
    """Return an option that sets an environment variable of this process, unless it is left out or empty."""

    def export(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value:
            os.environ[variable] = value

    return click.option(name, metavar=metavar, help=f"{help} ({variable}).", expose_value=False, callback=export)


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that are accepted both before and after a command's name."""
    for option in (
        variable_option(
            "--as-of", "FORECAST_AS_OF", help="Replay: a date or time; what came later is not read", metavar="DATE"
        ),
        variable_option("--profile", "FORECAST_PROFILE", help="A file in conf/profile"),
        variable_option("--data-dir", "FORECAST_DATA_DIR", help="Root of raw/, store/ and reports/"),
        click.option("--debug", is_flag=True, help="Show tracebacks."),
    ):
        function = option(function)
    return function


def user_command(function: Callable[..., Any], *, exit_code: int = 1) -> Callable[..., Any]:
    """Accept the common options after the command's name too; print a ``UserError``, or an error of the machine, as a
    sentence and exit with a code.
    """

    @common_options
    @click.pass_context
    @wraps(function)
    def run(context: click.Context, debug: bool, **options: Any) -> None:
        try:
            function(**options)
        except click.ClickException:
            raise
        except (Exception, KeyboardInterrupt) as error:
            expected = isinstance(error, UserError | KeyboardInterrupt)
            said = str(error) if expected else str(machine_error(error) or "")
            if not (expected or said):
                raise  # a bug keeps its traceback
            stopped = isinstance(error, Stopped | KeyboardInterrupt)
            if stopped:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed once more: it is ending already
            if debug or context.obj["debug"]:
                traceback.print_exc()
            click.echo(f"forecast-assets: {said or SENTENCE}", err=True)
            sys.exit(INTERRUPTED if stopped else exit_code)

    return run


panel_option = variable_option(
    "--panel", "FORECAST_PANEL", help="The raw panel: a file or a folder of files", metavar="PATH"
)
arrived_option = variable_option(
    "--arrived",
    "FORECAST_ARRIVED",
    help="When files arrived, if not when first seen: history, name or a date",
    metavar="WHEN",
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


json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


def print_json(value: Any) -> None:
    """Print what a command found as JSON: arrays as lists, dates as ISO strings."""
    click.echo(json.dumps(value, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
