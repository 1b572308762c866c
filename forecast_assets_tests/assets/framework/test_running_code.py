"""The code and the files that a version was made from are those that its key names."""

from pathlib import Path

import pytest

from forecast_assets.assets.framework import code_version
from forecast_assets.assets.framework.running_code import RunningCode
from forecast_assets.core.errors import ChangedMeanwhile
from forecast_assets.core.models import own

MODEL = "def forecast(x):\n    return x\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "package" / "ewma.py"
    path.parent.mkdir()
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize(
    "edited", ["def forecast(x):\n    return 2 * x\n", "def forecast(x):\n    return y\n", "def forecast(x", None]
)
def test_code_that_was_edited_since_the_process_began_is_not_published(module: Path, edited: str | None) -> None:
    code = RunningCode(module.parent)
    code.require_unedited([module])
    module.unlink()
    if edited is not None:
        module.write_text(edited)
    with pytest.raises(ChangedMeanwhile, match=r"ewma\.py: the code was edited after this process began"):
        code.require_unedited([module])


def test_a_file_that_is_written_again_or_gets_a_comment_is_the_same_code(module: Path) -> None:
    code = RunningCode(module.parent)
    module.write_text(f"# a comment\n{MODEL}")
    code.require_unedited([module])


def test_a_module_that_came_after_the_process_began_is_an_edit(module: Path) -> None:
    code = RunningCode(module.parent)
    (module.parent / "new.py").write_text(MODEL)
    with pytest.raises(ChangedMeanwhile, match=r"new\.py"):
        code.require_unedited([module.parent / "new.py"])


def test_every_module_of_a_stage_is_watched_from_the_beginning() -> None:
    for stage in ("networks", "baselines", "raw_panel", "nightly_forecast", "backtest"):
        code_version.require_unedited(f"forecast_assets.assets.{stage}")
    reached, _ = code_version._sources("forecast_assets.assets.baselines", None)
    assert "forecast_assets.core.models.baselines" in reached


def test_a_model_of_ones_own_that_was_edited_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    text = (
        "from forecast_assets.core.models.entry import Model, ModelSpec\n"
        "MODEL = Model('U1', 'u1_mine', 'mine', ModelSpec, 'mine', estimator=print)\n"
    )
    path.write_text(text)
    (model,) = own.own_models([str(path)], shipped=[])
    monkeypatch.setattr(code_version, "MODELS", {model.key: model})
    code_version.require_unedited("forecast_assets.assets.networks", models=[model.key])
    path.write_text(text + "ALPHA = 2\n")
    with pytest.raises(ChangedMeanwhile, match=r"mine\.py: the model was edited after this process began"):
        code_version.require_unedited("forecast_assets.assets.networks", models=[model.key])
