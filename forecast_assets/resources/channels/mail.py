"""The e-mail channel: one plain-text mail per message, through the server that FORECAST_SMTP_URL names.

A mail that was handed over can't be looked up. Where the answer was lost it is sent again, with the same Message-ID.
"""

import hashlib
import ipaddress
import logging
import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from forecast_assets.resources import environment
from forecast_assets.resources.channels.channel import Message, NotDelivered, plain_text

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 20
PORTS = {"smtp": 587, "smtps": 465}  # of a scheme without a port


class AlertMail:
    """E-mail as an alert channel. Server, sender and recipients are read from the environment when a message is sent."""

    name: ClassVar[str] = "mail"

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds

    def missing(self) -> list[str]:
        """Return the environment variables without which nothing can be sent."""
        needed = {
            "FORECAST_SMTP_URL": environment.smtp_url(),
            "FORECAST_MAIL_FROM": environment.mail_from(),
            "FORECAST_MAIL_TO": environment.mail_to(),
        }
        return [name for name, value in needed.items() if not value]

    def post(self, message: Message) -> None:
        """Hand the mail over; return once the server has accepted it. Raises NotDelivered otherwise."""
        smtp = self._connected(_server())
        try:
            refused = smtp.send_message(as_mail(message))
        except smtplib.SMTPServerDisconnected:
            raise NotDelivered("the mail server hung up", certain=False) from None
        except (smtplib.SMTPException, OSError) as error:
            raise _not_delivered(error, certain=isinstance(error, smtplib.SMTPException)) from None
        finally:
            smtp.close()
        if refused:
            log.warning("alert %s: the mail server refused %d of its recipients", message.id, len(refused))

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        """Return None: a mail that was handed over can't be looked up."""
        return None

    def _connected(self, server: SplitResult) -> smtplib.SMTP:
        """Return an open connection, encrypted and logged in as the URL asks. Raises NotDelivered where that fails.

        A password is sent encrypted, or to this machine.
        """
        host, port = server.hostname or "", server.port or PORTS[server.scheme]
        context = ssl.create_default_context()
        smtp: smtplib.SMTP | None = None
        try:
            if server.scheme == "smtps":
                smtp = smtplib.SMTP_SSL(host, port, timeout=self._timeout, context=context)
            else:
                smtp = smtplib.SMTP(host, port, timeout=self._timeout)
                smtp.ehlo()
                if smtp.has_extn("starttls"):
                    smtp.starttls(context=context)
                elif server.username and not _is_this_machine(host):
                    raise NotDelivered("the mail server offers no encryption, so no password was sent", certain=True)
            if server.username:
                smtp.login(unquote(server.username), unquote(server.password or ""))
        except (smtplib.SMTPException, OSError, NotDelivered) as error:
            if smtp is not None:
                smtp.close()
            # "from None": the cause may quote the login.
            raise (error if isinstance(error, NotDelivered) else _not_delivered(error, certain=True)) from None
        return smtp


def as_mail(message: Message) -> EmailMessage:
    """Return the message as a mail; its Message-ID is that of the message, so that a second copy is known as one."""
    sender = environment.mail_from()
    mail = EmailMessage()
    mail["Subject"] = f"[{message.level}] {message.title}"
    mail["From"], mail["To"] = sender, environment.mail_to()
    domain = sender.rpartition("@")[2].rstrip(">") or "localhost"
    mail["Message-ID"] = f"<{hashlib.sha256(message.id.encode()).hexdigest()[:32]}@{domain}>"
    mail.set_content(plain_text(message, titled=False))
    return mail


def _server() -> SplitResult:
    """Return the parts of FORECAST_SMTP_URL. Raises NotDelivered, without quoting it, where it is no such URL."""
    parts = urlsplit(environment.smtp_url())
    if parts.scheme not in PORTS or not parts.hostname:
        raise NotDelivered(
            "FORECAST_SMTP_URL: write it like smtps://user:password@mail.example.com, or smtp://... for STARTTLS",
            certain=True,
        )
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _not_delivered(error: Exception, *, certain: bool) -> NotDelivered:
    """Return the error in words of our own: a server's answer may repeat what it was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        return NotDelivered(f"the mail server answered {error.smtp_code}", certain=certain)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return NotDelivered("the mail server refused all recipients", certain=certain)
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return NotDelivered(f"no connection to the mail server ({type(error).__name__})", certain=True)
    return NotDelivered(f"no answer of the mail server ({type(error).__name__})", certain=certain)
