"""No signal is lost, whoever handles it, and each ends the run."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._utils.interrupts import capture_interrupts

from forecast_assets.resources.signals import RECORD, _named


class Finalised:
    """Sends the process a signal while it is finalised, and is interrupted there."""

    def __del__(self) -> None:
        press()
        until(lambda: False, seconds=0.5)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def until(holds: Callable[[], bool], *, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()


def computing() -> None:
    """Press, and go on until interrupted."""
    press()
    until(lambda: False)


def never() -> None:
    raise AssertionError("the process would have been ended")


def between_two_jobs() -> None:
    press()
    assert until(RECORD.stopped)


def pressed_twice() -> None:
    with RECORD.watched(end=never):
        RECORD.be_patient()
        press()
        between_two_jobs()


def in_the_last_moment_of_a_job() -> None:
    """Dagster captures it, and forgets it when the job has ended."""
    with capture_interrupts():
        between_two_jobs()


def in_a_finaliser() -> None:
    """Python drops the exception, and goes on."""
    with RECORD.interruptible(KeyboardInterrupt):
        made = Finalised()
        del made


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of a command, and afterwards those there were."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@contextmanager
def watched(end: Callable[[], object] = never) -> Iterator[None]:
    """Record signals; a Ctrl-C is not raised again at the end."""
    try:
        with RECORD.watched(end=end):
            RECORD.be_patient()
            yield
    except KeyboardInterrupt:
        pass


@pytest.mark.parametrize("lost", [between_two_jobs, in_the_last_moment_of_a_job, in_a_finaliser])
def test_ctrl_c_that_raises_nothing_is_on_record_and_not_printed(
    lost: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    with watched():
        assert not RECORD.stopped()
        lost()
        assert RECORD.stopped()
        assert RECORD.stopped()  # still
    assert not RECORD.stopped()
    assert printed == []


def test_a_stage_that_computes_is_interrupted_and_the_next_does_not_begin() -> None:
    with watched():
        with pytest.raises(KeyboardInterrupt), RECORD.interruptible(KeyboardInterrupt):
            computing()
        with pytest.raises(ZeroDivisionError), RECORD.interruptible(ZeroDivisionError):
            raise AssertionError("it began")


@pytest.mark.parametrize("patience", [0.0, 0.3])
def test_the_process_is_ended_where_nobody_asks(patience: float) -> None:
    ended = threading.Event()
    with watched(ended.set):
        RECORD.be_patient(patience)
        begun = time.monotonic()
        press()
        assert ended.wait(10)
        assert time.monotonic() - begun >= patience


def test_ctrl_c_that_nobody_asked_about_is_raised_at_the_end_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        pressed_twice()
    time.sleep(0.01)  # nothing is raised any more


def test_ctrl_c_is_an_ordinary_signal_again_afterwards() -> None:
    with watched():
        pass
    with pytest.raises(KeyboardInterrupt):
        computing()


def test_a_kill_is_on_record_whatever_its_handler_does() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    with watched():
        os.kill(os.getpid(), signal.SIGTERM)
        assert RECORD.stopped()


def test_other_signals_stop_nothing_and_an_earlier_recorder_is_put_back() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    heard = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with watched():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not RECORD.stopped()
        assert signal.set_wakeup_fd(before) == writer
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, heard)
        os.close(reader)
        os.close(writer)


def test_a_process_goes_by_its_number_and_while_it_runs_its_name() -> None:
    assert re.fullmatch(rf"{os.getpid()} \(.+\)", _named(os.getpid()))
    assert _named(0) == "0"


def test_what_lay_in_memory_by_chance_is_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python's sigtimedwait returns it where another signal interrupts it at the end of its time."""
    given, wait = threading.Event(), signal.sigtimedwait

    def once_by_chance(signals: set[int], timeout: float) -> Any:
        if given.is_set():
            return wait(signals, timeout)
        given.set()
        return SimpleNamespace(si_signo=1344197262, si_code=-1204, si_pid=1344197262)

    monkeypatch.setattr(signal, "sigtimedwait", once_by_chance)
    with RECORD.watched(end=never):
        assert given.wait(10.0)
        time.sleep(0.3)
        assert not RECORD.stopped()
