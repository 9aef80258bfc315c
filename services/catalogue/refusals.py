"""Why catalogue refuses: a reason that its protos do not have does not type-check."""

from __future__ import annotations

from typing import Literal

from services.chassis.decider import Rejected

# The values of CatalogueError, and of CommonError those that its own rules give.
Reason = Literal[
    "AGENCY_CLOSED",
    "AGENCY_CODE_INVALID",
    "AGENCY_ELSEWHERE",
    "AGENCY_EXISTS",
    "AGENCY_PLACE_MISSING",
    "AGENCY_UNCHANGED",
    "AGENCY_UNKNOWN",
    "AMOUNT_INVALID",
    "CALENDAR_FAULTY",
    "CALENDAR_UNKNOWN",
    "CHANGES_THE_PAST",
    "CHANNEL_NOT_OFFERED",
    "CHARGE_UNKNOWN",
    "CIRCUMSTANCE_UNKNOWN",
    "COMMUNE_UNKNOWN",
    "COUNT_MISSING",
    "DATE_INVALID",
    "EXEMPTION_UNKNOWN",
    "FEE_NOT_SET",
    "FORM_INVALID",
    "FORM_UNCHECKABLE",
    "IN_FORCE_ALREADY",
    "LEGAL_BASIS_MISSING",
    "OVERLAY_UNKNOWN",
    "PARENT_ELSEWHERE",
    "PROCEDURE_FAULTY",
    "PROCEDURE_NOT_IN_FORCE",
    "PROCEDURE_UNKNOWN",
    "PROCEDURE_WITHDRAWN",
    "PROVINCE_MERGED",
    "PROVINCE_UNKNOWN",
    "REASON_REQUIRED",
    "REPAIR_CHANGES_MORE",
    "REPAIR_CHANGES_NOTHING",
    "REPAIR_NEEDS_ANOTHER",
    "REPAIR_UNKNOWN",
    "SUCCESSOR_ELSEWHERE",
    "SUCCESSOR_IS_ITSELF",
    "SUCCESSOR_UNKNOWN",
    "TERM_NOT_LISTED",
    "TERRITORY_FAULTY",
    "VALIDITY_BACKWARDS",
    "VALIDITY_OVERLAPS",
    "VERSION_IS_FOLLOWED",
    "VERSION_NOT_NEXT",
    "VERSION_UNKNOWN",
]


class Refused(Rejected):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason, **facts)
