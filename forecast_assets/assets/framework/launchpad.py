"""The specs of a stage as Dagster launchpad fields, made from the specs themselves: a setting is declared once."""

import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Optional, TypeVar, Union, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from forecast_assets.core.specs import Spec
from forecast_assets.resources.settings import require_plain

_PLAIN = (int, float, str, bool)
S = TypeVar("S", bound=Spec)


def launchpad_config(stage: str, specs: Mapping[str, type[Spec]]) -> type[dg.Config]:
    """A config class with one optional section per spec; every field left empty keeps the profile's value."""
    sections: dict[str, Any] = {
        name: (_section(spec), Field(default_factory=_section(spec))) for name, spec in specs.items()
    }
    return create_model(f"{stage}_config", __base__=dg.Config, **sections)


def with_overrides(spec: S, section: dg.Config | None) -> S:
    """``spec`` with the launchpad's non-empty fields put over it; raises pydantic's ValidationError, and BadSetting for one
    that holds a secret or a reference.
    """
    given = {} if section is None else {k: v for k, v in section.model_dump().items() if v is not None}
    for name, value in given.items():
        require_plain(name, str(value))
    return type(spec).model_validate(dict(spec) | given) if given else spec


@cache  # to make them took most of the time that the definitions load in
def _section(spec: type[Spec]) -> type[dg.Config]:
    fields: dict[str, Any] = {}
    for key, field in spec.model_fields.items():
        kind = _launchpad_type(field.annotation)
        if kind is not None:
            fields[key] = (Optional[kind], Field(default=None, description=field.description))  # noqa: UP045
    return create_model(f"{spec.__name__}_section", __base__=dg.Config, **fields)


def _launchpad_type(annotation: Any) -> Any:
    """The launchpad's type for a spec field, None where only a file can set it (tables by name, dates)."""
    if annotation in _PLAIN:
        return annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return type(arguments[0])
    if origin is tuple and arguments[0] in _PLAIN:
        return list[arguments[0]]  # type: ignore[valid-type]
    if origin in (Union, types.UnionType) and any(get_origin(a) is dict for a in arguments):
        return Any  # a number, or numbers by name: the spec checks it
    if origin in (Union, types.UnionType) and type(None) in arguments:
        return _launchpad_type(next(a for a in arguments if a is not type(None)))
    return None
