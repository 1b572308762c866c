"""Messages that wait for Slack, kept in a journal: queued, tried, delivered. Nothing is held in memory between calls.

What is promised. A message is queued once, however often it is decided on, since its id says what it is about. It is
recorded as being tried before it is sent and as delivered after Slack acknowledged it. Where an attempt has no certain
outcome (the process died in between, an answer was lost), the channel's history is asked first and the message is sent
again only if it is not there: delivered exactly once. Where the history may not be read, it is sent again: at least
once, since a lost warning is worse than two. One process delivers at a time on a local data root; on an object store
there is no lock, and one daemon is assumed.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from forecast_assets.resources.slack import NotDelivered
from forecast_assets.store.journal import Journal
from forecast_assets.store.locks import exclusive

log = logging.getLogger(__name__)

NAME = "alerts"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 3600.0
CLOCKS_DIFFER_SECONDS = 600.0
"""How far this machine's clock may be ahead of Slack's when the history is searched."""


@dataclass(frozen=True)
class Message:
    """What is to be said. ``id`` names its occasion, without a slash: the same occasion is told once."""

    id: str
    key: str
    stamp: str
    kind: str  # "opened" or "recovered"
    text: str


class Channel(Protocol):
    """Where messages go; both methods raise NotDelivered."""

    def missing(self) -> list[str]: ...

    def post(self, text: str, *, message_id: str) -> None: ...

    def was_posted(self, message_id: str, *, since: float) -> bool | None: ...


class Outbox:
    """The journal ``<data root>/alerts`` and what it says."""

    def __init__(self, root: str) -> None:
        self._journal = Journal(root, NAME)
        self._lock = None if "://" in root else Path(root) / f"{NAME}.lock"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process decides or delivers meanwhile, on a local data root."""
        if self._lock is None:
            yield
            return
        with exclusive(self._lock, what="alerts"):
            yield

    def enqueue(self, messages: Iterable[Message], *, now: dt.datetime, seen: str | None = None) -> int:
        """Queue the messages not queued yet, and then note that day ``seen`` is dealt with. Returns how many are new."""
        records: list[dict[str, Any]] = [
            {"id": f"queued.{m.id}", "what": "queued", "at": now.timestamp(), "order": k, "message": vars(m)}
            for k, m in enumerate(messages)
        ]
        noted = [] if seen is None else [{"id": f"seen.{seen}", "what": "seen", "day": seen}]
        # One append: a crash cuts off the end, so a day is noted only once all of its messages are.
        return self._journal.append([*records, *noted]) - len(noted)

    def last_seen(self) -> str | None:
        """The latest day that was dealt with."""
        return max((r["day"] for r in self._journal.read() if r["what"] == "seen"), default=None)

    def open_episodes(self) -> dict[str, str]:
        """Key -> stamp of what was reported as begun and not yet as over."""
        messages = self._messages()
        over = {(m.key, m.stamp) for m in messages if m.kind == "recovered"}
        return {m.key: m.stamp for m in messages if m.kind == "opened" and (m.key, m.stamp) not in over}

    def waiting(self) -> list[Message]:
        """Messages not delivered yet, oldest first."""
        done = {r["message_id"] for r in self._journal.read() if r["what"] == "delivered"}
        return [m for m in self._messages() if m.id not in done]

    def deliver(self, channel: Channel, *, now: dt.datetime) -> str:
        """Send what waits, in order, up to the first that can't be sent now. Returns one sentence on how it went."""
        waiting, sent = self.waiting(), 0
        if not waiting:
            return "No message waits."
        if missing := channel.missing():
            return f"{len(waiting)} messages wait: {' and '.join(missing)} not set."
        for message in waiting:
            trouble = self._send(message, channel, now=now.timestamp())
            if trouble:
                return f"{sent} messages sent, {len(waiting) - sent} wait: {trouble}."
            sent += 1
        return f"{sent} messages sent."

    def _send(self, message: Message, channel: Channel, *, now: float) -> str | None:
        """None once delivered, else why not."""
        records = [r for r in self._journal.read() if r.get("message_id") == message.id]
        tries = [r for r in records if r["what"] == "trying"]
        failed = {r["number"]: r for r in records if r["what"] == "failed"}
        last = failed.get(len(tries))
        # An attempt that is still to come is that of a clock since set back: it says nothing about when to try again.
        if last is not None and last["at"] <= now < last["not_before"]:
            return f"{last['why']}; next attempt in {last['not_before'] - now:.0f} s"
        unsure = [r for r in tries if not failed.get(r["number"], {"certain": False})["certain"]]
        number = len(tries) + 1
        try:
            if unsure and channel.was_posted(message.id, since=_search_from(unsure[0]["at"], now=now)):
                self._note(message, "delivered", number, at=now)
                return None
        except NotDelivered as error:
            # The attempt that is looked for is still the last one: only the wait is new.
            self._note(message, "trying", number, at=now)
            return self._failed(message, number, error, certain=True, now=now)
        self._note(message, "trying", number, at=now)
        try:
            channel.post(message.text, message_id=message.id)
        except NotDelivered as error:
            return self._failed(message, number, error, certain=error.certain, now=now)
        self._note(message, "delivered", number, at=now)
        log.info("alert sent: %s", message.id)
        return None

    def _failed(self, message: Message, number: int, error: NotDelivered, *, certain: bool, now: float) -> str:
        backoff = min(FIRST_WAIT_SECONDS * 2 ** min(number - 1, 10), LONGEST_WAIT_SECONDS)
        wait = backoff if error.retry_after_seconds is None else error.retry_after_seconds
        self._note(message, "failed", number, at=now, certain=certain, why=str(error), not_before=now + wait)
        log.warning("alert %s not sent: %s; next attempt in %.0f s", message.id, error, wait)
        return str(error)

    def _note(self, message: Message, what: str, number: int, **more: Any) -> None:
        record = {"id": f"{what}.{message.id}.{number}", "what": what, "message_id": message.id, "number": number}
        self._journal.append([record | more])

    def _messages(self) -> list[Message]:
        queued = [r for r in self._journal.read() if r["what"] == "queued"]
        queued.sort(key=lambda r: (r["at"], r["order"]))  # an object store lists by id
        return [Message(**r["message"]) for r in queued]


def _search_from(attempt: float, *, now: float) -> float:
    """Since when the history is searched for an attempt; all of it where the clock was set back after the attempt."""
    return attempt - CLOCKS_DIFFER_SECONDS if attempt <= now else 0.0
