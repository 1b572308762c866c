"""Files with models of one's own: what is found in them, and the sentence for what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecast_assets.core.errors import BadSetting
from forecast_assets.core.models.catalogue import SHIPPED
from forecast_assets.core.models.own import GROUP, own_models
from forecast_assets_tests.helpers.paths import PROJECT

GOOD = """
from forecast_assets.core.models.entry import Model, ModelSpec
class Mine:
    def __init__(self, spec): ...
def named(experiment="U1", key="u1_mine", **changed):
    given = {"title": "Mine", "spec": ModelSpec, "estimator": Mine, "description": "U1: mine."} | changed
    return Model(experiment, key, **given)
"""


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_may_name_one_model_or_several(tmp_path: Path) -> None:
    one = written(tmp_path, f"{GOOD}\nMODEL = named()")
    two = written(tmp_path, f"{GOOD}\nMODEL = (named('U2', 'u2_a'), named('U3', 'u3_b'))", "two.py")
    found = own_models([one, two], shipped=SHIPPED)
    assert [(model.key, model.file) for model in found] == [("u1_mine", one), ("u2_a", two), ("u3_b", two)]
    assert not any(model.is_candidate or not model.why_not_searched for model in found)


def test_another_content_of_the_file_is_another_digest(tmp_path: Path) -> None:
    first = own_models([written(tmp_path, f"{GOOD}\nMODEL = named()")], shipped=SHIPPED)
    same = own_models([written(tmp_path, f"{GOOD}\nMODEL = named()")], shipped=SHIPPED)
    other = own_models([written(tmp_path, f"{GOOD}\nMODEL = named()\n# more")], shipped=SHIPPED)
    assert first[0].digest == same[0].digest != other[0].digest


def installed(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a package with one module that an entry point names."""
    info = folder / "their_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\ntheirs = their_models:MODEL\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "their_models", raising=False)
    return written(folder, text, "their_models.py")


def test_an_installed_package_names_its_models_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = installed(tmp_path, f"{GOOD}\nMODEL = named('U7', 'u7_theirs')", monkeypatch)
    (model,) = own_models([], shipped=SHIPPED)
    assert (model.key, model.file) == ("u7_theirs", file)
    assert model.digest


def test_an_entry_point_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "other = 1", monkeypatch)
    with pytest.raises(BadSetting, match="their_models:MODEL: the entry point theirs cannot be loaded, it raises Attr"):
        own_models([], shipped=SHIPPED)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 / 0", "mine.py: cannot be loaded, it raises ZeroDivisionError: division by zero"),
        ("import no_such_library", "mine.py: cannot be loaded, it raises ModuleNotFoundError: No module named"),
        ("def f(:", "mine.py: cannot be loaded, it raises SyntaxError"),
        ("model = 3", "mine.py: has no MODEL; write MODEL = Model"),
        ("MODEL = 3", "mine.py: MODEL is int; it has to be a Model"),
        ("MODEL = named(key='b3_tft_sector')", "mine.py: there is a model b3_tft_sector already, of ours"),
        ("MODEL = named('B3')", "mine.py: there is a model B3 already, of ours; choose another name"),
        ("MODEL = (named(), named('U2'))", "mine.py: there is a model u1_mine already, of .*mine.py; choose"),
        ("MODEL = named(key='panel')", "mine.py: 'panel' is no key of a model; write a letter, digits and a name"),
        ("MODEL = named(key='Mine')", "mine.py: 'Mine' is no key of a model"),
        ("MODEL = named(spec=dict)", "mine.py: u1_mine: spec has to be a class that extends ModelSpec"),
        ("MODEL = named(estimator=None)", "mine.py: u1_mine: has neither an estimator nor a constructor"),
        ("MODEL = named(family='tft')", "mine.py: u1_mine: family and is_baseline are for models of ours"),
        (
            "MODEL = named(estimator=None, constructor=Mine)",
            "u1_mine: our loop trains it, so its settings have to extend",
        ),
        ("class S(ModelSpec):\n    width: int\nMODEL = named(spec=S)", "u1_mine: its settings need defaults: width"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = written(tmp_path, f"{GOOD}\n{text}\n")
    with pytest.raises(BadSetting, match=sentence) as error:
        own_models([file], shipped=SHIPPED)
    assert "\n" not in str(error.value)


NETWORK = """
from forecast_assets.core.models.catalogue import SummarySpec
from forecast_assets.core.models.entry import Model

def build(spec, **given):
    from forecast_assets.core.models.summary import SummaryMlp
    return SummaryMlp(spec, **given)

MODEL = Model("U4", "u4_net", title="Net", spec=SummarySpec, constructor=build, description="U4: a network.")
"""
LISTS = """
from forecast_assets.core.models.catalogue import CANDIDATES, FAMILIES, NETWORKS, SEARCHED
print(NETWORKS[-1], CANDIDATES[-1], SEARCHED[-1], FAMILIES[-1])
"""


def test_a_network_of_ones_own_may_be_a_member_and_its_settings_searched(tmp_path: Path) -> None:
    surroundings = os.environ | {"FORECAST_MODELS": written(tmp_path, NETWORK), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", LISTS], env=surroundings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["u4_net", "u4_net", "u4_net", "boosted"]


@pytest.mark.parametrize("name", ["gone.py", "folder", "model.txt"])
def test_a_path_that_is_no_python_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(BadSetting, match=f"{name}: is no Python file"):
        own_models([str(tmp_path / name)], shipped=SHIPPED)
