"""A second alert channel: the class below and its line in the table, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import dagster as dg
import pytest

from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels import table
from forecast_assets.resources.channels.channel import Message, NotDelivered
from forecast_assets_tests.automation.test_outbox import LATER, NOW, message
from forecast_assets_tests.automation.test_sensors import api as api
from forecast_assets_tests.automation.test_sensors import instance as instance
from forecast_assets_tests.automation.test_sensors import night, tick
from forecast_assets_tests.helpers.slack_api import SlackApi


class ToyChannel:
    """A line of plain text per message, in a list that the test reads."""

    name = "toy"
    posted: ClassVar[list[tuple[str, str]]] = []
    faults: ClassVar[list[Exception]] = []
    variables: ClassVar[list[str]] = []

    def missing(self) -> list[str]:
        return list(self.variables)

    def post(self, message: Message) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.posted.append((message.id, f"{message.level}: {message.title}. {message.sentence} {message.link}"))

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        return message.id in dict(self.posted)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ToyChannel]]:
    monkeypatch.setattr(table, "CHANNELS", (*table.CHANNELS, ToyChannel))
    yield ToyChannel
    for kept in (ToyChannel.posted, ToyChannel.faults, ToyChannel.variables):
        kept.clear()


@pytest.fixture
def outbox(tmp_path: Path, api: SlackApi) -> Outbox:
    return Outbox(str(tmp_path), table.open_channels())


def test_the_sensor_sends_to_every_channel_of_the_table_in_its_own_words(
    tmp_path: Path, instance: dg.DagsterInstance, api: SlackApi, toy: type[ToyChannel]
) -> None:
    night(tmp_path, 1, alarm="warning")
    assert tick(tmp_path, instance) == "slack: 1 messages sent. toy: 1 messages sent."
    assert tick(tmp_path, instance) == "slack: No message waits. toy: No message waits."
    link = "http://127.0.0.1:3000/assets/drift_checks?partition=2025-07-01"
    sentence = "2025-07-01: coverage_alarm is warning."
    assert toy.posted == [("coverage_alarm.2025-07-01.opened", f"warning: Coverage alarm. {sentence} {link}")]
    assert api.texts == [f"*:warning: Coverage alarm*\n{sentence}\n<{link}|Open in Dagster>"]


@pytest.mark.parametrize("down", ["slack", "toy"])
def test_one_channel_down_the_other_delivers_and_nothing_is_sent_twice(
    api: SlackApi, outbox: Outbox, toy: type[ToyChannel], down: str
) -> None:
    api.faults = ["refused"] if down == "slack" else []
    toy.faults.extend([NotDelivered("down", certain=True)] if down == "toy" else [])
    outbox.enqueue([message("a"), message("b")], now=NOW)
    outbox.deliver(now=NOW)
    assert {"slack": len(api.posted), "toy": len(toy.posted)} == {"slack": 2, "toy": 2} | {down: 0}
    assert [m.key for m in outbox.waiting(down)] == ["a", "b"]
    outbox.deliver(now=LATER)
    outbox.deliver(now=LATER)
    assert [id for id, _ in toy.posted] == ["a.1.opened", "b.1.opened"]
    assert [post["metadata"]["event_payload"]["id"] for post in api.posted] == ["a.1.opened", "b.1.opened"]


def test_a_bug_in_one_channel_stops_no_other_one_and_is_raised(
    tmp_path: Path, api: SlackApi, toy: type[ToyChannel]
) -> None:
    toy.faults.append(ValueError("a bug"))
    outbox = Outbox(str(tmp_path), table.open_channels()[::-1])
    outbox.enqueue([message("a")], now=NOW)
    with pytest.raises(ValueError, match="a bug"):
        outbox.deliver(now=NOW)
    assert len(api.posted) == 1


def test_a_channel_that_is_set_up_later_gets_no_old_messages(
    outbox: Outbox, api: SlackApi, toy: type[ToyChannel]
) -> None:
    toy.variables.append("TOY_TOKEN")
    outbox.enqueue([message("a")], now=NOW)
    toy.variables.clear()
    outbox.enqueue([message("b")], now=NOW)
    assert outbox.deliver(now=NOW) == "slack: 2 messages sent. toy: 1 messages sent."
    assert [id for id, _ in toy.posted] == ["b.1.opened"]


def test_where_no_channel_is_set_up_messages_wait_for_the_first_that_is(
    outbox: Outbox, api: SlackApi, monkeypatch: pytest.MonkeyPatch, toy: type[ToyChannel]
) -> None:
    toy.variables.append("TOY_TOKEN")
    with monkeypatch.context() as without:
        without.delenv("SLACK_CHANNEL")
        outbox.enqueue([message("a")], now=NOW)
        waits = outbox.deliver(now=NOW)
        assert waits.startswith("1 messages wait: SLACK_CHANNEL, or FORECAST_SMTP_URL and ")
        assert waits.endswith(", or TOY_TOKEN not set.")
    assert outbox.deliver(now=NOW) == "1 messages sent."
    toy.variables.clear()
    assert outbox.deliver(now=NOW) == "slack: No message waits. toy: No message waits."
    assert (len(api.posted), toy.posted) == (1, [])


def test_a_message_of_a_further_panel_says_which_and_links_to_its_asset(tmp_path: Path, toy: type[ToyChannel]) -> None:
    outbox = Outbox(str(tmp_path), [ToyChannel()], panel="nifty")
    link = "http://ui.test/assets/drift_checks?partition=2025-07-01"
    outbox.enqueue([replace(message("a"), link=link)], now=NOW)
    assert outbox.deliver(now=NOW) == "1 messages sent."
    said = "warning: nifty: Title. text of a http://ui.test/assets/nifty/drift_checks?partition=2025-07-01"
    assert toy.posted == [("a.1.opened", said)]
