"""What the parameters of a stage ask for: parents, settings and injected inputs, read off their annotations.

- ``Version``, ``pl.LazyFrame`` or ``dict[str, Version]``: the parent of the parameter's name: its files, its main table, or
  every partition at hand by key.
- A spec: the section of the settings of that type; ``Section(...)`` names the section where several are of one type.
- ``Networks(keys)``: several networks' parents (or settings), as a dict by key.
- An annotation of ``inputs``: what it says there.
- A dataclass that extends ``Parameters``: its fields, as if the stage had them for parameters of its own.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, get_args, get_origin

import polars as pl

from forecast_assets.assets.framework.inputs import Injected, InjectedLate
from forecast_assets.core.settings import section_of, section_type
from forecast_assets.core.specs import Spec
from forecast_assets.store.artefact_files import TABLE
from forecast_assets.store.versions import Version


class Parameters:
    """Base of a dataclass whose fields are read as if a stage had them for parameters of its own."""


@dataclass(frozen=True)
class Section:
    """Marks a parameter as the settings section ``name``."""

    name: str


@dataclass(frozen=True)
class Networks:
    """Marks a parameter as a dict by key of several networks: their parents, or (``dict[str, FitSpec]``) their settings."""

    keys: tuple[str, ...]


@dataclass
class Needs:
    """All that the parameters of a stage ask for."""

    parents: dict[str, Any] = field(default_factory=dict)  # asset -> annotation
    sections: dict[str, type[Spec]] = field(default_factory=dict)
    early: list[Injected] = field(default_factory=list)
    late: list[InjectedLate] = field(default_factory=list)


@dataclass(frozen=True)
class Values:
    """What they are given."""

    parents: Mapping[str, Any]  # asset -> Version, or Version by partition
    sections: Mapping[str, Spec]
    injected: Mapping[Injected | InjectedLate, Any]


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return name -> annotation of the parameters of a stage function or of the fields of ``Parameters``."""
    if inspect.isclass(function):
        return {each.name: each.type for each in fields(function)}  # type: ignore[arg-type]
    return {name: p.annotation for name, p in inspect.signature(function).parameters.items()}


def needs_of(parameters: Mapping[str, Any]) -> Needs:
    """Return what ``parameters`` (name -> annotation) ask for."""
    needs = Needs()
    for name, annotation in parameters.items():
        _add(needs, name, annotation)
    return needs


def _add(needs: Needs, name: str, annotation: Any) -> None:
    kind, marker = _split(annotation)
    if isinstance(marker, Injected):
        needs.early.append(marker)
    elif isinstance(marker, InjectedLate):
        needs.late.append(marker)
    elif isinstance(marker, Networks):
        if _of_specs(kind):
            needs.sections |= {key: section_type(key) for key in marker.keys}
        else:
            needs.parents |= dict.fromkeys(marker.keys, get_args(kind)[1])
    elif isinstance(marker, Section):
        needs.sections[marker.name] = section_type(marker.name)
    elif _is_a(kind, Parameters):
        for inner, inner_annotation in parameters_of(kind).items():
            _add(needs, inner, inner_annotation)
    elif _is_a(kind, Spec):
        needs.sections[section_of(kind)] = kind
    elif kind in (Version, pl.LazyFrame) or is_by_partition(kind):
        needs.parents[name] = kind
    else:
        raise TypeError(f"parameter {name}: {annotation} is no parent, no settings and no injected input")


def argument(name: str, annotation: Any, values: Values) -> Any:
    """Return what the parameter ``name`` is given out of ``values``."""
    kind, marker = _split(annotation)
    if isinstance(marker, Injected | InjectedLate):
        return values.injected[marker]
    if isinstance(marker, Networks):
        source: Mapping[str, Any] = values.sections if _of_specs(kind) else values.parents
        return {key: source[key] for key in marker.keys}
    if isinstance(marker, Section):
        return values.sections[marker.name]
    if _is_a(kind, Parameters):
        return kind(**arguments(parameters_of(kind), values))
    if _is_a(kind, Spec):
        return values.sections[section_of(kind)]
    parent = values.parents[name]
    return pl.scan_parquet(parent.path(TABLE)) if kind is pl.LazyFrame else parent


def arguments(parameters: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return what a stage is called with."""
    return {name: argument(name, annotation, values) for name, annotation in parameters.items()}


def is_by_partition(annotation: Any) -> bool:
    """Whether a parent is asked for with every partition at hand."""
    return get_origin(annotation) is dict


def _split(annotation: Any) -> tuple[Any, Any]:
    """The type and the marker of an annotation."""
    if get_origin(annotation) is not Annotated:
        return annotation, None
    kind, *markers = get_args(annotation)
    return kind, markers[0]


def _of_specs(annotation: Any) -> bool:
    return _is_a(get_args(annotation)[1], Spec)


def _is_a(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base)
