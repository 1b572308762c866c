import datetime as dt
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_assets.automation.outbox import Message, Outbox
from forecast_assets.resources.slack import AlertSlack, NotDelivered
from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi

NOW = dt.datetime(2026, 3, 2, 22, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=2)


def message(name: str, kind: str = "opened") -> Message:
    return Message(f"{name}.1.{kind}", name, "1", kind, f"text of {name}")


@pytest.fixture
def api() -> Iterator[SlackApi]:
    with SlackApi() as running:
        yield running


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(str(tmp_path))


def slack(api: SlackApi, *, token: str = TOKEN) -> AlertSlack:
    return AlertSlack(token=token, channel=CHANNEL, base_url=api.url, timeout_seconds=1)


def test_messages_arrive_once_and_in_order(api: SlackApi, outbox: Outbox) -> None:
    assert outbox.enqueue([message("a"), message("b")], now=NOW) == 2
    assert outbox.enqueue([message("a")], now=LATER) == 0
    assert outbox.deliver(slack(api), now=NOW) == "2 messages sent."
    assert outbox.deliver(slack(api), now=NOW) == "No message waits."
    assert api.texts == ["text of a", "text of b"]


def test_without_a_token_messages_wait_and_the_reason_is_told(
    api: SlackApi, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(AlertSlack(channel="C1"), now=NOW) == "1 messages wait: SLACK_BOT_TOKEN not set."
    assert outbox.deliver(slack(api), now=LATER) == "1 messages sent."


@pytest.mark.parametrize(("fault", "wait"), [("refused", 60), ("busy", 7), ("broken", 60), ("cut", 60), ("hangs", 60)])
def test_after_a_fault_the_message_arrives_exactly_once(api: SlackApi, outbox: Outbox, fault: str, wait: int) -> None:
    api.faults = [fault]
    outbox.enqueue([message("a"), message("b")], now=NOW)
    assert outbox.deliver(slack(api), now=NOW).startswith("0 messages sent, 2 wait: ")
    calls = len(api.calls)
    assert "next attempt" in outbox.deliver(slack(api), now=NOW + dt.timedelta(seconds=wait - 1))
    assert len(api.calls) == calls
    assert outbox.deliver(slack(api), now=NOW + dt.timedelta(seconds=wait)) == "2 messages sent."
    assert api.texts == ["text of a", "text of b"]


def test_a_clock_that_was_ahead_when_it_was_tried_neither_delays_a_message_nor_doubles_it(
    api: SlackApi, outbox: Outbox
) -> None:
    api.faults = ["cut"]  # it arrives, and the answer is lost
    outbox.enqueue([message("a")], now=NOW)
    ahead = NOW + dt.timedelta(days=3650)
    assert outbox.deliver(slack(api), now=ahead).startswith("0 messages sent, 1 wait: ")
    assert outbox.deliver(slack(api), now=LATER) == "1 messages sent."
    assert api.texts == ["text of a"]


def test_where_the_history_may_not_be_read_a_lost_answer_means_a_second_message(api: SlackApi, outbox: Outbox) -> None:
    api.faults, api.readable = ["cut"], False
    outbox.enqueue([message("a")], now=NOW)
    outbox.deliver(slack(api), now=NOW)
    assert outbox.deliver(slack(api), now=LATER) == "1 messages sent."
    assert api.texts == ["text of a", "text of a"]


def test_nobody_listening_is_certainly_not_delivered() -> None:
    nobody = AlertSlack(token=TOKEN, channel=CHANNEL, base_url="http://127.0.0.1:9/api/", timeout_seconds=1)
    with pytest.raises(NotDelivered, match="ConnectionRefusedError") as caught:
        nobody.post("text", message_id="a")
    assert caught.value.certain


def test_an_episode_is_open_until_its_recovery_is_queued(outbox: Outbox) -> None:
    outbox.enqueue([message("a"), message("b")], now=NOW, seen="2026-03-02")
    outbox.enqueue([message("a", "recovered")], now=LATER)
    assert outbox.open_episodes() == {"b": "1"}
    assert outbox.last_seen() == "2026-03-02"


def test_the_token_stands_in_no_log_no_error_and_no_file(
    api: SlackApi, outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.faults = ["broken", "cut", "refused", "busy", None]
    outbox.enqueue([message("a")], now=NOW)
    told = [outbox.deliver(slack(api), now=NOW + dt.timedelta(hours=k)) for k in range(6)]
    wrong = "xoxb-wrong"
    with pytest.raises(NotDelivered, match="invalid_auth") as caught:
        slack(api, token=wrong).post("text", message_id="b")
    written = caplog.text + " ".join(told) + (tmp_path / "alerts.jsonl").read_text() + repr(caught.value)
    assert "alert a.1.opened not sent" in written
    assert TOKEN not in written
    assert wrong not in written
    assert caught.value.__suppress_context__


KILLED = """
import datetime as dt, os, signal, sys
from forecast_assets.automation.outbox import Outbox
from forecast_assets.store.journal import Journal
from forecast_assets.resources.slack import AlertSlack
from forecast_assets_tests.automation.test_outbox import NOW, message
root, url, token, channel, fatal = sys.argv[1:]
real, count = Journal.append, 0
def dies_at(self, records):
    global count
    count += 1
    if count == int(fatal):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, records)
Journal.append = dies_at
outbox = Outbox(root)
outbox.enqueue([message("a")], now=NOW, seen="2026-03-02")
outbox.deliver(AlertSlack(token=token, channel=channel, base_url=url), now=NOW)
"""


@pytest.mark.parametrize(("fatal", "arrived"), [(1, 0), (2, 0), (3, 1)])
def test_killed_before_any_record_the_message_still_arrives_exactly_once(
    api: SlackApi, tmp_path: Path, fatal: int, arrived: int
) -> None:
    """Before it is queued, before it is tried, and between Slack's answer and its record."""
    arguments = [str(tmp_path), api.url, TOKEN, CHANNEL, str(fatal)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(api.texts) == arrived
    outbox = Outbox(str(tmp_path))
    outbox.enqueue([message("a")], now=LATER, seen="2026-03-02")
    outbox.deliver(slack(api), now=LATER)
    assert api.texts == ["text of a"]
    assert outbox.waiting() == []
