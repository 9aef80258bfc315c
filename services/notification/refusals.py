"""Why notification refuses: a reason that its protos do not have does not type-check."""

from __future__ import annotations

from typing import Literal

from services.chassis.decider import Rejected

# The values of NotificationError, and of CommonError those that its own rules give.
Reason = Literal[
    "ABANDONED",
    "ALREADY_COMPOSED",
    "ALREADY_READ",
    "ALREADY_SENT",
    "CHANNEL_MISSING",
    "CHANNEL_NOT_CHOSEN",
    "CHANNEL_REPEATED",
    "INBOX_REQUIRED",
    "KIND_MISSING",
    "KIND_REPEATED",
    "LANGUAGE_MISSING",
    "NOT_ABANDONED",
    "NOT_FOUND",
    "NOT_OWN_PREFERENCES",
]


class Refused(Rejected):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason, **facts)
