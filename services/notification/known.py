"""What a letter needs beside its fact, learnt from the facts of dossiers, accounts and the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact, message_class
from services.chassis.following.agency_names import called, drop, put
from services.chassis.following.views import Projection
from services.chassis.privacy.sealing import UNREADABLE, KeyRing, open_message
from services.law.days import local_day

metadata = MetaData()
dossiers = Table(
    "told_dossiers_v3",
    metadata,
    Column("code", String, primary_key=True),
    Column("event_id", String, nullable=False),
    # The submission without its form and attachments: name and addresses stay sealed.
    Column("submitted", LargeBinary, nullable=False),
    Column("procedure_version", Integer, nullable=False),
    # Who writes to the applicant now.
    Column("agency", String, nullable=False),
    # Whom a notice names, and when they began.
    Column("receiver", String, nullable=False, default=""),
    Column("received_at", DateTime(timezone=True)),
    Column("handler", String, nullable=False, default=""),
    Column("handled_at", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("provisional", Boolean, nullable=False, default=False),
    Column("result_at", DateTime(timezone=True)),
)
persons = Table(
    "told_persons_v3",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("event_id", String, nullable=False),
    # The registration's name alone, as it was stored: sealed.
    Column("registered", LargeBinary, nullable=False),
)
contacts = Table(
    "told_contacts_v3",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("event_id", String, nullable=False),
    Column("event_type", String, nullable=False),
    # The newest contact data: the addresses stay sealed.
    Column("event", LargeBinary, nullable=False),
)
procedures = Table(
    "told_procedures_v3",
    metadata,
    Column("code", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    # Names only.
    Column("procedure", LargeBinary, nullable=False),
)
agencies = Table(
    "told_agencies_v3",
    metadata,
    Column("code", String, primary_key=True),
    Column("vi", String, nullable=False),
    Column("en", String, nullable=False),
)

known = Projection("known_v3", metadata)


@known.on(dossier.DossierSubmitted)
def submitted(db: Connection, fact: Fact[dossier.DossierSubmitted]) -> None:
    event = fact.event
    kept = dossier.DossierSubmitted(
        code=event.code,
        applicant_id=event.applicant_id,
        applicant_kind=event.applicant_kind,
        applicant_name=event.applicant_name,
        email=event.email,
        phone=event.phone,
        procedure_code=event.procedure_code,
        delivery_method=event.delivery_method,
    )
    db.execute(
        insert(dossiers).values(
            code=event.code,
            event_id=str(fact.event_id),
            submitted=kept.SerializeToString(),
            procedure_version=event.procedure_version,
            agency=event.reception_agency,
        )
    )


def _set(db: Connection, code: str, **values: Any) -> None:
    db.execute(update(dossiers).where(dossiers.c.code == code).values(**values))


@known.on(dossier.DossierReceived)
def received(db: Connection, fact: Fact[dossier.DossierReceived]) -> None:
    event = fact.event
    values = {"procedure_version": event.procedure_version, "received_at": from_timestamp(event.at), **_due(event)}
    # Whoever supplies what was asked for makes the reception valid, and is no official.
    if event.by != event.applicant_id:
        values["receiver"] = event.by
    _set(db, event.code, **values)


@known.on(dossier.SupplementRequested)
def supplement_requested(db: Connection, fact: Fact[dossier.SupplementRequested]) -> None:
    before = (dossiers.c.code == fact.event.code) & dossiers.c.received_at.is_(None)
    db.execute(update(dossiers).where(before).values(receiver=fact.event.by))


@known.on(
    dossier.SupplementSupplied,
    dossier.FeePaid,
    dossier.FeeCancelled,
    dossier.DeadlineExtended,
    dossier.DeadlineRecounted,
)
def due_moved(db: Connection, fact: Fact[Any]) -> None:
    if fact.event.HasField("due_at"):
        _set(db, fact.event.code, **_due(fact.event))


@known.on(dossier.StepAssigned)
def step_assigned(db: Connection, fact: Fact[dossier.StepAssigned]) -> None:
    _set(db, fact.event.code, handler=fact.event.assignee_id)


@known.on(dossier.ResultIssued)
def result_issued(db: Connection, fact: Fact[dossier.ResultIssued]) -> None:
    _set(db, fact.event.code, result_at=from_timestamp(fact.event.at))


def _due(event: Any) -> dict[str, Any]:
    if not event.HasField("due_at"):
        return {}
    return {"due_at": from_timestamp(event.due_at), "provisional": getattr(event, "provisional", False)}


@known.on(dossier.ProcessingStarted)
def processing_started(db: Connection, fact: Fact[dossier.ProcessingStarted]) -> None:
    _set(db, fact.event.code, agency=fact.event.agency, handled_at=from_timestamp(fact.event.at))


@known.on(dossier.DossierTransferred)
def transferred(db: Connection, fact: Fact[dossier.DossierTransferred]) -> None:
    event = fact.event
    gone = {} if event.succession else {"handler": ""}
    _set(db, event.code, agency=event.to_agency, **gone, **_due(event))


@known.on(identity.AccountRegistered)
def account_registered(db: Connection, fact: Fact[identity.AccountRegistered]) -> None:
    kept = identity.AccountRegistered(account_id=fact.event.account_id, email=fact.event.email, phone=fact.event.phone)
    _keep_contact(db, fact, kept)
    named = identity.AccountRegistered(account_id=fact.event.account_id, full_name=fact.event.full_name)
    row = {"event_id": str(fact.event_id), "registered": named.SerializeToString()}
    db.execute(delete(persons).where(persons.c.account_id == fact.event.account_id))
    db.execute(insert(persons).values(account_id=fact.event.account_id, **row))


@known.on(identity.ProfileChanged)
def profile_changed(db: Connection, fact: Fact[identity.ProfileChanged]) -> None:
    event = fact.event
    kept = identity.ProfileChanged(
        account_id=event.account_id, email=event.email, phone=event.phone, language=event.language
    )
    _keep_contact(db, fact, kept)


def _keep_contact(db: Connection, fact: Fact[Any], kept: Message) -> None:
    account_id = fact.event.account_id
    db.execute(delete(contacts).where(contacts.c.account_id == account_id))
    row = {"event_id": str(fact.event_id), "event_type": fact.event_type, "event": kept.SerializeToString()}
    db.execute(insert(contacts).values(account_id=account_id, **row))


@known.on(catalogue.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[catalogue.ProcedurePublished]) -> None:
    p = fact.event.procedure
    kept = definitions.Procedure(
        name=p.name, components=[definitions.Component(code=each.code, name=each.name) for each in p.components]
    )
    db.execute(delete(procedures).where(procedures.c.code == p.code, procedures.c.version == p.version))
    db.execute(insert(procedures).values(code=p.code, version=p.version, procedure=kept.SerializeToString()))


@known.on(catalogue.AgencyOpened)
def agency_opened(db: Connection, fact: Fact[catalogue.AgencyOpened]) -> None:
    put(db, agencies, fact.event.agency)


@known.on(catalogue.AgencyChanged)
def agency_changed(db: Connection, fact: Fact[catalogue.AgencyChanged]) -> None:
    put(db, agencies, fact.event.agency)


@known.on(catalogue.AgencyVersionWithdrawn)
def agency_version_withdrawn(db: Connection, fact: Fact[catalogue.AgencyVersionWithdrawn]) -> None:
    drop(db, agencies, fact.event.code, fact.event.version)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with sealed fields, as it was stored."""

    event: Any
    event_id: UUID

    async def opened(self, keys: KeyRing) -> dict[str, str]:
        """Clear text; what belongs to an erased person is missing."""
        clear = await open_message(self.event, self.event_id, keys)
        return {name: text for name, text in clear.items() if text not in UNREADABLE}


