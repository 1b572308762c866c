"""The table of alert channels; a new one is its module and a line here."""

from collections.abc import Callable

from forecast_assets.resources.channels.channel import Channel
from forecast_assets.resources.channels.mail import AlertMail
from forecast_assets.resources.channels.slack import AlertSlack
from forecast_assets.resources.channels.webhook import AlertWebhook

CHANNELS: tuple[Callable[[], Channel], ...] = (AlertSlack, AlertMail, AlertWebhook)
"""A channel reads its environment when it is used."""


def open_channels() -> list[Channel]:
    """Open every channel of the table, also those that are not set up."""
    return [channel() for channel in CHANNELS]
