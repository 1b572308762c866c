"""Slack as alerts need it: one message posted, or looked up; every failure says whether the message can have arrived.

slack_sdk's own retries are off. ``chat.postMessage`` takes no idempotency key, so a repeated request may be a second
message: whether to repeat one is decided where the history of attempts is known (automation/outbox.py).
"""

import logging
import socket
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from dagster_slack import SlackResource
from pydantic import Field

from forecast_assets.resources import environment

if TYPE_CHECKING:
    from slack_sdk.web.client import WebClient

log = logging.getLogger(__name__)

EVENT = "forecast_assets_alert"
"""Event type of the metadata by which a message of ours is found again."""

TIMEOUT_SECONDS = 10
PAGE = 200
UNSURE = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""Errors after which Slack may nevertheless have posted the message."""


class NotDelivered(Exception):
    """A message that was not acknowledged. ``certain``: it can't have arrived. Its text never holds the token."""

    def __init__(self, why: str, *, certain: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.certain = certain
        self.retry_after_seconds = retry_after_seconds


class AlertSlack(SlackResource):
    """The channel that alerts go to. The token is read from the environment when used, so no page or log shows it."""

    token: str = Field(default="", description="leave empty: SLACK_BOT_TOKEN is read when a message is sent")
    channel: str = Field(default="", description="empty: SLACK_CHANNEL")
    base_url: str = Field(default="", description="empty: SLACK_BASE_URL, else Slack itself")
    timeout_seconds: int = Field(default=TIMEOUT_SECONDS, ge=1, description="longest wait for an answer")

    def missing(self) -> list[str]:
        """Environment variables without which nothing can be sent."""
        known = {"SLACK_BOT_TOKEN": self._token(), "SLACK_CHANNEL": self._channel()}
        return [name for name, value in known.items() if not value]

    def get_client(self) -> "WebClient":
        """A client that never repeats a request by itself and never logs one."""
        from slack_sdk.web.client import WebClient

        quiet = logging.getLogger(f"{__name__}.client")
        quiet.setLevel(logging.WARNING)  # its debug level shows bodies of requests and answers
        return WebClient(
            self._token(),
            base_url=self.base_url or environment.slack_base_url(),
            timeout=self.timeout_seconds,
            retry_handlers=[],
            logger=quiet,
        )

    def post(self, text: str, *, message_id: str) -> None:
        """Post ``text``; returns once Slack has acknowledged it. Raises NotDelivered otherwise."""
        metadata = {"event_type": EVENT, "event_payload": {"id": message_id}}
        self._ask("chat_postMessage", text=text, metadata=metadata, unfurl_links=False)

    def was_posted(self, message_id: str, *, since: float) -> bool | None:
        """Whether the channel's history since a Unix time holds the message; None where it may not be read.

        Reading needs the scope channels:history (groups:history in a private channel) and a channel id. Raises
        NotDelivered where Slack can't be reached.
        """
        cursor: str | None = None
        while True:
            try:
                page = self._ask(
                    "conversations_history",
                    oldest=f"{since:.6f}",
                    include_all_metadata=True,
                    limit=PAGE,
                    cursor=cursor,
                )
            except NotDelivered as error:
                if not error.certain or error.retry_after_seconds is not None:
                    raise
                log.warning("Slack's history can't be read (%s): a message may arrive twice.", error)
                return None
            for message in page.get("messages", []):
                about = message.get("metadata") or {}
                if about.get("event_type") == EVENT and about.get("event_payload", {}).get("id") == message_id:
                    return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return False

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            answer = getattr(self.get_client(), method)(channel=self._channel(), **arguments)
        except SlackApiError as error:
            # From here on "from None": the cause may quote the request, which carries the token.
            raise _refusal(error) from None
        except URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            raise NotDelivered(f"no connection ({type(error.reason).__name__})", certain=refused) from None
        except (OSError, HTTPException, SlackClientError) as error:
            raise NotDelivered(f"no answer ({type(error).__name__})", certain=False) from None
        return dict(answer.data)

    def _token(self) -> str:
        return self.token or environment.slack_token()

    def _channel(self) -> str:
        return self.channel or environment.slack_channel()


def _refusal(error: Any) -> NotDelivered:
    answer = error.response
    status = getattr(answer, "status_code", None) or (answer.get("status") if isinstance(answer, dict) else None)
    headers = {str(k).lower(): v for k, v in (getattr(answer, "headers", None) or {}).items()}
    code = answer.get("error") if not isinstance(getattr(answer, "data", answer), bytes | str) else None
    if status == 429:
        wait = str(headers.get("retry-after", "60"))
        seconds = float(wait) if wait.isdigit() else 60.0
        return NotDelivered("Slack asks to wait (429)", certain=True, retry_after_seconds=seconds)
    if code is None or (status or 200) >= 500 or code in UNSURE:
        return NotDelivered(f"Slack answered {status or 'nothing readable'}", certain=False)
    return NotDelivered(f"Slack refused: {str(code)[:60]}", certain=True)
