"""The code version of a stage, derived from the code it can reach rather than bumped by hand."""

import ast
import importlib.util
from functools import cache
from pathlib import Path

from forecast_assets.store.keys import code_digest

ROOT = "forecast_assets.core"
ROOTS = (f"{ROOT}.", "forecast_assets.champion.", "forecast_assets.assets.fold.", "forecast_assets.assets.tuning.")
IRRELEVANT = frozenset({f"{ROOT}.specs", f"{ROOT}.errors"})
"""Settings enter an input key by value, and the text of an error message changes no artefact."""


def code_version(module: str) -> str:
    """Digest of ``module`` and of every module of ``ROOTS`` that it imports, directly or not."""
    reached, waiting = {module}, [module]
    while waiting:
        for name in _imported(waiting.pop()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return code_digest(*sorted(reached))


@cache
def _imported(module: str) -> frozenset[str]:
    tree = ast.parse(_path(module).read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            # ``from package import module`` and ``from module import name`` read the same: keep what is a module.
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(n for n in names if n.startswith(ROOTS) and n not in IRRELEVANT and _path(n).is_file())


def _path(module: str) -> Path:
    package = importlib.util.find_spec("forecast_assets")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("no package forecast_assets, so no digest of its code")
    return Path(package.submodule_search_locations[0]).joinpath(*module.split(".")[1:]).with_suffix(".py")
