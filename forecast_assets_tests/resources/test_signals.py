"""No signal is lost, whoever handles it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from dagster._utils.interrupts import capture_interrupts

from forecast_assets.resources.signals import RECORD


class Finalised:
    """Sends the process a signal while it is finalised."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def in_the_last_moment_of_a_job() -> None:
    """Dagster captures it, and forgets it when the job has ended."""
    with capture_interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def in_a_finaliser() -> None:
    """Python prints the exception and goes on."""
    made = Finalised()
    del made


@contextmanager
def kept_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lost", [in_the_last_moment_of_a_job, in_a_finaliser])
def test_a_signal_that_its_handler_loses_is_on_record(lost: Callable[[], None]) -> None:
    with kept_handler(), RECORD.watched():
        assert not RECORD.stopped()
        lost()
        assert RECORD.stopped()
        assert RECORD.stopped()  # still
    assert not RECORD.stopped()


def test_other_signals_stop_nothing_and_an_earlier_recorder_is_put_back() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    heard = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with RECORD.watched():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not RECORD.stopped()
        assert signal.set_wakeup_fd(before) == writer
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, heard)
        os.close(reader)
        os.close(writer)
