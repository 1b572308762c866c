"""Input keys: one digest of the code, settings and parents that an artefact is made from.

An asset searches for a version with its input key before it computes anything. Equal keys must therefore mean equal
inputs, and nothing irrelevant (order of settings, comments, the folder of the checkout) may enter a key.
"""

import ast
import datetime as dt
import hashlib
import importlib.machinery
import importlib.util
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any


def canonical_json(value: object) -> str:
    """Return the canonical JSON of `value`: sorted keys, no spaces, dates in ISO form, tuples as lists.

    Raises ValueError, naming the place, for NaN, infinities and types without a JSON form.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


_PLAIN = frozenset((type(None), bool, int, str))
"""Exact types that need no look: nearly all of a manifest, which is read often."""


def plain(value: object, *, where: str = "value") -> Any:
    """Convert `value` to JSON's own types: NumPy scalars to numbers, dates to ISO text. Raises as `canonical_json`."""
    if type(value) in _PLAIN or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else plain(item, where=f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"{where} has the key {odd[0]!r}; keys must be text, or 1 and '1' would be the same.")
        return {
            str(key): item if type(item) in _PLAIN else plain(item, where=f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{where} is {number}; a key or manifest holds finite numbers only.")
        return number
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    raise ValueError(f"{where} is a {type(value).__name__}, which has no JSON form; convert it first.")


def sha256_text(text: str) -> str:
    """Return the sha256 of the UTF-8 text, 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def input_key(
    *, asset: str, partition: str | None, code_version: str, config: Mapping[str, Any], parents: Mapping[str, str]
) -> str:
    """Digest everything that determines an artefact, 64 hex digits.

    `parents` maps each parent (``asset`` or ``asset/partition``) to the data version that is read; `config` holds only
    the settings that the asset reads. Raises ValueError for settings without a JSON form.
    """
    own = {"asset": asset, "partition": partition, "code_version": code_version}
    inputs = {"config": plain(config, where="config"), "parents": plain(parents, where="parents")}
    return sha256_text(canonical_json(own | inputs))


def code_digest(*modules_or_paths: str | Path) -> str:
    """Digest source code, 64 hex digits, as a code version.

    A str names a module (found, never imported) or a package (all modules below it), a Path a file or a folder (all .py
    files below it). Python is digested without comments, docstrings and layout, other files byte for byte. Neither the
    order of arguments nor the checkout's folder matters. Raises ModuleNotFoundError, FileNotFoundError, or ValueError
    for a module without Python source and for a call without arguments.
    """
    if not modules_or_paths:
        raise ValueError("code_digest needs at least one module or path.")
    sources: dict[str, str] = {}
    for item in modules_or_paths:
        for name, path in _module_files(item) if isinstance(item, str) else _path_files(item):
            stat = path.stat()
            sources[name] = _source_digest(path, stat.st_mtime_ns, stat.st_size)
    return sha256_text(canonical_json(sources))


def _module_files(module: str) -> list[tuple[str, Path]]:
    spec = _find_without_importing(module)
    if spec.submodule_search_locations is not None:
        places = [Path(place) for place in spec.submodule_search_locations]
        root = module.replace(".", "/")
        found = [(f"{root}/{name}", file) for place in places for name, file in _below(place)]
        if found:
            return found
    elif spec.origin is not None and spec.origin.endswith(".py"):
        return [(f"{module.replace('.', '/')}.py", Path(spec.origin))]
    raise ValueError(f"module {module} has no Python source to take a digest of.")


def _find_without_importing(module: str) -> importlib.machinery.ModuleSpec:
    """Find a module from its top-level package down, since `importlib.util.find_spec` would import its parents."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            break
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, spec.submodule_search_locations)
    if spec is None or name != module:
        raise ModuleNotFoundError(f"no module {module}, so no digest of its code.", name=module)
    return spec


def _path_files(path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        return [(f"{path.name}/{name}", file) for name, file in _below(path)]
    return [(path.name, path)]


def _below(folder: Path) -> list[tuple[str, Path]]:
    return [(file.relative_to(folder).as_posix(), file) for file in sorted(folder.rglob("*.py"))]


def _source_digest(path: Path, mtime_ns: int, size: int) -> str:
    return _source(path, mtime_ns, size).digest


def imported_names(path: Path) -> frozenset[str]:
    """Return what a Python file imports, wherever in it: modules, and ``module.name`` of ``from module import name``."""
    stat = path.stat()
    return _source(path, stat.st_mtime_ns, stat.st_size).imports


def source_digest(content: bytes, path: Path) -> str:
    """Digest the content of a file as ``code_digest`` does, 64 hex digits. Raises SyntaxError for Python that is none."""
    return _parsed(content, path).digest


@dataclass(frozen=True)
class _Source:
    digest: str
    imports: frozenset[str]


@lru_cache(maxsize=4096)
def _source(path: Path, mtime_ns: int, size: int) -> _Source:
    """Parse one file, once; the last two arguments make an edited file miss the cache."""
    return _parsed(path.read_bytes(), path)


def _parsed(content: bytes, path: Path) -> _Source:
    if path.suffix != ".py":
        return _Source(hashlib.sha256(content).hexdigest(), frozenset())
    tree = ast.parse(content, filename=str(path))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:  # the docstring
                    node.body = rest or [ast.Pass()]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
    # Unparsed rather than dumped: a tree's text varies less between Python versions than its fields.
    return _Source(sha256_text(ast.unparse(tree)), frozenset(imports))
