"""The channels by which messages leave the house, each named here once; the inbox is kept here, and no carrier."""

from __future__ import annotations

from collections.abc import Mapping

from services.chassis.platform.parts import Parts
from services.notification.channels import email
from services.notification.channels.port import Carrier, Sender
from services.notification.settings import ChannelSettings
from services.notification.values import Channel

CARRIERS: Mapping[Channel, Carrier] = {carrier.channel: carrier for carrier in (email.CARRIER,)}


def senders_of(parts: Parts) -> Mapping[Channel, Sender]:
    """Of those that are switched on."""
    settings = ChannelSettings.of(parts.platform.settings)
    opened = {channel: carrier.sender(settings) for channel, carrier in CARRIERS.items()}
    return {channel: sender for channel, sender in opened.items() if sender}
