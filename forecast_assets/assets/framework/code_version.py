"""The code version of a stage, derived from the code it can reach rather than bumped by hand."""

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from forecast_assets.assets.framework.running_code import RunningCode
from forecast_assets.core.errors import ChangedMeanwhile
from forecast_assets.core.models.catalogue import MODELS
from forecast_assets.core.models.entry import Model
from forecast_assets.store.keys import canonical_json, code_digest, imported_names, sha256_text

CORE = "forecast_assets.core"
CATALOGUE = f"{CORE}.models.catalogue"
ROOTS = (f"{CORE}.", "forecast_assets.champion.", "forecast_assets.assets.fold.", "forecast_assets.assets.tuning.")
IRRELEVANT = frozenset(
    (
        *(f"{CORE}.{name}" for name in ("specs", "settings", "errors", "models.entry", "models.own")),
        "forecast_assets.assets.fold.first_use",
    )
)
"""Settings enter an input key by value, entries of the catalogue one by one, and the text of an error changes nothing. The
audit of a model of one's own says whether it is used, and no forecast changes with it."""


def code_version(module: str, *, models: Iterable[str] | None = None) -> str:
    """Digest of ``module`` and of every module of ``ROOTS`` that it imports, directly or not.

    Of the catalogue only the entries of ``models`` count (None: all): modules, constructors and what they read. A new
    network, or a change of another one, leaves a network's code version as it is.
    """
    reached, entries = _sources(module, models)
    if not entries:
        return code_digest(*sorted(reached))
    constructed = {entry.key: _built(entry) for entry in entries}
    return sha256_text(canonical_json([code_digest(*sorted(reached)), constructed]))


def require_unedited(module: str, *, models: Iterable[str] | None = None) -> None:
    """Raise ChangedMeanwhile where a file that ``code_version`` digests is not what this process began with."""
    reached, entries = _sources(module, models)
    _running.require_unedited(_path(name) for name in sorted(reached))
    for entry in entries:
        if entry.digest and hashlib.sha256(Path(entry.file).read_bytes()).hexdigest() != entry.digest:
            raise ChangedMeanwhile(
                f"{entry.file}: the model was edited after this process began; nothing was published: start it again"
            )


def _sources(module: str, models: Iterable[str] | None) -> tuple[set[str], list[Model]]:
    """Return the modules whose code counts, and the entries of the catalogue; none where it is not reached."""
    reached = _reached({module})
    if CATALOGUE not in reached:
        return reached, []
    entries = [MODELS[key] for key in (MODELS if models is None else models)]
    return _reached(reached | {name for entry in entries for name in entry.modules}) - {CATALOGUE}, entries


def _built(entry: Model) -> list[Any]:
    """Return what an entry is built and fitted from; of a file of one's own, the digest of its content."""
    parts = [entry.constructor, dict(entry.options), _reads(entry)]
    if entry.digest:
        return [entry.digest]
    return parts if entry.estimator is None else [*parts, entry.estimator]


def _reads(entry: Model) -> dict[str, Any]:
    """Return what an entry's network reads, with settings that name one column each."""
    spec: Any = entry.spec
    return asdict(spec.model_construct(observed=("observed",), known=("known",)).reads)


def _reached(modules: set[str]) -> set[str]:
    reached, waiting = set(modules), list(modules)
    while waiting:
        for name in _imported(waiting.pop()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached


@cache
def _imported(module: str) -> frozenset[str]:
    # ``from package import module`` and ``from module import name`` read the same: keep what is a module.
    names = imported_names(_path(module))
    return frozenset(n for n in names if n.startswith(ROOTS) and n not in IRRELEVANT and _path(n).is_file())


def _path(module: str) -> Path:
    package = importlib.util.find_spec("forecast_assets")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("no package forecast_assets, so no digest of its code")
    return Path(package.submodule_search_locations[0]).joinpath(*module.split(".")[1:]).with_suffix(".py")


# Read when this module is, against the rule that an import does nothing: later would be too late.
_running = RunningCode(_path("forecast_assets.assets").parent)
