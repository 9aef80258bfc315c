"""Facts of other services that allow or forbid to open a person's data, as their services store them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from gateway.sandbox.people import Citizen
from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.deciding.codec import to_timestamp
from services.chassis.store.port import ANY, EventStore, NewEvent

PROCEDURE = "1.004222"


def particulars(person: Citizen) -> dict[str, Any]:
    """As a request states them to the population database."""
    return {
        "personal_number": person.personal_number,
        "full_name": person.full_name,
        "birth_date": person.birth_date.isoformat(),
    }


async def tell(store: EventStore, stream: str, *events: Message) -> None:
    metadata = json.dumps({"request_id": str(uuid4()), "actor": "service:test"}).encode()
    new = [NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), metadata) for event in events]
    await store.append(stream, new, ANY)


def _now(at: datetime | None) -> datetime:
    return at or datetime.now(UTC)


async def open_agencies(store: EventStore, *codes: str) -> None:
    """Of the province that each code names, or of the nation."""
    for code in codes:
        agency = definitions.Agency(code=code, valid_from="2020-01-01", level=definitions.LEVEL_PROVINCE)
        agency.province = code[1:3] if code.startswith("P") else ""
        agency.name.vi = agency.name.en = code
        agency.kind = definitions.AGENCY_KIND_PEOPLES_COMMITTEE
        await tell(store, f"agency-{code}", catalogue.AgencyOpened(agency=agency))


async def register(store: EventStore, account_id: str, *, organisation: bool = False) -> None:
    kind = identity.ACCOUNT_KIND_ORGANISATION if organisation else identity.ACCOUNT_KIND_CITIZEN
    at = to_timestamp(_now(None))
    event = identity.AccountRegistered(account_id=account_id, at=at, by=account_id, kind=kind, level_of_assurance=2)
    await tell(store, f"account-{account_id}", event)


async def look_up(store: EventStore, account_id: str, agency: str, *, found: bool = True) -> None:
    """The agency asked the population database for the person who stood at its counter."""
    outcome = identity.LOOKUP_OUTCOME_FOUND if found else identity.LOOKUP_OUTCOME_NO_MATCH
    event = identity.PopulationLookedUp(
        account_id=account_id,
        at=to_timestamp(_now(None)),
        by="receptionist",
        agency=agency,
        purpose="walk-in",
        outcome=outcome,
    )
    await tell(store, f"account-{account_id}", event)


async def decide(
    store: EventStore, account_id: str, outcome: identity.ErasureOutcome.ValueType, *, asked: bool = True
) -> None:
    """The person asked for an erasure, and it was decided so."""
    at = to_timestamp(_now(None))
    events: list[Message] = [identity.ErasureRequested(account_id=account_id, at=at, by=account_id)] if asked else []
    events.append(identity.ErasureDecided(account_id=account_id, at=at, by="administrator", outcome=outcome))
    await tell(store, f"account-{account_id}", *events)


async def submit(
    store: EventStore,
    code: str,
    applicant_id: str,
    agency: str,
    *,
    procedure: str = PROCEDURE,
    online: bool = False,
    by: str = "",
) -> None:
    """A dossier without form and files, at one agency."""
    event = dossier.DossierSubmitted(
        code=code,
        applicant_id=applicant_id,
        at=to_timestamp(_now(None)),
        by=by or applicant_id,
        procedure_code=procedure,
        procedure_version=1,
        channel=dossier.CHANNEL_ONLINE if online else dossier.CHANNEL_COUNTER,
        applicant_kind=dossier.APPLICANT_KIND_CITIZEN,
        place_of_submission="online" if online else agency,
        reception_agency=agency,
        competent_agency=agency,
        province=agency[1:3],
        delivery_method=dossier.DELIVERY_METHOD_COUNTER,
    )
    await tell(store, f"dossier-{code}", event)


async def end(store: EventStore, code: str, applicant_id: str, at: datetime) -> None:
    """Its result is returned."""
    returned = dossier.ResultReturned(code=code, applicant_id=applicant_id, at=to_timestamp(at), by="official")
    await tell(store, f"dossier-{code}", returned)


async def scope(
    store: EventStore, client_id: str, purposes: Sequence[str], agencies: Sequence[str], procedures: Sequence[str] = ()
) -> None:
    """Without agencies: as registrations were before there were scopes. Without procedures: for all."""
    scopes = [
        identity.PurposeScope(purpose=one, agencies=agencies, procedures=procedures, all_procedures=not procedures)
        for one in purposes
        if agencies
    ]
    event = identity.SystemRegistered(
        client_id=client_id, at=to_timestamp(_now(None)), by="admin", name=client_id, purposes=purposes, scopes=scopes
    )
    await tell(store, f"system-{client_id}", event)
