"""The webhook channel: one JSON document per message, posted to the URL that FORECAST_WEBHOOK_URL names.

Whether a document arrived can't be looked up. Where the answer was lost it is sent again, with the same ``Idempotency-Key``.
"""

import hashlib
import hmac
import json
import socket
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, ClassVar

from forecast_assets.resources import environment
from forecast_assets.resources.channels.channel import Message, NotDelivered, plain_text

TIMEOUT_SECONDS = 10
BUSY = (429, 503)  # answers after which nothing was done, and that may say how long to wait
WAIT_SECONDS = 60.0  # after one that does not say


class AlertWebhook:
    """Any HTTP receiver as an alert channel. Its URL and secret are read from the environment when a message is sent."""

    name: ClassVar[str] = "webhook"

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds

    def missing(self) -> list[str]:
        """Return the environment variables without which nothing can be sent."""
        return [] if environment.webhook_url() else ["FORECAST_WEBHOOK_URL"]

    def post(self, message: Message) -> None:
        """Post the document; return once the receiver has answered 2xx. Raises NotDelivered otherwise."""
        url = environment.webhook_url()
        if not url.startswith(("https://", "http://")):
            raise NotDelivered("FORECAST_WEBHOOK_URL: write a URL that begins with https:// or http://", certain=True)
        body = as_json(message)
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.id}
        if secret := environment.webhook_secret():
            headers["X-Signature-256"] = signature(body, secret=secret)
        request = urllib.request.Request(url, body, headers)
        try:
            _OPENER.open(request, timeout=self._timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise _not_delivered(error.code, error.headers.get("Retry-After", "")) from None
        # "from None": the cause may quote the URL, which can hold a token.
        except urllib.error.URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            raise NotDelivered(f"no connection ({type(error.reason).__name__})", certain=refused) from None
        except (OSError, HTTPException, ValueError) as error:
            raise NotDelivered(f"no answer ({type(error).__name__})", certain=False) from None

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        """Return None: a receiver can't be asked what has arrived."""
        return None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: urllib would follow one with a GET, and the document would be lost."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def as_json(message: Message) -> bytes:
    """Return the message's fields, and ``text``, which chat programs with hooks like Slack's show."""
    return json.dumps({**vars(message), "text": plain_text(message)}, sort_keys=True).encode()


def signature(body: bytes, *, secret: str) -> str:
    """Return what the header X-Signature-256 has of a body: a receiver that knows the secret compares it."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _not_delivered(status: int, retry_after: str) -> NotDelivered:
    if status in BUSY:
        wait = float(retry_after) if retry_after.isdecimal() else WAIT_SECONDS
        return NotDelivered(f"the receiver asks to wait ({status})", certain=True, retry_after_seconds=wait)
    if status >= 500:
        return NotDelivered(f"the receiver answered {status}", certain=False)
    return NotDelivered(f"the receiver refused ({status})", certain=True)
