"""What the parameters of a stage ask for: parents, settings and injected inputs, read off their annotations.

- ``Version``, ``pl.LazyFrame`` or ``dict[str, Version]``: the parent of the parameter's name: its files, its main table, or
  every partition at hand by key.
- A spec: the section of the settings of that type; ``Section(...)`` names the section where several are of one type.
- ``Networks(keys)``: several networks' parents (or settings), as a dict by key.
- An annotation of ``inputs``: the input that is described there.
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
    """Marks a parameter as a dict by key of several models: their parents, or (``dict[str, ModelSpec]``) their settings."""

    keys: tuple[str, ...]


@dataclass
class Needs:
    """All that the parameters of a stage ask for."""

    parents: dict[str, Any] = field(default_factory=dict)  # asset -> annotation
    sections: dict[str, type[Spec]] = field(default_factory=dict)
    early: list[Injected] = field(default_factory=list)
    late: list[InjectedLate] = field(default_factory=list)

    @property
    def records(self) -> list[str]:
        """The records that injected inputs come from."""
        markers: list[Injected | InjectedLate] = [*self.early, *self.late]
        return sorted({marker.record for marker in markers if marker.record})


@dataclass(frozen=True)
class Values:
    """The values of what is asked for."""

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
        _source(name, annotation, needs)
    return needs


def arguments(parameters: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """Return what a stage is called with."""
    return {name: _source(name, annotation, Needs())(values) for name, annotation in parameters.items()}


def _source(name: str, annotation: Any, needs: Needs) -> Callable[[Values], Any]:
    """Enter what a parameter asks for into ``needs``; return how its argument is taken from the values."""
    kind, marker = get_args(annotation)[:2] if get_origin(annotation) is Annotated else (annotation, None)
    if isinstance(marker, Injected):
        needs.early.append(marker)
        return lambda values: values.injected[marker]
    if isinstance(marker, InjectedLate):
        needs.late.append(marker)
        return lambda values: values.injected[marker]
    if isinstance(marker, Networks):
        keys, each = marker.keys, get_args(kind)[1]
        if _is_a(each, Spec):
            needs.sections |= {key: section_type(key) for key in keys}
            return lambda values: {key: values.sections[key] for key in keys}
        needs.parents |= dict.fromkeys(keys, each)
        return lambda values: {key: values.parents[key] for key in keys}
    if _is_a(kind, Parameters):
        sources = {field: _source(field, of, needs) for field, of in parameters_of(kind).items()}
        return lambda values: kind(**{field: source(values) for field, source in sources.items()})
    if isinstance(marker, Section) or _is_a(kind, Spec):
        section = marker.name if isinstance(marker, Section) else section_of(kind)
        needs.sections[section] = section_type(section)
        return lambda values: values.sections[section]
    if kind not in (Version, pl.LazyFrame) and not is_by_partition(kind):
        raise TypeError(f"parameter {name}: {annotation} is no parent, no settings and no injected input")
    needs.parents[name] = kind
    if kind is pl.LazyFrame:
        return lambda values: pl.scan_parquet(values.parents[name].path(TABLE))
    return lambda values: values.parents[name]


def is_by_partition(annotation: Any) -> bool:
    """Return whether a parent is asked for with every partition at hand."""
    return get_origin(annotation) is dict


def _is_a(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base)
