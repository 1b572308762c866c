"""What all alert channels share: the message, what a channel can do, and the error of a failed delivery."""

from dataclasses import dataclass
from typing import Literal, Protocol

Level = Literal["information", "warning", "error", "overdue", "success"]


@dataclass(frozen=True)
class Message:
    """An alert as data, without markup. ``id`` names its occasion, without a slash: an occasion is reported once."""

    id: str
    key: str  # what is watched
    stamp: str  # the episode: the day or run that it began with
    kind: str  # "opened", "continued" or "recovered"; "sealed" of a night, which is no episode
    level: Level
    title: str
    sentence: str
    link: str  # a page of the Dagster UI


class NotDelivered(Exception):
    """A message that was not acknowledged. ``certain``: it can't have arrived. Its text never holds a secret."""

    def __init__(self, why: str, *, certain: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.certain = certain
        self.retry_after_seconds = retry_after_seconds


class Channel(Protocol):
    """Renders and delivers messages. ``post`` and ``was_posted`` raise NotDelivered."""

    @property
    def name(self) -> str:
        """What deliveries are recorded under; it never changes."""

    def missing(self) -> list[str]:
        """Return the environment variables without which nothing can be sent."""

    def post(self, message: Message) -> None:
        """Deliver the message; return once it is acknowledged."""

    def was_posted(self, message: Message, *, since: float) -> bool | None:
        """Return whether the message has arrived since a Unix time; None where that can't be found out."""


def plain_text(message: Message, *, titled: bool = True) -> str:
    """Return the message without markup, a line per part."""
    title = message.title if titled else ""
    link = f"Open in Dagster: {message.link}" if message.link else ""
    return "\n".join(part for part in (title, message.sentence, link) if part)
