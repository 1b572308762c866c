"""What the outbox promises, with Slack's channel and a Slack API on loopback."""

import datetime as dt
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_assets.automation.outbox import NAME, Outbox
from forecast_assets.resources.channels.channel import Level, Message, NotDelivered
from forecast_assets.resources.channels.slack import ICONS, AlertSlack, parse, render
from forecast_assets.store.journal import Journal
from forecast_assets_tests.helpers.slack_api import CHANNEL, TOKEN, SlackApi

NOW = dt.datetime(2026, 3, 2, 22, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=2)


def message(name: str, kind: str = "opened") -> Message:
    return Message(f"{name}.1.{kind}", name, "1", kind, "warning", "Title", f"text of {name}", "http://ui.test/")


def text_of(name: str) -> str:
    return render(message(name))


@pytest.fixture
def api() -> Iterator[SlackApi]:
    with SlackApi() as running:
        yield running


def slack(api: SlackApi, *, token: str = TOKEN) -> AlertSlack:
    return AlertSlack(token=token, channel=CHANNEL, base_url=api.url, timeout_seconds=1)


@pytest.fixture
def outbox(tmp_path: Path, api: SlackApi) -> Outbox:
    return Outbox(str(tmp_path), [slack(api)])


def test_messages_arrive_once_and_in_order(api: SlackApi, outbox: Outbox) -> None:
    assert outbox.enqueue([message("a"), message("b")], now=NOW) == 2
    assert outbox.enqueue([message("a")], now=LATER) == 0
    assert outbox.deliver(now=NOW) == "2 messages sent."
    assert outbox.deliver(now=NOW) == "No message waits."
    assert api.texts == [text_of("a"), text_of("b")]


