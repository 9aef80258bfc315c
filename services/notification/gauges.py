"""Gauges of messages that wait."""

from __future__ import annotations

from collections.abc import Iterator

from services.chassis.telemetry.gauges import Observed, Sample
from services.notification.values import Channel

EMAILS_WAITING = Observed("motcua_emails_waiting", "E-mails to be sent, also those that are tried again later")
EMAILS_OLDEST = Observed("motcua_emails_oldest_seconds", "Age of the oldest e-mail that waits, 0 when there is none")
WAITING = Observed(
    "motcua_messages_waiting", "Messages to be sent by a channel, also those that are tried again later", ["channel"]
)
OLDEST = Observed(
    "motcua_messages_oldest_seconds",
    "Age of the oldest message that waits for a channel, 0 when there is none",
    ["channel"],
)


def waiting(channel: Channel, count: int, oldest_seconds: float) -> Iterator[Sample]:
    yield from (WAITING.at(count, channel.name), OLDEST.at(oldest_seconds, channel.name))
    if channel is Channel.EMAIL:
        yield from (EMAILS_WAITING.at(count), EMAILS_OLDEST.at(oldest_seconds))
