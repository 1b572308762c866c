"""How the code is built: which package imports which, import circles, long functions and names, files per change."""

import sys
from pathlib import Path

import pytest

from benchmarks.structure import (
    PACKAGE,
    functions,
    import_circles,
    import_graph,
    imported,
    long_functions,
    unordered_sums,
)
from forecast_assets_tests.helpers.changes import CHANGES, Change
from forecast_assets_tests.helpers.paths import PROJECT
from forecast_assets_tests.helpers.seeding import make_change

HELPERS = "forecast_assets_tests.helpers"
OURS = ("forecast_assets", "forecast_assets_tests", "benchmarks", "campaigns", "tools")
MAY_IMPORT = {
    "forecast_assets": ("forecast_assets",),
    "forecast_assets_tests/helpers": ("forecast_assets", HELPERS),
    "tools": ("forecast_assets", HELPERS, "tools"),
    "benchmarks": ("forecast_assets", HELPERS, "tools", "benchmarks"),
    "campaigns": ("forecast_assets", HELPERS, "tools", "campaigns"),
}
LONGEST_TEST_NAME = 80
MOST_PLACES = {"model_variant": 2, "cost_rule": 2, "horizon": 1, "alert_channel": 2}


def is_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(folder: str) -> None:
    foreign = {
        f"{path.relative_to(PROJECT)}: {name}"
        for path in (PROJECT / folder).rglob("*.py")
        for name in imported(path)
        if any(is_in(name, package) for package in OURS) and not any(is_in(name, may) for may in MAY_IMPORT[folder])
    }
    assert foreign == set()


def test_no_modules_of_the_product_import_each_other_in_a_circle() -> None:
    assert import_circles(import_graph(PACKAGE)) == []


def test_a_circle_is_found_through_functions_and_imports_for_types(tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "sub").mkdir(parents=True)
    (package / "a.py").write_text("from p.sub import b\n")
    (package / "sub" / "b.py").write_text("def f():\n    import p.c\n")
    (package / "c.py").write_text("if TYPE_CHECKING:\n    from p.a import T\n")
    (package / "d.py").write_text("from p.a import x\nimport os\n")
    graph = import_graph(package)
    assert graph["p.d"] == {"p.a"}
    assert import_circles(graph) == [["p.a", "p.c", "p.sub.b"]]


WHOLE_NUMBERS = {  # their sums are exact
    *("core/panel/special_sessions.py", "core/panel/summary.py", "core/report/headline.py", "core/monitoring/plots.py"),
    *("core/evaluation/coverage_cells.py", "core/evaluation/delistings.py"),
}
WITH_THE_NEXT_RECORD = {  # every network's code reaches them: its published fits would count as another code's
    *("core/evaluation/neighbours.py", "core/evaluation/revision_losses.py", "core/rivals/score.py"),
    "core/backtest/currency.py",
}


def test_sums_by_group_are_added_up_in_the_same_order_in_every_run() -> None:
    found = {each.partition(": ")[0].removeprefix("forecast_assets/") for each in unordered_sums(PACKAGE)}
    assert found == WHOLE_NUMBERS | WITH_THE_NEXT_RECORD


def test_an_unordered_sum_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        't.group_by("k").agg(pl.col("x").mean())\n'
        't.group_by("k").agg(pl.max("x"))\n'
        't.group_by("k", maintain_order=True).agg(pl.sum("x"))\n'
        't.group_by("k").agg(pl.len(), y=pl.corr("x", "y"))\n'
    )
    assert unordered_sums(tmp_path) == [f"{tmp_path.name}/a.py: 1", f"{tmp_path.name}/a.py: 4"]


def test_no_benchmark_is_named_like_a_module_of_the_standard_library() -> None:
    # Peers' Pythons run scripts of this folder, which comes first where they look: a signal.py broke them.
    named = {path.stem for path in (PROJECT / "benchmarks").glob("*.py")}
    assert named & sys.stdlib_module_names == set()


def test_no_function_of_the_product_has_more_than_80_lines() -> None:
    assert long_functions(PACKAGE) == []


def test_a_long_function_is_found(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("class C:\n    def f(self):\n        x = 1\n        return x\n")
    assert long_functions(tmp_path, most=2) == [f"{tmp_path.name}/m.py: f (3 lines)"]
    assert long_functions(tmp_path, most=3) == []


def test_no_name_of_a_test_is_longer_than_80_characters() -> None:
    names = [node.name for _, node in functions(PROJECT / "forecast_assets_tests")]
    assert [name for name in names if name.startswith("test_") and len(name) > LONGEST_TEST_NAME] == []


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_typical_change_touches_few_files_and_works(change: Change, tmp_path: Path) -> None:
    assert len(make_change(change, tmp_path)) <= MOST_PLACES[change.name]
