"""``docs/operations.md`` names tests and commands that exist."""

import ast
import re

import pytest

from forecast_assets.cli.app import cli
from forecast_assets_tests.helpers.paths import PROJECT

PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_guarantee_names_a_test_that_proves_it() -> None:
    guarantees = re.findall(r"^\*\*", PAGE, re.MULTILINE)
    blocks = re.findall(r"^`test_\w+\.py::", PAGE, re.MULTILINE)
    assert len(guarantees) >= 7
    assert len(blocks) >= len(guarantees)


@pytest.mark.parametrize("named", sorted(set(re.findall(r"(test_\w+\.py::test_\w+)", PAGE))))
def test_a_test_that_the_page_names_is_there(named: str) -> None:
    file, function = named.split("::")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PROJECT / "forecast_assets_tests").rglob(file)]
    assert function in {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_commands_and_options_that_the_page_names_are_there() -> None:
    typed = re.findall(r"forecast-assets ([a-z-]+)((?: --[a-z-]+| [^\s`,]+)*)", PAGE)
    assert {name for name, _ in typed} >= {"nightly", "fork", "rollback", "status", "run"}
    for name, rest in typed:
        context = cli.make_context("forecast-assets", ["--help"], resilient_parsing=True)
        command = cli.get_command(context, name)
        assert command is not None, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, (name, rest)
