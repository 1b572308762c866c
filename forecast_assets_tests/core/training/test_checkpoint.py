import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from forecast_assets.core.errors import BadInput, CorruptArtefact
from forecast_assets.core.training import checkpoint
from forecast_assets.core.training.checkpoint import RECORD, load_checkpoint, save_checkpoint
from forecast_assets_tests.core.training.resumable_loop import digest, train

LOOP = [sys.executable, "-m", "forecast_assets_tests.core.training.resumable_loop"]


def save(folder: Path, *, key: str = "k", epochs: int = 1, record: Any = None, weight: float = 1.0) -> None:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, weight)
    save_checkpoint(folder, key=key, epochs=epochs, states={"model": model}, generators={}, record=record)


def restored_weight(folder: Path) -> float:
    found, model = load_checkpoint(folder, key="k"), nn.Linear(2, 1)
    assert found is not None
    found.restore(states={"model": model}, generators={})
    return model.weight[0, 0].item()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    with torch.random.fork_rng():
        return digest(train(tmp_path_factory.mktemp("whole"), epochs=8))


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_loop_stopped_between_epochs_ends_with_the_same_bits(stop: int, tmp_path: Path, uninterrupted: str) -> None:
    with torch.random.fork_rng():
        train(tmp_path, epochs=stop)
        torch.manual_seed(999)  # whatever the process did since
        assert digest(train(tmp_path, epochs=8)) == uninterrupted


def test_the_global_random_numbers_are_part_of_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.random.fork_rng():
        train(tmp_path, epochs=4)
        monkeypatch.setattr(checkpoint.torch, "set_rng_state", lambda state: None)
        forgetful = digest(train(tmp_path, epochs=8))
        monkeypatch.undo()
        assert forgetful != digest(train(tmp_path / "whole", epochs=8))


def test_a_loop_killed_in_the_middle_goes_on_to_the_same_bits(tmp_path: Path, uninterrupted: str) -> None:
    running = subprocess.Popen([*LOOP, str(tmp_path), "8", "60"], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    with running:
        assert running.stdout.readline() == "0\n"
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    with torch.random.fork_rng():
        assert digest(train(tmp_path, epochs=8)) == uninterrupted


@pytest.mark.parametrize("moment", range(7))
def test_a_kill_at_any_step_of_a_save_leaves_the_old_or_the_new_checkpoint(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before its ``moment``-th call of fsync, replace or unlink; there are seven of them."""
    save(tmp_path, epochs=1, weight=1.0)
    calls = 0

    class Killed(BaseException):
        pass

    def dies(what: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > moment:
                raise Killed
            return what(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "unlink"):
            patch.setattr(os, name, dies(getattr(os, name)))
        with pytest.raises(Killed):
            save(tmp_path, epochs=2, weight=2.0)
    found = load_checkpoint(tmp_path, key="k")
    assert found is not None
    assert found.epochs == (1 if moment < 5 else 2)  # the fifth call puts the record in place
    assert restored_weight(tmp_path) == found.epochs
    save(tmp_path, epochs=3, weight=3.0)  # and what the cut left behind is swept
    assert restored_weight(tmp_path) == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_there_is_no_checkpoint_before_the_first(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "fresh", key="k") is None


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = {
        "curve": [{"epoch": 0, "loss": 0.1 + 0.2}],
        "betas": (0.9, 0.999),
        3: [None, True, "text", math.inf, -math.inf],
        "best": {"weights": {"a/b": torch.tensor([1.5]), "a": {"b": torch.tensor(7, dtype=torch.int64)}}},
        "empty": [{}, (), []],
    }
    save(tmp_path, record=record)
    found = load_checkpoint(tmp_path, key="k")
    assert found is not None
    best = found.record.pop("best")["weights"]
    assert found.record == {key: value for key, value in record.items() if key != "best"}
    assert torch.equal(best["a/b"], torch.tensor([1.5]))
    assert torch.equal(best["a"]["b"], torch.tensor(7))
    assert isinstance(found.record["betas"], tuple)


def test_tied_weights_are_saved_and_both_restored(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
            self.second.weight = self.first.weight

    model, other = Tied(), Tied()
    save_checkpoint(tmp_path, key="k", epochs=1, states={"model": model}, generators={}, record=None)
    found = load_checkpoint(tmp_path, key="k")
    assert found is not None
    found.restore(states={"model": other}, generators={})
    assert torch.equal(other.first.weight, model.first.weight)
    assert other.second.weight is other.first.weight


def test_another_fits_checkpoint_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, key="seed 0")
    with pytest.raises(BadInput, match=r"belongs to another fit \(seed 0, not seed 1\)"):
        load_checkpoint(tmp_path, key="seed 1")


def test_altered_or_missing_tensors_are_corruption_not_a_fresh_start(tmp_path: Path) -> None:
    save(tmp_path)
    (tensors,) = tmp_path.glob("*.safetensors")
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(CorruptArtefact, match="was altered"):
        load_checkpoint(tmp_path, key="k")
    tensors.unlink()
    with pytest.raises(CorruptArtefact, match="can't be read"):
        load_checkpoint(tmp_path, key="k")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"sha256": 3})])
def test_an_unreadable_record_is_corruption(text: str, tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(CorruptArtefact, match=r"checkpoint.json: can't be read .* delete"):
        load_checkpoint(tmp_path, key="k")


@pytest.mark.parametrize(
    ("record", "message"), [({"fold": {1}}, "record/fold is a set"), ({1.5: 0}, "key of type float")]
)
def test_what_can_not_be_saved_is_an_error_and_leaves_the_old_checkpoint(
    record: Any, message: str, tmp_path: Path
) -> None:
    save(tmp_path, epochs=1)
    with pytest.raises(TypeError, match=message):
        save(tmp_path, epochs=2, record=record)
    found = load_checkpoint(tmp_path, key="k")
    assert found is not None
    assert found.epochs == 1


def test_states_under_other_names_are_an_error(tmp_path: Path) -> None:
    save(tmp_path)
    found = load_checkpoint(tmp_path, key="k")
    assert found is not None
    with pytest.raises(ValueError, match=r"states \['network'\] were asked for, \['model'\] were saved"):
        found.restore(states={"network": nn.Linear(2, 1)}, generators={})
