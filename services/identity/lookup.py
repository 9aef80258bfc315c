"""Asking the population database: lawful first, recorded always.

It answers as Thông tư 136/2026/TT-BCA has it: match, no match, no data, or not enough basis. All four are replies: none of them is
a fault of the request.
"""

from __future__ import annotations

from collections.abc import Callable

from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.deciding.handler import Outcome
from services.chassis.following.views import position_token
from services.chassis.grounds.uses import Purpose, purposes
from services.identity.accounts.commands import RecordLookup
from services.identity.accounts.domain import require_birth_date, require_lawful
from services.identity.accounts.events import AccountEvent, PopulationLookedUp
from services.identity.accounts.values import LookupOutcome, PersonField
from services.identity.counterparts import LOOKUP_GAP, PERSON_FIELD
from services.identity.population import Answer, Lookup, Person, Population, PopulationUnavailable, verified_data
from services.identity.reading import member, person_of
from services.identity.refusals import Refused
from services.law.days import local_day

ANSWERS = {
    LookupOutcome.FOUND: identity_pb2.LOOKUP_ANSWER_MATCH,
    LookupOutcome.NOT_FOUND: identity_pb2.LOOKUP_ANSWER_NO_DATA,
    LookupOutcome.NAME_MISMATCH: identity_pb2.LOOKUP_ANSWER_NO_MATCH,
    LookupOutcome.NO_MATCH: identity_pb2.LOOKUP_ANSWER_NO_MATCH,
    LookupOutcome.NOT_ENOUGH_BASIS: identity_pb2.LOOKUP_ANSWER_NOT_ENOUGH_BASIS,
}


def basis_of(purpose: Purpose, stated: str) -> str:
    """One of those that the purpose is registered with. Raises Rejected LEGAL_BASIS_UNKNOWN."""
    registered = (purpose.legal_basis, *purpose.other_bases)
    if stated and stated not in registered:
        raise Refused("LEGAL_BASIS_UNKNOWN", why=f"{purpose.code}: {'; '.join(registered)}")
    return stated or purpose.legal_basis


async def look_up(
    call: Call[pb.LookUpPersonRequest], population: Population
) -> tuple[Answer, Callable[[str], RecordLookup]]:
    """The answer, and the command that records it on the person's account.

    Raises Rejected IDENTIFIER_MALFORMED, BIRTH_DATE_INVALID, LEGAL_BASIS_UNKNOWN, UNAVAILABLE; RequestInvalid; PopulationRefused.
    """
    request, caller, stated, now = call.request, call.caller, call.stated, call.now
    wanted = tuple(dict.fromkeys(member(PersonField, PERSON_FIELD.stored(field), "wanted") for field in request.wanted))
    require_birth_date(request.birth_date, local_day(now))
    legal_basis = basis_of(purposes()[stated.purpose], request.legal_basis)
    require_lawful(request.personal_number, stated.purpose, legal_basis)
    lookup = Lookup(
        request.personal_number,
        request.full_name,
        request.birth_date,
        wanted,
        stated.purpose,
        legal_basis,
        caller.actor,
        caller.agency,
    )
    try:
        answer = await population.look_up(lookup)
    except PopulationUnavailable:
        raise Refused("UNAVAILABLE", system="population database") from None

    def record(account_id: str) -> RecordLookup:
        return RecordLookup(
            account_id=account_id,
            at=now,
            by=caller.actor,
            agency=caller.agency,
            purpose=stated.purpose,
            legal_basis=legal_basis,
            outcome=answer.outcome,
            personal_number=request.personal_number,
            dossier_code=stated.dossier,
            verified=verified_data(answer.person, now) if answer.person else (),
            wanted=wanted,
            gap=answer.gap,
            full_name=answer.person.full_name if answer.person else "",
        )

    return answer, record


def told(outcome: Outcome[AccountEvent], account_id: str, person: Person | None) -> pb.LookUpPersonResponse:
    """What was recorded is the answer, also where the database would say something else by now.

    Without a match nothing leads from the number to an account: neither its id nor how long its history is.
    """
    recorded = outcome.one(PopulationLookedUp)
    answer, position = ANSWERS[recorded.outcome], position_token(outcome.position)
    if recorded.outcome is not LookupOutcome.FOUND:
        gap = LOOKUP_GAP.shown(recorded.gap.value)
        return pb.LookUpPersonResponse(answer=answer, gap=gap, position=position)
    return pb.LookUpPersonResponse(
        answer=answer,
        account_id=account_id,
        person=person_of(person) if person else None,
        revision=outcome.revision,
        position=position,
    )
