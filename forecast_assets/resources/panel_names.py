"""What the definitions of one panel are called, so that several panels share a deployment and no name."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

import dagster as dg
from dagster._core.definitions.resource_annotation import get_resource_args

from forecast_assets.core.errors import BadSetting

PREFIX = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class PanelNames:
    """Names of the panel with a ``prefix``; the first panel of a deployment needs none."""

    prefix: str = ""

    def __post_init__(self) -> None:
        if self.prefix and not PREFIX.fullmatch(self.prefix):
            raise BadSetting(
                f"key_prefix: {self.prefix!r} can't begin names; write lower-case letters, digits and _, such as nifty"
            )

    def key(self, asset: str) -> dg.AssetKey:
        """Return the key of an asset: ``nifty/raw_panel``."""
        return dg.AssetKey([self.prefix, asset] if self.prefix else [asset])

    def name(self, name: str) -> str:
        """Return what a job, a schedule, a sensor, a resource, a group or a set of partitions is called: ``nifty_panel``."""
        return f"{self.prefix}_{name}" if self.prefix else name

    def renamed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose resource parameters are called as this panel's resources are, as Dagster finds them."""
        if not self.prefix:
            return function
        own = {each.name: self.name(each.name) for each in get_resource_args(function)}
        plain = {renamed: name for name, renamed in own.items()}

        def call(*arguments: Any, **named: Any) -> Any:
            return function(*arguments, **{plain.get(name, name): value for name, value in named.items()})

        parameters = inspect.signature(function).parameters.values()
        annotations = get_type_hints(function, include_extras=True)
        call.__name__, call.__doc__ = function.__name__, function.__doc__
        call.__annotations__ = {own.get(name, name): annotation for name, annotation in annotations.items()}
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [each.replace(name=own.get(each.name, each.name)) for each in parameters]
        )
        return call


FIRST = PanelNames()
"""The names of the panel that has no prefix."""