@dataclass(frozen=True, slots=True)
class Handling:
    """Who received and who handles it, and when; officials' names are sealed as anybody's."""

    receiver: Stored | None = None
    received_at: datetime | None = None
    handler: Stored | None = None
    handled_at: datetime | None = None
    due_at: datetime | None = None
    provisional: bool = False
    result_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownDossier:
    submitted: Stored
    procedure: definitions.Procedure
    agency: definitions.Text
    handling: Handling = Handling()


def dossier_of(db: Connection, code: str, agency: str, at: datetime) -> KnownDossier | None:
    """`agency` is the one that the fact names, empty: the one that has the dossier; it is called as on the day of `at`. What has no
    name goes by its code."""
    row = db.execute(select(dossiers).where(dossiers.c.code == code)).one_or_none()
    if row is None:
        return None
    event = dossier.DossierSubmitted.FromString(row.submitted)
    version = (procedures.c.code == event.procedure_code) & (procedures.c.version == row.procedure_version)
    named = db.execute(select(procedures.c.procedure).where(version)).scalar()
    procedure = definitions.Procedure.FromString(named or b"")
    if named is None:
        procedure.name.vi = event.procedure_code
    name = _agency_name(db, agency or row.agency, local_day(at))
    handling = Handling(
        _person(db, row.receiver),
        _utc(row.received_at),
        _person(db, row.handler),
        _utc(row.handled_at),
        _utc(row.due_at),
        row.provisional,
        _utc(row.result_at),
    )
    return KnownDossier(Stored(event, UUID(row.event_id)), procedure, name, handling)


def _agency_name(db: Connection, code: str, day: str) -> definitions.Text:
    """On that day; by its code where it has no name here."""
    found = called(db, agencies, code, day)
    return definitions.Text(vi=found.vi, en=found.en) if found else definitions.Text(vi=code)


def _person(db: Connection, account_id: str) -> Stored | None:
    row = db.execute(select(persons).where(persons.c.account_id == account_id)).one_or_none() if account_id else None
    return Stored(identity.AccountRegistered.FromString(row.registered), UUID(row.event_id)) if row else None


def _utc(at: datetime | None) -> datetime | None:
    return utc(at) if at else None


def contact_of(db: Connection, account_id: str) -> Stored | None:
    row = db.execute(select(contacts).where(contacts.c.account_id == account_id)).one_or_none()
    return Stored(message_class(row.event_type).FromString(row.event), UUID(row.event_id)) if row else None
