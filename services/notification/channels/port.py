"""What every channel is to the outbox: it takes a message, or says whether trying again can help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A message on its way by one channel."""

    message_id: str
    at: datetime
    recipient: str
    # BCP 47
    language: str
    subject: str
    text: str
    html: str


class SendError(Exception):
    """`why` holds codes only: what a server says in words may hold the address."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class TransientError(SendError):
    """The same may be accepted later."""


class PermanentError(SendError):
    """It will not be accepted, however often it is tried."""


class Sender(Protocol):
    async def send(self, dispatch: Dispatch) -> None:
        """Returns once it was accepted; raises SendError otherwise."""