def test_without_a_token_messages_wait_and_the_outcome_says_why(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    without = Outbox(str(tmp_path), [AlertSlack(channel="C1")])
    without.enqueue([message("a")], now=NOW)
    assert without.deliver(now=NOW) == "1 messages wait: SLACK_BOT_TOKEN not set."
    assert outbox.deliver(now=LATER) == "1 messages sent."


@pytest.mark.parametrize(("fault", "wait"), [("refused", 60), ("busy", 7), ("broken", 60), ("cut", 60), ("hangs", 60)])
def test_after_a_fault_the_message_arrives_exactly_once(api: SlackApi, outbox: Outbox, fault: str, wait: int) -> None:
    api.faults = [fault]
    outbox.enqueue([message("a"), message("b")], now=NOW)
    assert outbox.deliver(now=NOW).startswith("0 messages sent, 2 wait: ")
    calls = len(api.calls)
    assert "next attempt" in outbox.deliver(now=NOW + dt.timedelta(seconds=wait - 1))
    assert len(api.calls) == calls
    assert outbox.deliver(now=NOW + dt.timedelta(seconds=wait)) == "2 messages sent."
    assert api.texts == [text_of("a"), text_of("b")]


def test_a_clock_that_was_ahead_at_an_attempt_neither_delays_nor_doubles_a_message(
    api: SlackApi, outbox: Outbox
) -> None:
    api.faults = ["cut"]  # it arrives, and the answer is lost
    outbox.enqueue([message("a")], now=NOW)
    ahead = NOW + dt.timedelta(days=3650)
    assert outbox.deliver(now=ahead).startswith("0 messages sent, 1 wait: ")
    assert outbox.deliver(now=LATER) == "1 messages sent."
    assert api.texts == [text_of("a")]


def test_where_the_history_may_not_be_read_a_lost_answer_means_a_second_message(api: SlackApi, outbox: Outbox) -> None:
    api.faults, api.readable = ["cut"], False
    outbox.enqueue([message("a")], now=NOW)
    outbox.deliver(now=NOW)
    assert outbox.deliver(now=LATER) == "1 messages sent."
    assert api.texts == [text_of("a"), text_of("a")]


def test_nobody_listening_is_certainly_not_delivered() -> None:
    nobody = AlertSlack(token=TOKEN, channel=CHANNEL, base_url="http://127.0.0.1:9/api/", timeout_seconds=1)
    with pytest.raises(NotDelivered, match="ConnectionRefusedError") as caught:
        nobody.post(message("a"))
    assert caught.value.certain


def test_an_episode_is_open_until_its_recovery_is_queued(outbox: Outbox) -> None:
    outbox.enqueue([message("a"), message("b")], now=NOW, seen="2026-03-02")
    outbox.enqueue([message("a", "recovered")], now=LATER)
    assert outbox.open_episodes() == {"b": "1"}
    assert outbox.last_seen(among=["2026-03-01", "2026-03-02"]) == "2026-03-02"
    assert outbox.last_seen(among=["2026-03-01"]) is None


OLD = "*:warning: Coverage alarm*\na &lt; b &amp; c\n<http://ui.test/x|Open in Dagster>"
"""What earlier versions journalled: Slack's markup."""


def old_records(name: str, *attempts: dict[str, object]) -> list[dict[str, object]]:
    """Records of a message as earlier versions wrote them: no channel, and the text with its markup."""
    about = {"id": f"{name}.1.opened", "key": name, "stamp": "1", "kind": "opened", "text": OLD}
    queued = {"id": f"queued.{name}.1.opened", "what": "queued", "at": NOW.timestamp(), "order": 0, "message": about}
    ids = [f"{attempt['what']}.{name}.1.opened.{attempt['number']}" for attempt in attempts]
    at = {"message_id": f"{name}.1.opened", "at": NOW.timestamp()}
    return [queued, *({"id": id} | at | attempt for id, attempt in zip(ids, attempts, strict=True))]


def test_what_an_earlier_version_delivered_stays_so_and_what_it_queued_is_sent(
    api: SlackApi, outbox: Outbox, tmp_path: Path
) -> None:
    attempt: dict[str, object] = {"what": "trying", "number": 1}
    failed = {"what": "failed", "number": 1, "certain": True, "why": "down", "not_before": NOW.timestamp() + 60}
    journal = Journal(str(tmp_path), NAME)
    journal.append(old_records("delivered", attempt, {"what": "delivered", "number": 1}))
    journal.append(old_records("failed", attempt, failed))
    journal.append(old_records("waiting"))
    assert outbox.open_episodes() == {"delivered": "1", "failed": "1", "waiting": "1"}
    assert [m.key for m in outbox.waiting("slack")] == ["failed", "waiting"]
    assert outbox.enqueue([message("delivered"), message("waiting")], now=LATER) == 0
    assert outbox.deliver(now=NOW).endswith("2 wait: down; next attempt in 60 s.")
    assert outbox.deliver(now=LATER) == "2 messages sent."
    assert api.texts == [OLD, OLD]
    assert outbox.deliver(now=LATER) == "No message waits."


def test_an_old_attempt_of_unknown_outcome_is_looked_up_before_it_is_repeated(
    api: SlackApi, outbox: Outbox, tmp_path: Path
) -> None:
    Journal(str(tmp_path), NAME).append(old_records("a", {"what": "trying", "number": 1}))
    slack(api).post(message("a"))  # it had arrived
    assert outbox.deliver(now=LATER) == "1 messages sent."
    assert len(api.texts) == 1


@given(st.sampled_from(sorted(ICONS)), st.text("ab &<>;'", min_size=1), st.text(min_size=1))
@settings(derandomize=True, deadline=None, database=None)
def test_the_markup_of_a_message_is_read_back_as_the_message(level: Level, title: str, sentence: str) -> None:
    made = Message("a.1.opened", "a", "1", "opened", level, title, sentence, "http://ui.test/x?partition=1")
    assert parse(made.id, made.key, made.stamp, made.kind, render(made)) == made


def test_the_token_stands_in_no_log_no_error_and_no_file(
    api: SlackApi, outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.faults = ["broken", "cut", "refused", "busy", None]
    outbox.enqueue([message("a")], now=NOW)
    outcomes = [outbox.deliver(now=NOW + dt.timedelta(hours=k)) for k in range(6)]
    wrong = "xoxb-wrong"
    with pytest.raises(NotDelivered, match="invalid_auth") as caught:
        slack(api, token=wrong).post(message("b"))
    written = caplog.text + " ".join(outcomes) + (tmp_path / "alerts.jsonl").read_text() + repr(caught.value)
    assert "alert a.1.opened not sent" in written
    assert TOKEN not in written
    assert wrong not in written
    assert caught.value.__suppress_context__


KILLED = """
import datetime as dt, os, signal, sys
from forecast_assets.automation.outbox import Outbox
from forecast_assets.store.journal import Journal
from forecast_assets.resources.channels.slack import AlertSlack
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
outbox = Outbox(root, [AlertSlack(token=token, channel=channel, base_url=url)])
outbox.enqueue([message("a")], now=NOW, seen="2026-03-02")
outbox.deliver(now=NOW)
"""


@pytest.mark.parametrize(("fatal", "arrived"), [(1, 0), (2, 0), (3, 1)])
def test_killed_before_any_record_the_message_still_arrives_exactly_once(
    api: SlackApi, outbox: Outbox, tmp_path: Path, fatal: int, arrived: int
) -> None:
    """Before it is queued, before it is attempted, and between Slack's answer and its record."""
    arguments = [str(tmp_path), api.url, TOKEN, CHANNEL, str(fatal)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(api.texts) == arrived
    outbox.enqueue([message("a")], now=LATER, seen="2026-03-02")
    outbox.deliver(now=LATER)
    assert api.texts == [text_of("a")]
    assert outbox.waiting("slack") == []
