"""Keys and digests of code."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_assets.store.keys import canonical_json, code_digest, input_key


def key(**changes: Any) -> str:
    base: dict[str, Any] = {
        "asset": "b1_tft",
        "partition": "2019",
        "code_version": "c",
        "config": {"lookback": 120, "horizons": [1, 5]},
        "parents": {"panel": "p", "sweep": "s"},
    }
    return input_key(**(base | changes))


def test_the_order_of_settings_and_parents_does_not_matter() -> None:
    assert key() == key(config={"horizons": (1, 5), "lookback": 120}, parents={"sweep": "s", "panel": "p"})


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "b2_tft_ticker"},
        {"partition": "2020"},
        {"partition": None},
        {"code_version": "d"},
        {"config": {"lookback": 121, "horizons": [1, 5]}},
        {"config": {"lookback": 120, "horizons": [5, 1]}},
        {"parents": {"panel": "p"}},
        {"parents": {"panel": "s", "sweep": "p"}},
    ],
)
def test_every_input_counts(change: dict[str, Any]) -> None:
    assert key() != key(**change)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        (dt.date(2019, 1, 2), '"2019-01-02"'),
        (dt.datetime(2019, 1, 2, 3, 4, tzinfo=dt.UTC), '"2019-01-02T03:04:00+00:00"'),
        ((np.int64(3), np.float64(0.5), np.float32(0.25)), "[3,0.5,0.25]"),
    ],
)
def test_canonical_json_is_this_text(value: object, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0.1, float("nan")]}, r"value\.a\[1\] is nan"),
        (float("-inf"), "value is -inf"),
        ({1: "x"}, "value has the key 1"),
        ({"a": {1, 2}}, r"value\.a is a set"),
        (Path("x"), "value is a PosixPath"),
    ],
)
def test_what_has_no_json_form_is_named(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical_json(value)


@settings(derandomize=True, deadline=None, database=None)
@given(
    st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False) | st.integers(), max_size=5)
)
def test_any_order_gives_the_same_text(value: dict[str, float]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sources" / "some_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "inner" / "__init__.py").write_text("")
    (folder / "inner" / "twice.py").write_text(TWICE)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


TWICE = '''"""Doubles."""

def twice(x):
    """Two of them."""
    return x * 2  # exact
'''


def test_modules_are_read_without_being_imported(package: Path) -> None:
    assert len(code_digest("some_package", "some_package.inner.twice")) == 64
    assert not any(name.startswith("some_package") for name in sys.modules)


@pytest.mark.parametrize(
    ("source", "same"),
    [
        (TWICE.replace("Two of them", "A pair").replace("# exact", ""), True),
        (TWICE.replace("x * 2", "(x\n        * 2)"), True),
        (TWICE.replace("x * 2", "x * 3"), False),
        (TWICE.replace("twice(x)", "twice(x, y=0)"), False),
    ],
    ids=["comments", "layout", "constant", "signature"],
)
@pytest.mark.parametrize("module", ["some_package", "some_package.inner", "some_package.inner.twice"])
def test_only_a_change_of_meaning_changes_the_digest(package: Path, module: str, source: str, same: bool) -> None:
    before = code_digest(module)
    (package / "inner" / "twice.py").write_text(source)
    assert (code_digest(module) == before) == same


def test_a_module_that_moves_or_appears_changes_the_digest_of_its_package(package: Path) -> None:
    before = code_digest("some_package")
    (package / "inner" / "twice.py").rename(package / "twice.py")
    moved = code_digest("some_package")
    (package / "empty.py").write_text("")
    assert len({before, moved, code_digest("some_package")}) == 3


def test_the_order_of_the_arguments_and_overlaps_do_not_matter(package: Path) -> None:
    assert code_digest("some_package", "some_package.inner") == code_digest("some_package.inner", "some_package")
    assert code_digest("some_package", "some_package.inner") == code_digest("some_package")


def test_a_path_counts_with_its_bytes_wherever_it_lies(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "conf").mkdir(parents=True)
        (tmp_path / folder / "conf" / "a.yaml").write_text("a: 1")
        (tmp_path / folder / "conf" / "b.py").write_text("x = 1")
    here, there = tmp_path / "here" / "conf", tmp_path / "there" / "conf"
    assert code_digest(here / "a.yaml", here) == code_digest(there / "a.yaml", there)
    (there / "a.yaml").write_text("a: 2 # or so")
    assert code_digest(here / "a.yaml") != code_digest(there / "a.yaml")


@pytest.mark.parametrize("module", ["no_such_package", "json.nothing", "json.decoder.deeper"])
def test_a_module_that_does_not_exist_is_named(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"no module {module}"):
        code_digest(module)


def test_code_without_python_source_and_no_code_at_all_are_rejected() -> None:
    with pytest.raises(ValueError, match="module sys has no Python source"):
        code_digest("sys")
    with pytest.raises(ValueError, match="at least one"):
        code_digest()
