"""Locks between threads and processes."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from forecast_assets.store.locks import exclusive, hold, is_held

HOLDER = """
import sys, time
from pathlib import Path
from forecast_assets.store.locks import exclusive
with exclusive(Path(sys.argv[1]), what="test"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    order: list[str] = []
    inside, waited = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait()
        with exclusive(tmp_path / "l", what="panel"):
            order.append("second")
        waited.set()

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive(tmp_path / "l", what="panel"):
        inside.set()
        assert not waited.wait(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert caplog.messages == ["waiting for another writer of panel"]


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "l"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with exclusive(path, what="test"):
        assert path.exists()


def test_an_exception_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), exclusive(tmp_path / "l", what="x"):
        raise RuntimeError
    with exclusive(tmp_path / "l", what="x"):
        pass


def test_a_folder_is_held_until_it_is_released_or_its_owner_is_gone(tmp_path: Path) -> None:
    class Owner:
        pass

    owner, other = Owner(), Owner()
    assert not is_held(tmp_path)
    release = hold(tmp_path, owner=owner)
    hold(tmp_path, owner=other)
    assert is_held(tmp_path)
    release()
    release()
    assert is_held(tmp_path)
    del other
    assert not is_held(tmp_path)
