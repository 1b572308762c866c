"""The outbox of alerts: a journal of what was queued, attempted and delivered, per channel.

What is guaranteed, for each channel by itself. A message is queued once, however often it is made, since its id names the
episode. An attempt is recorded before the message is sent, and its delivery after the channel acknowledged it.
Where an attempt has no certain outcome (the process died in between, an answer was lost), the channel's history is
searched first and the message is sent again only if it is not there: delivered exactly once. Where the history may not be
read, it is sent again: at least once, since a lost warning is worse than two. One process delivers at a time on a local
data root; on an object store there is no lock, and one daemon is assumed.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from forecast_assets.resources.channels.channel import Channel, Message, NotDelivered
from forecast_assets.resources.channels.slack import AlertSlack, parse
from forecast_assets.store.journal import Journal
from forecast_assets.store.locks import exclusive

log = logging.getLogger(__name__)

NAME = "alerts"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 3600.0
CLOCKS_DIFFER_SECONDS = 600.0  # how far this machine's clock may be ahead of a channel's when the history is searched

FIRST_CHANNEL = AlertSlack.name
"""The channel of records that name none: those of earlier versions, which had no other one."""


class Outbox:
    """The journal ``<data root>/alerts`` and the channels that its messages go to.

    ``panel``: the prefix of the asset keys that the messages are about, where a deployment has several panels.
    """

    def __init__(self, root: str, channels: Sequence[Channel], *, panel: str = "") -> None:
        self._panel = panel
        self._journal = Journal(root, NAME)
        self._lock = None if "://" in root else Path(root) / f"{NAME}.lock"
        self._channels = {channel.name: channel for channel in channels}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from deciding or delivering meanwhile, on a local data root."""
        with nullcontext() if self._lock is None else exclusive(self._lock, what="alerts"):
            yield

    def enqueue(self, messages: Iterable[Message], *, now: dt.datetime, seen: str | None = None) -> int:
        """Queue the messages not queued yet, and then note that day ``seen`` is dealt with. Returns how many are new.

        A message goes to the channels that are set up now, so that one set up later gets no old alerts; where none is, it
        waits for the first ones that are.
        """
        queued = {"what": "queued", "at": now.timestamp(), "channels": self._set_up()}
        marked = [_of_panel(message, self._panel) for message in messages]
        records = [queued | {"id": f"queued.{m.id}", "order": k, "message": vars(m)} for k, m in enumerate(marked)]
        noted = [] if seen is None else [{"id": f"seen.{seen}", "what": "seen", "day": seen}]
        # One append: a crash cuts off the end, so a day is noted only once all of its messages are.
        return self._journal.append([*records, *noted]) - len(noted)

    def last_seen(self, *, among: Sequence[str]) -> str | None:
        """Return the latest of some days that was dealt with."""
        return max((r["day"] for r in self._journal.read() if r["what"] == "seen" and r["day"] in among), default=None)

    def open_episodes(self) -> dict[str, str]:
        """Return key -> stamp of what was reported as begun and not yet as over."""
        messages = [message for message, _ in self._queued()]
        over = {(m.key, m.stamp) for m in messages if m.kind == "recovered"}
        return {m.key: m.stamp for m in messages if m.kind == "opened" and (m.key, m.stamp) not in over}

    def has_channel(self) -> bool:
        """Return whether any channel is set up."""
        return bool(self._set_up())

    def waiting(self, channel: str) -> list[Message]:
        """Return the messages for ``channel`` that are not delivered there yet, oldest first."""
        done = {r["message_id"] for r in self._records(channel) if r["what"] == "delivered"}
        return [message for message, names in self._queued() if channel in names and message.id not in done]

    def deliver(self, *, now: dt.datetime) -> str:
        """Send what waits, channel by channel. Returns one sentence per channel on how it went.

        No channel waits for another one: what one raises is raised when all have been served.
        """
        outcomes, errors, set_up = {}, [], self._set_up()
        unsent = [message for message, names in self._queued() if not names]
        if unsent and not set_up:
            lacking = ", or ".join(" and ".join(channel.missing()) for channel in self._channels.values())
            return f"{len(unsent)} messages wait: {lacking} not set."
        if unsent:
            assigned = {"what": "for", "channels": set_up}
            self._journal.append([assigned | {"id": f"for.{m.id}", "of": m.id} for m in unsent])
        for name, channel in self._channels.items():
            if name not in set_up and not self.waiting(name):
                continue
            try:
                outcomes[name] = self._deliver(channel, now=now.timestamp())
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        if not outcomes:
            return "No message waits."
        return " ".join(f"{name}: {text}" if len(outcomes) > 1 else text for name, text in outcomes.items())

    def _deliver(self, channel: Channel, *, now: float) -> str:
        """Send what waits on one channel, in order, up to the first message that can't be sent now."""
        waiting, sent = self.waiting(channel.name), 0
        if not waiting:
            return "No message waits."
        if missing := channel.missing():
            return f"{len(waiting)} messages wait: {' and '.join(missing)} not set."
        for message in waiting:
            if trouble := self._send(message, channel, now=now):
                return f"{sent} messages sent, {len(waiting) - sent} wait: {trouble}."
            sent += 1
        return f"{sent} messages sent."

    def _send(self, message: Message, channel: Channel, *, now: float) -> str | None:
        """Send one message; return None once it is delivered, else why it is not."""
        records = [r for r in self._records(channel.name) if r["message_id"] == message.id]
        attempts = [r for r in records if r["what"] == "trying"]
        failed = {r["number"]: r for r in records if r["what"] == "failed"}
        last = failed.get(len(attempts))
        # A clock since set back leaves an attempt in the future: its waiting time does not count.
        if last is not None and last["at"] <= now < last["not_before"]:
            return f"{last['why']}; next attempt in {last['not_before'] - now:.0f} s"
        unsure = [r for r in attempts if not failed.get(r["number"], {"certain": False})["certain"]]
        number = len(attempts) + 1
        try:
            if unsure and channel.was_posted(message, since=_search_from(unsure[0]["at"], now=now)):
                self._note(message, channel, "delivered", number, at=now)
                return None
        except NotDelivered as error:
            # The attempt that is searched for is still the last one: only the wait is new.
            self._note(message, channel, "trying", number, at=now)
            return self._failed(message, channel, number, error, certain=True, now=now)
        self._note(message, channel, "trying", number, at=now)
        try:
            channel.post(message)
        except NotDelivered as error:
            return self._failed(message, channel, number, error, certain=error.certain, now=now)
        self._note(message, channel, "delivered", number, at=now)
        log.info("alert sent to %s: %s", channel.name, message.id)
        return None

    def _failed(
        self, message: Message, channel: Channel, number: int, error: NotDelivered, *, certain: bool, now: float
    ) -> str:
        backoff = min(FIRST_WAIT_SECONDS * 2 ** min(number - 1, 10), LONGEST_WAIT_SECONDS)
        wait = backoff if error.retry_after_seconds is None else error.retry_after_seconds
        self._note(message, channel, "failed", number, at=now, certain=certain, why=str(error), not_before=now + wait)
        log.warning("alert %s not sent to %s: %s; next attempt in %.0f s", message.id, channel.name, error, wait)
        return str(error)

    def _note(self, message: Message, channel: Channel, what: str, number: int, **more: Any) -> None:
        record = {"id": f"{what}.{channel.name}.{message.id}.{number}", "what": what, "number": number}
        self._journal.append([record | {"message_id": message.id, "channel": channel.name} | more])

    def _records(self, channel: str) -> list[dict[str, Any]]:
        """Return what was recorded of all attempts on a channel."""
        return [r for r in self._journal.read() if "message_id" in r and r.get("channel", FIRST_CHANNEL) == channel]

    def _queued(self) -> list[tuple[Message, list[str]]]:
        """Return each queued message and the channels that it goes to."""
        records = self._journal.read()
        queued = [r for r in records if r["what"] == "queued"]
        queued.sort(key=lambda r: (r["at"], r["order"]))  # an object store lists by id
        made = [parse(**r["message"]) if "text" in r["message"] else Message(**r["message"]) for r in queued]
        later = {r["of"]: r["channels"] for r in records if r["what"] == "for"}
        names = (r.get("channels", [FIRST_CHANNEL]) or later.get(m.id, []) for r, m in zip(queued, made, strict=True))
        return list(zip(made, names, strict=True))

    def _set_up(self) -> list[str]:
        return [name for name, channel in self._channels.items() if not channel.missing()]


def _of_panel(message: Message, panel: str) -> Message:
    """Return the message with the panel in its title and in the link to an asset."""
    if not panel:
        return message
    link = message.link.replace("/assets/", f"/assets/{panel}/", 1)
    return replace(message, title=f"{panel}: {message.title}", link=link)


def _search_from(attempt: float, *, now: float) -> float:
    """Return since when to search the history for an attempt; all of it where the clock was set back since."""
    return attempt - CLOCKS_DIFFER_SECONDS if attempt <= now else 0.0
