"""Why identity refuses: a reason that its protos do not have does not type-check."""

from __future__ import annotations

from typing import Literal

from services.chassis.decider import Rejected

# The values of IdentityError, and of CommonError those that its own rules give.
Reason = Literal[
    "ACCOUNT_ERASED",
    "ACCOUNT_RESTRICTED",
    "ACCOUNT_UNKNOWN",
    "ADMINISTRATOR_EXISTS",
    "ADMINISTRATOR_IN_FORCE",
    "AGENCY_UNKNOWN",
    "APPOINTMENT_EXISTS",
    "APPOINTMENT_NOT_STARTED",
    "APPOINTMENT_OVER",
    "APPOINTMENT_UNKNOWN",
    "BEYOND_REACH",
    "BIRTH_DATE_INVALID",
    "CITIZEN_REQUIRED",
    "CLIENT_ID_MALFORMED",
    "ERASURE_NOT_REQUESTED",
    "ERASURE_PENDING",
    "FIELD_MISSING",
    "IDENTIFIER_MALFORMED",
    "KEY_NOT_ACCEPTED",
    "KEY_REUSED",
    "LANGUAGE_MISSING",
    "LEGAL_BASIS_UNKNOWN",
    "LEVEL_OF_ASSURANCE_UNKNOWN",
    "OFFICIAL_IN_OFFICE",
    "OVERLAP_TOO_LONG",
    "OWN_AFFAIR",
    "PROCEDURE_UNKNOWN",
    "PROVINCE_MALFORMED",
    "PROVINCE_MISMATCH",
    "PURPOSES_MISSING",
    "PURPOSE_MALFORMED",
    "PURPOSE_UNKNOWN",
    "ROLES_MISSING",
    "ROLE_NOT_APPOINTABLE",
    "ROTATION_PENDING",
    "SCOPE_MALFORMED",
    "SELF_APPOINTMENT",
    "SITE_AUTHORITY_REQUIRED",
    "SYSTEM_EXISTS",
    "SYSTEM_IS_SUSPENDED",
    "SYSTEM_NOT_SUSPENDED",
    "SYSTEM_UNKNOWN",
    "TERM_INVERTED",
    "TERM_OVER",
    "TOO_MANY_WALK_INS",
    "UNAVAILABLE",
    "VERIFICATION_EXPIRED",
]


class Refused(Rejected):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason, **facts)
