"""How a message is called, and how long sending it is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid5

_MESSAGES = UUID("a8e3b1f6-5d0c-4f0e-9a52-0b7a3e6c41d9")


def message_id(fact_id: str, account_id: str) -> str:
    """One per fact and recipient, whoever computes it."""
    return str(uuid5(_MESSAGES, f"{fact_id}/{account_id}"))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a random wait below the cap's or the doubled base's, whichever is less."""

    attempts: int = 8
    base: timedelta = timedelta(seconds=30)
    cap: timedelta = timedelta(hours=6)

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """`jitter` is drawn evenly from [0, 1)."""
        doubled = self.base * float(2 ** min(attempt - 1, 32))
        return min(self.cap, doubled) * jitter
