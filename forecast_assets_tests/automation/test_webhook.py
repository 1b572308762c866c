"""Alerts to a webhook, on a real HTTP server on loopback."""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels.channel import NotDelivered
from forecast_assets.resources.channels.webhook import AlertWebhook
from forecast_assets_tests.automation.test_outbox import NOW, message
from forecast_assets_tests.helpers.webhook import Receivers

LATER = NOW + dt.timedelta(hours=2)
TOKEN = "token-of-the-test"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    with Receivers() as running:
        monkeypatch.setenv("FORECAST_WEBHOOK_URL", f"{running.url}{TOKEN}")
        yield running


@pytest.fixture
def outbox(tmp_path: Path, receiver: Receivers) -> Outbox:
    return Outbox(str(tmp_path), [AlertWebhook(timeout_seconds=2)])


def test_a_message_arrives_as_json_that_its_receiver_can_verify(
    receiver: Receivers, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORECAST_WEBHOOK_SECRET", "shared")
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(now=NOW) == "1 messages sent."
    assert outbox.deliver(now=NOW) == "No message waits."
    [(headers, body)] = receiver.received
    assert json.loads(body) == vars(message("a")) | {"text": "Title\ntext of a\nOpen in Dagster: http://ui.test/"}
    assert headers["Idempotency-Key"] == "a.1.opened"
    expected = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
    assert headers["X-Signature-256"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("status", "why", "wait"),
    [
        (404, "the receiver refused (404)", 60),
        (302, "the receiver refused (302)", 60),
        (429, "the receiver asks to wait (429)", 7),
        (500, "the receiver answered 500", 60),
        (0, "no answer (RemoteDisconnected)", 60),
    ],
)
def test_after_a_fault_it_is_sent_again_under_the_same_key(
    receiver: Receivers, outbox: Outbox, status: int, why: str, wait: int
) -> None:
    receiver.answers = [status]
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(now=NOW) == f"0 messages sent, 1 wait: {why}."
    assert "next attempt in 1 s" in outbox.deliver(now=NOW + dt.timedelta(seconds=wait - 1))
    assert outbox.deliver(now=LATER) == "1 messages sent."
    assert [headers["Idempotency-Key"] for headers, _ in receiver.received] == ["a.1.opened"] * 2


def test_nobody_listening_or_no_http_url_is_certainly_not_delivered_and_never_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for url, why in ((f"http://127.0.0.1:9/{TOKEN}", "ConnectionRefusedError"), (f"file:///{TOKEN}", "https://")):
        monkeypatch.setenv("FORECAST_WEBHOOK_URL", url)
        with pytest.raises(NotDelivered, match=why) as caught:
            AlertWebhook().post(message("a"))
        assert caught.value.certain
        assert TOKEN not in str(caught.value)


def test_what_is_missing_is_named() -> None:
    assert AlertWebhook().missing() == ["FORECAST_WEBHOOK_URL"]
