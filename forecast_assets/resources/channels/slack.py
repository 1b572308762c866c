"""The Slack channel: renders, posts and looks up a message; an error states whether it can have arrived.

slack_sdk's own retries are off. ``chat.postMessage`` takes no idempotency key, so a repeated request may be a second
message: whether to repeat one is decided where the history of attempts is known (automation/outbox.py).
"""

import logging
import re
import socket
from html import escape, unescape
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.error import URLError

from forecast_assets.resources import environment
from forecast_assets.resources.channels.channel import Level, Message, NotDelivered

if TYPE_CHECKING:
    from slack_sdk.web.client import WebClient

log = logging.getLogger(__name__)

EVENT = "forecast_assets_alert"  # event type of the metadata by which a message of ours is found again
TIMEOUT_SECONDS = 10
PAGE = 200
UNSURE = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")  # Slack may have posted anyway
ICONS: dict[Level, str] = {
    "information": ":information_source:",
    "warning": ":warning:",
    "error": ":x:",
    "overdue": ":alarm_clock:",
    "success": ":white_check_mark:",
}
LEVELS = {icon: level for level, icon in ICONS.items()}
RENDERED = re.compile(rf"\*({'|'.join(LEVELS)}) ([^*]*)\*\n(.*)\n<([^|]*)\|Open in Dagster>", re.DOTALL)


class AlertSlack:
    """Slack as an alert channel. What is not given here is read from the environment when a message is sent.

    ``base_url``: of a server that is not Slack's own. ``timeout_seconds``: longest wait for an answer.
    """

    name: ClassVar[str] = "slack"

    def __init__(
        self, *, token: str = "", channel: str = "", base_url: str = "", timeout_seconds: int = TIMEOUT_SECONDS
    ) -> None:
        self._token, self._channel, self._base_url = token, channel, base_url
        self._timeout = timeout_seconds

    def missing(self) -> list[str]:
        """Return the environment variables without which nothing can be sent."""
        needed = {
            "SLACK_BOT_TOKEN": self._token or environment.slack_token(),
            "SLACK_CHANNEL": self._channel or environment.slack_channel(),
        }
        return [name for name, value in needed.items() if not value]

    def client(self) -> "WebClient":
        """Return a client that never repeats a request by itself and never logs one."""
        from slack_sdk.web.client import WebClient

        quiet = logging.getLogger(f"{__name__}.client")
        quiet.setLevel(logging.WARNING)  # its debug level shows bodies of requests and answers
        return WebClient(
            self._token or environment.slack_token(),
            base_url=self._base_url or environment.slack_base_url(),
            timeout=self._timeout,
            retry_handlers=[],
            logger=quiet,
        )

    def post(self, message: Message) -> None:
        """Post the message; return once Slack has acknowledged it. Raises NotDelivered otherwise."""
        metadata = {"event_type": EVENT, "event_payload": {"id": message.id}}
        self._ask("chat_postMessage", text=render(message), metadata=metadata, unfurl_links=False)

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        """Return whether the channel's history since a Unix time holds the message; None where it may not be read.

        Reading needs the scope channels:history (groups:history in a private channel) and a channel id. Raises
        NotDelivered where Slack can't be reached.
        """
        cursor: str | None = None
        while True:
            try:
                page = self._ask(
                    "conversations_history", oldest=f"{since:.6f}", include_all_metadata=True, limit=PAGE, cursor=cursor
                )
            except NotDelivered as error:
                if not error.certain or error.retry_after_seconds is not None:
                    raise
                log.warning("Slack's history can't be read (%s): a message may arrive twice.", error)
                return None
            for posted in page.get("messages", []):
                about = posted.get("metadata") or {}
                if about.get("event_type") == EVENT and about.get("event_payload", {}).get("id") == message.id:
                    return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return False

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            answer = getattr(self.client(), method)(channel=self._channel or environment.slack_channel(), **arguments)
        except SlackApiError as error:
            # From here on "from None": the cause may quote the request, which carries the token.
            raise _not_delivered(error) from None
        except URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            raise NotDelivered(f"no connection ({type(error.reason).__name__})", certain=refused) from None
        except (OSError, HTTPException, SlackClientError) as error:
            raise NotDelivered(f"no answer ({type(error).__name__})", certain=False) from None
        return dict(answer.data)


def render(message: Message) -> str:
    """Return the message in Slack's markup."""
    title = f"*{ICONS[message.level]} {escape(message.title, quote=False)}*" if message.title else ""
    link = f"<{message.link}|Open in Dagster>" if message.link else ""
    return "\n".join(part for part in (title, escape(message.sentence, quote=False), link) if part)


def parse(id: str, key: str, stamp: str, kind: str, text: str) -> Message:
    """Return the message that ``render`` made ``text`` of: earlier versions journalled the markup."""
    found = RENDERED.fullmatch(text)
    if found is None:
        return Message(id, key, stamp, kind, "information", "", unescape(text), "")
    icon, title, sentence, link = found.groups()
    return Message(id, key, stamp, kind, LEVELS[icon], unescape(title), unescape(sentence), link)


def _not_delivered(error: Any) -> NotDelivered:
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
