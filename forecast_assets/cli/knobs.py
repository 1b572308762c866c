"""``knobs``: all settings, their values and what they mean."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from forecast_assets.cli.common import set_option, user_command
from forecast_assets.core.specs import Spec

if TYPE_CHECKING:
    from forecast_assets.core.settings import Settings


def setting_lines(settings: "Settings") -> Iterator[str]:
    """Yield ``section.setting = value   # description``, one line per setting."""
    for section, spec in settings:
        if not isinstance(spec, Spec):
            continue
        for name, field in type(spec).model_fields.items():
            value = getattr(spec, name)
            if isinstance(value, dict) or (value and isinstance(value, tuple) and isinstance(value[0], Spec)):
                value = f"<{len(value)} entries, see conf/>"
            note = f"   # {field.description}" if field.description else ""
            yield f"{section}.{name} = {value}{note}"


@click.command("knobs")
@set_option
@user_command
def command(overrides: tuple[str, ...]) -> None:
    """List every setting with its value and its meaning."""
    from forecast_assets.resources import environment
    from forecast_assets.resources.settings import compose_settings

    for line in setting_lines(compose_settings(environment.profile_name(), list(overrides))):
        click.echo(line)
