"""Asking the population database: lawful first, recorded always."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.caller import Caller
from services.chassis.decider import Rejected
from services.chassis.uses import Purpose, purposes
from services.identity.domain import RecordLookup, require_lawful
from services.identity.population import Answer, Lookup, Population, PopulationUnavailable, verified_data


def basis_of(purpose: Purpose, stated: str) -> str:
    """One of those that the purpose is registered with. Raises Rejected LEGAL_BASIS_UNKNOWN."""
    registered = (purpose.legal_basis, *purpose.other_bases)
    if stated and stated not in registered:
        raise Rejected("LEGAL_BASIS_UNKNOWN", why=f"{purpose.code}: {'; '.join(registered)}")
    return stated or purpose.legal_basis


async def look_up(
    request: pb.LookUpPersonRequest, caller: Caller, population: Population, now: datetime
) -> tuple[Answer, Callable[[str], RecordLookup]]:
    """The answer, and the command that records it on the person's account.

    Raises Rejected IDENTIFIER_MALFORMED, LEGAL_BASIS_UNKNOWN, UNAVAILABLE; PopulationRefused.
    """
    legal_basis = basis_of(purposes()[request.purpose], request.legal_basis)
    require_lawful(request.personal_number, request.purpose, legal_basis)
    lookup = Lookup(request.personal_number, request.full_name, request.purpose, legal_basis, caller.actor)
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
            legal_basis,
            answer.outcome,
            request.personal_number,
            request.dossier_code,
            verified_data(answer.person, now) if answer.person else (),
        )

    return answer, record
