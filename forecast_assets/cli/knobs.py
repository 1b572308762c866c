"""``knobs``: all settings, their values and what they mean."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from forecast_assets.cli.common import json_option, print_json, set_option, user_command
from forecast_assets.core.specs import Spec

if TYPE_CHECKING:
    from forecast_assets.core.settings import Settings


def setting_rows(settings: "Settings") -> Iterator[tuple[str, Any, str]]:
    """Yield (``section.setting``, value, meaning) of every setting; of a long mapping the number of its entries."""
    for section, spec in settings:
        if not isinstance(spec, Spec):
            continue
        for name, field in type(spec).model_fields.items():
            value = getattr(spec, name)
            if isinstance(value, dict) or (value and isinstance(value, tuple) and isinstance(value[0], Spec)):
                value = f"<{len(value)} entries, see conf/>"
            yield f"{section}.{name}", value, field.description or ""


def setting_lines(settings: "Settings") -> Iterator[str]:
    """Yield ``section.setting = value   # description``, one line per setting."""
    for name, value, meaning in setting_rows(settings):
        yield f"{name} = {value}" + (f"   # {meaning}" if meaning else "")


@click.command("knobs")
@set_option
@json_option
@user_command
def command(overrides: tuple[str, ...], as_json: bool) -> None:
    """List every setting with its value and its meaning."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    settings = compose_settings(environment.profile_name(), list(overrides))
    if as_json:
        print_json({name: {"value": value, "meaning": meaning} for name, value, meaning in setting_rows(settings)})
        return
    for line in setting_lines(settings):
        click.echo(line)
