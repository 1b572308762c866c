"""What ``covariates.yaml`` declares, and the columns of the feature panel that follow from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from forecast_assets.core.errors import BadInput
from forecast_assets.core.horizons import HORIZONS
from forecast_assets.core.nearest import nearest_name
from forecast_assets.core.reads import COVARIATE
from forecast_assets.core.specs import CovariateColumn, CovariateSpec, ReleaseSpec, Spec

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLAIN = "value"
"""A column of this name adds nothing to the name of its covariate."""
NEXT, VARIANCE = "next", "variance"
_SPECS: Mapping[str, type[Spec]] = {"release": ReleaseSpec, "columns": CovariateColumn}

Specs = Mapping[str, CovariateSpec]


@dataclass(frozen=True)
class CovariateFeature:
    """A column of the feature panel, for people."""

    name: str
    formula: str
    file: str


def read_declarations(path: Path) -> dict[str, CovariateSpec]:
    """Read ``covariates.yaml``: a section per covariate, by its name.

    Raises BadInput, one sentence, for what can't be read, an unknown key (with the nearest) or a value that does not fit.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path.name}: not readable as YAML ({' '.join(str(error).split())[:120]})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadInput(
            f"{path.name}: it holds a section per series, such as `sentiment:` and under it `path: mood.csv`"
        )
    specs = {}
    for name, section in content.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise BadInput(
                f"{path.name}: {name!r} is no name of a covariate; use small letters, digits and _, a letter first"
            )
        specs[name] = _section(section, where=f"{path.name}: {name}")
        if odd := [each for each in specs[name].columns if not NAME.fullmatch(each)]:
            raise BadInput(
                f"{path.name}: {name}: columns: {odd[0]!r} is no name of a feature; use small letters, digits and _"
            )
    _refuse_twins(specs, file=path.name)
    return specs


def _section(section: Any, *, where: str) -> CovariateSpec:
    if not isinstance(section, dict):
        raise BadInput(f"{where}: it needs options under it: path, kind, and what docs/covariates.md lists")
    try:
        return CovariateSpec.model_validate(section)
    except ValidationError as error:
        raise BadInput(f"{where}: {_described(error)}") from error


def _described(error: ValidationError) -> str:
    """Return a pydantic error as what is wrong with which option, and what to write."""
    # A misspelled option is also one that is missing: the spelling says more.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    *outer, key = [str(part) for part in first["loc"]] or [""]
    place = "".join(f"{part}: " for part in outer)
    if first["type"] == "extra_forbidden":
        spec = _SPECS.get(outer[0], CovariateSpec) if outer else CovariateSpec
        return f"{place}there is no option {key!r}; the nearest is {nearest_name(key, spec.model_fields)}"
    if first["type"] == "missing":
        return f"{place}{key} is missing; write it"
    said = str(first["msg"]).removeprefix("Value error, ")
    given = "" if first["type"] == "value_error" else f", got {first['input']!r}"
    return f"{place}{key}: {said}{given}" if key else f"{said}{given}"


def _refuse_twins(specs: Specs, *, file: str) -> None:
    """Raise BadInput where two covariates make a column of the same name."""
    owner: dict[str, str] = {}
    for name, spec in specs.items():
        for feature in features_of(name, spec):
            if (other := owner.setdefault(feature.name, name)) != name:
                raise BadInput(f"{file}: {other} and {name} both make a column {feature.name}; rename one of them")


def declared_features(specs: Specs) -> tuple[CovariateFeature, ...]:
    """Return the columns of all covariates, whose ``columns`` are filled in, in alphabetical order of what is declared."""
    return tuple(feature for name, spec in sorted(specs.items()) for feature in features_of(name, spec))


def features_of(name: str, spec: CovariateSpec) -> tuple[CovariateFeature, ...]:
    """Return the columns of one covariate."""
    file, columns = Path(spec.path).name, sorted(spec.columns.items())
    if spec.kind != "known_future":
        return tuple(
            CovariateFeature(feature_name(name, label), _formula(column, spec), file) for label, column in columns
        )
    counts = [(f"{h}d", f"events of the next {_sessions(h)} that were known of") for h in HORIZONS]
    until = f"sessions until the next event that was known of, {HORIZONS[-1] + 1} where none is within {HORIZONS[-1]}"
    sums = [
        (f"{label}_{h}d", f"sum of {_formula(column, spec)} over the events of the next {_sessions(h)}")
        for label, column in columns
        for h in HORIZONS
    ]
    reports = [
        (f"{VARIANCE}_{h}d", f"log factor on the variance of the next {_sessions(h)}, as announcement_variance_{h}d")
        for h in HORIZONS
        if spec.announcements
    ]
    return tuple(
        CovariateFeature(feature_name(name, label), formula, file)
        for label, formula in (*counts, (NEXT, until), *sums, *reports)
    )


def feature_name(name: str, label: str) -> str:
    """Return the name of a column of the feature panel."""
    return f"{COVARIATE}{name}" if label == PLAIN else f"{COVARIATE}{name}_{label}"


def _formula(column: CovariateColumn, spec: CovariateSpec) -> str:
    value, before = column.column, f"{column.column} {column.over} values before"
    text = {
        "level": value,
        "log": f"log({value})",
        "change": f"{value} - {before}",
        "log_change": f"log({value} / {before})",
    }[column.transform]
    limits = [
        f"at {side} {limit:g}"
        for side, limit in (("least", column.at_least), ("most", column.at_most))
        if limit is not None
    ]
    stale = [f"missing after {spec.stale_days} days without a newer one"] if spec.kind == "observed" else []
    return ", ".join([text, *limits, *stale])


def _sessions(count: int) -> str:
    return "session" if count == 1 else f"{count} sessions"
