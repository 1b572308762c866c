"""How the package is built: import circles, long functions, lines, and how many files a typical change touches.

    python -m benchmarks.structure             prints the figures of the working tree
    python -m benchmarks.structure --record    also writes them to benchmarks/results/structure.json

The first are read off the syntax trees. Those of changes are counted by making each change of
``forecast_assets_tests/helpers/changes.py`` in a copy of the package and checking there that it works.
"""

import argparse
import ast
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forecast_assets_tests.helpers.changes import CHANGES
from forecast_assets_tests.helpers.seeding import make_change
from tools.results import ROOT, record

PACKAGE = ROOT / "forecast_assets"
MOST_LINES = 80
"""Lines that a function may have, its signature and docstring included."""


def main() -> None:
    """Measure, print, and record where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    figures = {**code_figures(), **change_figures(), "cookbook_model_lines": cookbook_lines()}
    print(json.dumps(figures, indent=2))
    if arguments.record:
        path = record("structure", figures, command="python -m benchmarks.structure --record")
        print(f"{path.relative_to(ROOT)} updated")


def cookbook_lines() -> dict[str, Any]:
    """Return the lines with code of the model that the page on models of one's own builds."""
    page = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8")
    model = page.partition("```python\n")[2].partition("```")[0]
    return {"value": sum(bool(line.strip()) for line in model.splitlines()), "files_touched": 1}


def code_figures() -> dict[str, dict[str, Any]]:
    """Return the figures that the syntax trees of the package give."""
    circles, functions = import_circles(import_graph(PACKAGE)), long_functions(PACKAGE)
    counts = {ending: sum(map(_lines, PACKAGE.rglob(f"*.{ending}"))) for ending in ("py", "j2")}
    return {
        "import_circles": {"value": len(circles), "circles": circles},
        "functions_over_80_lines": {"value": len(functions), "functions": functions},
        "product_lines": {"value": counts["py"], "template_lines": counts["j2"]},
    }


def change_figures() -> dict[str, dict[str, Any]]:
    """Make each change in a copy of its own. Raises RuntimeError where it does not work there."""
    figures = {}
    for change in CHANGES:
        with tempfile.TemporaryDirectory() as folder:
            files = make_change(change, Path(folder))
        figures[f"places_{change.name}"] = {"value": len(files), "change": change.what, "files": files}
    return figures


def import_graph(package: Path) -> dict[str, set[str]]:
    """Return the modules that each module of ``package`` imports from it, wherever in the module the import stands."""
    modules = {module_name(path, package): path for path in package.rglob("*.py")}
    return {
        name: {found for one in imported(path) if (found := _module_of(one, modules))} - {name}
        for name, path in modules.items()
    }


def module_name(path: Path, package: Path) -> str:
    """Return the dotted name of a module, ``pkg.sub`` for ``pkg/sub/__init__.py``."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports, ``a.b`` for ``from a import b``, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_of(name: str, modules: Mapping[str, Path]) -> str | None:
    """The module that an imported name is, or is in; None outside of the package."""
    return next((one for one in (name, name.rpartition(".")[0]) if one in modules), None)


def import_circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return sorted(found)


def long_functions(package: Path, *, most: int = MOST_LINES) -> list[str]:
    """Return ``path: function (lines)`` of each function or method that has more than ``most`` lines."""
    return [
        f"{path.relative_to(package.parent)}: {node.name} ({length} lines)"
        for path, node in functions(package)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > most
    ]


ADDS_UP = re.compile(r"\.(mean|sum|std|var|product)\(|pl\.(mean|sum|std|var|corr|cov)\(")


def unordered_sums(package: Path) -> list[str]:
    """Return ``path: line`` of each ``group_by`` that adds up values in an order which differs from run to run.

    Without ``maintain_order`` polars adds up the parts of a group that its threads happened to take: the last digits differ.
    """
    found = []
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call) and _method(node) == "agg" and isinstance(node.func, ast.Attribute)):
                continue
            grouped = node.func.value
            if isinstance(grouped, ast.Call) and _method(grouped) == "group_by":
                ordered = any(keyword.arg == "maintain_order" for keyword in grouped.keywords)
                parts = (ast.get_source_segment(source, part) or "" for part in (*node.args, *node.keywords))
                if not ordered and ADDS_UP.search(" ".join(parts)):
                    found.append(f"{path.relative_to(package.parent)}: {grouped.end_lineno}")
    return found


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def functions(folder: Path) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions and methods of all modules below ``folder``."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


if __name__ == "__main__":
    main()
