"""Asking the population database: lawful first, recorded always."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.caller import Caller
from services.chassis.decider import Rejected
from services.identity.domain import RecordLookup, require_lawful
from services.identity.population import Answer, Lookup, Population, PopulationUnavailable, verified_data


async def look_up(
    request: pb.LookUpPersonRequest, caller: Caller, population: Population, now: datetime
) -> tuple[Answer, Callable[[str], RecordLookup]]:
    """The answer, and the command that records it on the person's account.

    Raises Rejected FIELD_MISSING, IDENTIFIER_MALFORMED, UNAVAILABLE; PopulationRefused.
    """
    require_lawful(request.personal_number, request.purpose, request.legal_basis)
    lookup = Lookup(request.personal_number, request.full_name, request.purpose, request.legal_basis, caller.actor)
    try:
        answer = await population.look_up(lookup)
    except PopulationUnavailable:
        raise Rejected("UNAVAILABLE", system="population database") from None

    def record(account_id: str) -> RecordLookup:
        return RecordLookup(
            account_id,
            now,
            caller.actor,
            caller.agency,
            request.purpose,
            request.legal_basis,
            answer.outcome,
            request.personal_number,
            request.dossier_code,
            verified_data(answer.person, now) if answer.person else (),
        )

    return answer, record
