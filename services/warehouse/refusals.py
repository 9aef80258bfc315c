"""Why warehouse refuses: a reason that its protos do not have does not type-check."""

from __future__ import annotations

from typing import Literal

from services.chassis.decider import Rejected

# The values of WarehouseError, and of CommonError those that its own rules give.
Reason = Literal[
    "ACCOUNT_RESTRICTED",
    "ALREADY_KEPT",
    "ALREADY_REUSED",
    "CONSENT_MISSING",
    "CONTENT_MISSING",
    "CONTENT_NOT_ALLOWED",
    "ERASED",
    "EXPIRED",
    "INVALID_POSITION",
    "IS_THE_GUARDIAN",
    "NOT_FOUND",
    "NOT_HELD_FOR_ANOTHER",
    "NOT_IN_DOSSIER",
    "NOT_THE_ISSUER",
    "NOT_THE_SUBJECT",
    "NOT_YET_VALID",
    "NO_CONTENT",
    "PERIOD_INVALID",
    "PERSON_UNKNOWN",
    "POSITION_UNUSABLE",
    "PURPOSE_MISSING",
    "PURPOSE_UNSTATED",
    "REASON_MISSING",
    "REVOKED",
    "SOURCE_MISSING",
    "VALIDITY_INVERTED",
]


class Refused(Rejected):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason, **facts)
