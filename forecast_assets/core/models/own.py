"""Load models of one's own: from files that are named, and from installed packages by the entry point group ``GROUP``."""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from forecast_assets.core.errors import BadSetting
from forecast_assets.core.models.entry import Model, ModelSpec

GROUP = "forecast_assets.models"
NAMED = "MODEL"
KEY = re.compile(r"[a-z]\d+_[a-z0-9_]+")
"""Of a key: no section of the settings, asset, baseline or strategy has a name like it."""


def own_models(files: Sequence[str], *, shipped: Sequence[Model]) -> tuple[Model, ...]:
    """Return the models of ``files`` and of installed packages, each with its file and the digest of that.

    A file says ``MODEL = Model(...)``, or ``MODEL = (Model(...), ...)`` for several. Raises BadSetting, one sentence that
    begins with the file, where it raises, names no model, or one whose name or settings cannot be.
    """
    found: list[Model] = []
    for file, digest, content in (*map(_of_file, files), *_of_packages()):
        for model in _models(content, file=file, digest=digest):
            _check(model, file=file, others=[*shipped, *found])
            found.append(model)
    return tuple(found)


def _of_file(file: str) -> tuple[str, str, Any]:
    """Return a file, the digest of what was executed, and what it calls ``MODEL``."""
    path = Path(file).resolve()
    # By this name worker processes find its classes, so it is the same in each of them.
    name = f"own_model_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BadSetting(f"{file}: is no Python file; name files that end in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    source = path.read_bytes()  # once: the digest has to be that of what runs
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        said = next(iter(str(error).splitlines()), "")
        raise BadSetting(f"{file}: cannot be loaded, it raises {type(error).__name__}: {said}") from error
    return file, hashlib.sha256(source).hexdigest(), _named(module, file=file)


def _named(module: ModuleType, *, file: str) -> Any:
    if not hasattr(module, NAMED):
        raise BadSetting(f"{file}: has no {NAMED}; write {NAMED} = Model(...)")
    return getattr(module, NAMED)


def _of_packages() -> Iterator[tuple[str, str, Any]]:
    """Yield the file of each entry point's module, its digest and what it names."""
    for point in entry_points(group=GROUP):
        try:
            content = point.load()
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            raise BadSetting(
                f"{point.value}: the entry point {point.name} cannot be loaded, it raises {type(error).__name__}: {said}"
            ) from error
        file = str(sys.modules[point.module].__file__)
        yield file, hashlib.sha256(Path(file).read_bytes()).hexdigest(), content


def _models(content: Any, *, file: str, digest: str) -> list[Model]:
    each = list(content) if isinstance(content, tuple | list) else [content]
    if odd := [model for model in each if not isinstance(model, Model)]:
        raise BadSetting(f"{file}: {NAMED} is {type(odd[0]).__name__}; it has to be a Model, or several in a tuple")
    return [replace(model, file=file, digest=digest) for model in each]


def _check(model: Model, *, file: str, others: Sequence[Model]) -> None:
    """Raise BadSetting for a model that cannot be in the catalogue."""
    if not KEY.fullmatch(model.key):
        raise BadSetting(
            f"{file}: {model.key!r} is no key of a model; write a letter, digits and a name, like u1_ridge"
        )
    if clash := [other for other in others if model.key == other.key or model.experiment == other.experiment]:
        taken = model.key if model.key == clash[0].key else model.experiment
        raise BadSetting(f"{file}: there is a model {taken} already, of {clash[0].file or 'ours'}; choose another name")
    if not (isinstance(model.spec, type) and issubclass(model.spec, ModelSpec)):
        raise BadSetting(
            f"{file}: {model.key}: spec has to be a class that extends ModelSpec, or FitSpec for a network"
        )
    if required := [name for name, each in model.spec.model_fields.items() if each.is_required()]:
        raise BadSetting(f"{file}: {model.key}: its settings need defaults: {', '.join(required)}")
    if model.family or model.is_baseline:
        raise BadSetting(f"{file}: {model.key}: family and is_baseline are for models of ours; leave them out")
    if model.constructor is None and model.estimator is None:
        raise BadSetting(f"{file}: {model.key}: has neither an estimator nor a constructor of a network")
    if model.estimator is None and "epochs" not in model.spec.model_fields:
        raise BadSetting(f"{file}: {model.key}: our loop trains it, so its settings have to extend FitSpec")
