"""Whom a dossier concerns: one rule for officials and systems, in every service that opens personal data.

An official: of an agency that the dossier names, within the own territory, and not in an own affair. A system: for a purpose that
is registered for one of these agencies and for the dossier's procedure. What other services know of a dossier they fold from its
stream when they are asked, so that a dossier of this moment counts at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller, Scope
from services.chassis.deciding.facts import message_of
from services.chassis.store.port import EventStore, RecordedEvent

ONLINE = "online"
_PROVINCE = re.compile(r"P(\d{2})(?:\.|$)", re.ASCII)


class Named(Protocol):
    """What the rule reads of a dossier."""

    @property
    def applicant_id(self) -> str: ...
    @property
    def procedure_code(self) -> str: ...
    @property
    def place_of_submission(self) -> str: ...
    @property
    def reception_agency(self) -> str: ...
    @property
    def competent_agency(self) -> str: ...
    @property
    def holder(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Concern:
    """A dossier as other services know it. `ended_at`: it was not received, stopped, or its result was returned."""

    code: str
    applicant_id: str
    procedure_code: str
    place_of_submission: str
    reception_agency: str
    competent_agency: str
    holder: str
    submitted_by: str = ""
    of_citizen: bool = True
    ended_at: datetime | None = None

    @property
    def agencies(self) -> frozenset[str]:
        return frozenset({self.place_of_submission, self.reception_agency, self.competent_agency, self.holder})


def office(caller: Caller) -> str:
    """The agency that an official acts for; empty for who is none, and for an agency outside of the official's territory."""
    if caller.kind != "official" or caller.agency == ONLINE:
        return ""
    home = _PROVINCE.match(caller.agency)
    return caller.agency if not caller.province or home is None or home[1] == caller.province else ""


def may_know(caller: Caller, dossier: Named) -> bool:
    """Of an official or a system."""
    if caller.kind == "system":
        return any(covers(scope, caller.purpose, dossier) for scope in caller.scopes)
    named = (dossier.place_of_submission, dossier.reception_agency, dossier.competent_agency, dossier.holder)
    return bool(own := office(caller)) and own in named


def covers(scope: Scope, purpose: str, dossier: Named) -> bool:
    named = (dossier.reception_agency, dossier.competent_agency, dossier.holder)
    return (
        scope.purpose == purpose and scope.has_procedure(dossier.procedure_code) and any(map(scope.has_agency, named))
    )


def require_scope(caller: Caller, procedure_code: str, agencies: Iterable[str]) -> None:
    """Of a system that wants to begin something there, or that acts for a person who does. Raises Rejected SCOPE_MISSING."""
    wanted = tuple(agencies)
    for scope in caller.scopes:
        if (
            scope.purpose == caller.purpose
            and scope.has_procedure(procedure_code)
            and any(map(scope.has_agency, wanted))
        ):
            return
    raise Rejected("SCOPE_MISSING", system=caller.act or caller.account_id, purpose=caller.purpose)


async def vouched(store: EventStore, caller: Caller, dossier: Concern) -> bool:
    """Whether the dossier is more than what the caller's side said of somebody: whoever wants a ground could submit one.

    The applicant submitted it; or another system than the one that asks; or one of its agencies, for which the population database
    knew the citizen by number and name.
    """
    if dossier.submitted_by == dossier.applicant_id:
        return True
    if caller.kind == "system":
        return dossier.submitted_by != caller.actor
    if not dossier.of_citizen or dossier.submitted_by.startswith("system:"):
        return True
    history = await store.read(f"account-{dossier.applicant_id}")
    return any(
        isinstance(event, identity.PopulationLookedUp)
        and event.outcome == identity.LOOKUP_OUTCOME_FOUND
        and event.agency in dossier.agencies
        for event in map(message_of, history)
    )


async def kind_of_account(store: EventStore, account_id: str) -> int:
    """As the log has it now. A person whom the population database knows has an account before the first login; 0 for none."""
    kind = 0
    for event in map(message_of, await store.read(f"account-{account_id}")):
        match event:
            case identity.AccountRegistered():
                return event.kind
            case identity.PopulationLookedUp() if event.outcome == identity.LOOKUP_OUTCOME_FOUND:
                kind = identity.ACCOUNT_KIND_CITIZEN
    return kind


def own_affair(caller: Caller, account_id: str) -> bool:
    """Whether an official would act in the affair of the own account, or of an organisation that the person represents."""
    return caller.kind == "official" and account_id in mine(caller)


def mine(caller: Caller) -> frozenset[str]:
    return caller.represents | {caller.account_id}


def require_impartial(caller: Caller, account_id: str) -> None:
    """Raises Rejected OWN_AFFAIR."""
    if own_affair(caller, account_id):
        raise Rejected("OWN_AFFAIR")


async def concern_of(store: EventStore, code: str) -> Concern | None:
    """The dossier of exactly this code, as the log has it now."""
    return concern(await store.read(f"dossier-{code}"))


def concern(history: Sequence[RecordedEvent]) -> Concern | None:
    found: Concern | None = None
    for event in map(message_of, history):
        match event:
            case facts.DossierSubmitted():
                found = Concern(
                    event.code,
                    event.applicant_id,
                    event.procedure_code,
                    event.place_of_submission,
                    event.reception_agency,
                    event.competent_agency,
                    event.reception_agency,
                    event.by,
                    event.applicant_kind == facts.APPLICANT_KIND_CITIZEN,
                )
            case facts.DossierTransferred() if found:
                found = _transferred(found, event)
            case facts.DossierRefused() | facts.ProcessingStopped() | facts.ResultReturned() if found:
                found = replace(found, ended_at=event.at.ToDatetime(UTC))
    return found


def _transferred(dossier: Concern, event: facts.DossierTransferred) -> Concern:
    if not event.succession:
        return replace(dossier, competent_agency=event.to_agency, holder=event.to_agency)
    passed = {event.from_agency: event.to_agency}
    return replace(
        dossier,
        reception_agency=passed.get(dossier.reception_agency, dossier.reception_agency),
        competent_agency=passed.get(dossier.competent_agency, dossier.competent_agency),
        holder=passed.get(dossier.holder, dossier.holder),
    )
