"""Alerts by e-mail, through a real SMTP server on loopback."""

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_assets.automation.outbox import Outbox
from forecast_assets.resources.channels.channel import NotDelivered
from forecast_assets.resources.channels.mail import AlertMail
from forecast_assets_tests.automation.test_outbox import NOW, message
from forecast_assets_tests.helpers.smtp_server import PASSWORD, USER, SmtpServer

LATER = NOW + dt.timedelta(hours=2)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        monkeypatch.setenv("FORECAST_SMTP_URL", f"smtp://127.0.0.1:{running.port}")
        monkeypatch.setenv("FORECAST_MAIL_FROM", "alerts@forecasts.test")
        monkeypatch.setenv("FORECAST_MAIL_TO", "one@desk.test, two@desk.test")
        yield running


@pytest.fixture
def outbox(tmp_path: Path, server: SmtpServer) -> Outbox:
    return Outbox(str(tmp_path), [AlertMail(timeout_seconds=2)])


def test_a_message_arrives_as_one_mail_for_all_recipients(server: SmtpServer, outbox: Outbox) -> None:
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(now=NOW) == "1 messages sent."
    assert outbox.deliver(now=NOW) == "No message waits."
    [mail] = server.mails
    assert (mail["Subject"], mail["From"], mail["To"]) == (
        *("[warning] Title", "alerts@forecasts.test"),
        "one@desk.test, two@desk.test",
    )
    text = str(mail.get_payload()).replace("\r\n", "\n")
    assert text == "text of a\nOpen in Dagster: http://ui.test/\n"
    assert server.commands.count("RCPT") == 2


@pytest.mark.parametrize(
    ("fault", "why", "mails"),
    [
        ("451 later", "the mail server answered 451", 1),
        ("554 no", "the mail server answered 554", 1),
        ("cut", "the mail server hung up", 2),
    ],
)
def test_after_a_fault_it_is_sent_again_and_a_second_copy_has_the_same_id(
    server: SmtpServer, outbox: Outbox, fault: str, why: str, mails: int
) -> None:
    server.faults = [fault]
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(now=NOW) == f"0 messages sent, 1 wait: {why}."
    assert outbox.deliver(now=LATER) == "1 messages sent."
    assert len(server.mails) == mails
    assert len({mail["Message-ID"] for mail in server.mails}) == 1


def test_a_recipient_that_is_refused_stops_no_other_one(
    server: SmtpServer, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FORECAST_MAIL_TO", "nobody@desk.test, one@desk.test")
    outbox.enqueue([message("a")], now=NOW)
    assert outbox.deliver(now=NOW) == "1 messages sent."
    assert "refused 1 of its recipients" in caplog.text
    monkeypatch.setenv("FORECAST_MAIL_TO", "nobody@desk.test")
    with pytest.raises(NotDelivered, match="refused all recipients"):
        AlertMail().post(message("b"))


def test_a_password_goes_to_this_machine_or_encrypted_and_is_quoted_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, server: SmtpServer
) -> None:
    caplog.set_level(logging.DEBUG)
    with SmtpServer(login=True) as asks:
        url = f"smtp://{USER}:{PASSWORD}@127.0.0.1:{asks.port}"
        monkeypatch.setenv("FORECAST_SMTP_URL", url)
        AlertMail().post(message("a"))
        assert len(asks.mails) == 1
        monkeypatch.setenv("FORECAST_SMTP_URL", url.replace("127.0.0.1", "0.0.0.0"))  # reached, and no loopback address
        with pytest.raises(NotDelivered, match="no encryption, so no password was sent") as unsent:
            AlertMail().post(message("b"))
        assert asks.commands.count("AUTH") == 1
        monkeypatch.setenv("FORECAST_SMTP_URL", url.replace(PASSWORD, "wrong-secret"))
        with pytest.raises(NotDelivered, match="answered 535") as refused:
            AlertMail().post(message("c"))
    assert unsent.value.certain
    assert refused.value.certain
    assert "secret" not in caplog.text + repr(unsent.value) + repr(refused.value)


def test_nobody_listening_or_no_url_is_certainly_not_delivered(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, why in (("smtp://127.0.0.1:9", "ConnectionRefusedError"), ("mail.test:25", "write it like smtps://")):
        monkeypatch.setenv("FORECAST_SMTP_URL", url)
        with pytest.raises(NotDelivered, match=why) as caught:
            AlertMail().post(message("a"))
        assert caught.value.certain


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AlertMail().missing() == ["FORECAST_SMTP_URL", "FORECAST_MAIL_FROM", "FORECAST_MAIL_TO"]
