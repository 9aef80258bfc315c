"""What every channel is to the outbox: it takes a message, or says whether trying again can help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from services.notification.settings import ChannelSettings
from services.notification.values import Channel, MessageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A message on its way by one channel."""

    message_id: str
    at: datetime
    recipient: str
    # BCP 47
    language: str
    subject: str
    # At most so many characters as the carrier takes.
    text: str
    # Empty, unless the carrier wants it.
    html: str = ""
    kind: MessageKind = MessageKind.PROGRESS
    # The dossier, and its status page.
    code: str = ""
    url: str = ""


class SendError(Exception):
    """`why` holds codes only: what a server says in words may hold the address."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class TransientError(SendError):
    """The same may be accepted later."""


class PermanentError(SendError):
    """It will not be accepted, however often it is tried."""


class CarrierUnreachable(Exception):
    """What a carrier's system said to who asked whether it is there; for operators, not for the log."""


class Sender(Protocol):
    async def send(self, dispatch: Dispatch) -> None:
        """Returns once it was accepted; raises SendError otherwise. The same `message_id` sent again is one message."""

    async def probe(self, seconds: float) -> str:
        """What answers, in words for operators. Sends nothing; raises CarrierUnreachable."""


class AddressKind(Enum):
    """What a person is reached by: the field of dossiers and accounts that has it."""

    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A channel that leaves the house: all that is sent, measured, asked, let out and told to operators follows from it."""

    channel: Channel
    # As operators call it.
    name: str
    # Of the work that sends: send_<work>.
    work: str
    # The setting without which it is off.
    switch: str
    # Settings that are secrets; the chart's Secret has them under the same names, with dashes.
    secrets: tuple[str, ...] = ()
    # Its key in the chart's values.
    chart: str
    address: AddressKind
    # Characters of a message's text that it takes; 0: as many as there are.
    most: int = 0
    html: bool = False
    # Raises ValueError or OSError for settings that are not usable.
    open: Callable[[ChannelSettings], Sender]
    # What leaves: the call, and where it goes.
    leaves: Mapping[str, str]
    # What an operator looks at when it does not answer.
    check: str

    def sender(self, settings: ChannelSettings) -> Sender | None:
        """None: it is switched off."""
        return self.open(settings) if getattr(settings, self.switch) else None
