"""What a letter needs beside its fact, learnt from the facts of dossiers, accounts and the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, delete, insert, select, update

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.facts import Fact, message_class
from services.chassis.law.called import called, drop, put
from services.chassis.privacy import UNREADABLE, KeyRing, open_message
from services.chassis.views import Projection

metadata = MetaData()
dossiers = Table(
    "dossiers_v1",
    metadata,
    Column("code", String, primary_key=True),
    Column("event_id", String, nullable=False),
    # The submission without its form and attachments: name and address stay sealed.
    Column("submitted", LargeBinary, nullable=False),
    Column("procedure_version", Integer, nullable=False),
    # Who writes to the applicant now.
    Column("agency", String, nullable=False),
)
contacts = Table(
    "contacts_v1",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("event_id", String, nullable=False),
    Column("event_type", String, nullable=False),
    # The newest contact data: the address stays sealed.
    Column("event", LargeBinary, nullable=False),
)
procedures = Table(
    "procedures_v1",
    metadata,
    Column("code", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    # Names only.
    Column("procedure", LargeBinary, nullable=False),
)
agencies = Table(
    "agencies_v1",
    metadata,
    Column("code", String, primary_key=True),
    Column("vi", String, nullable=False),
    Column("en", String, nullable=False),
)

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
known = Projection("known_v1", metadata)


@known.on(dossier.DossierSubmitted)
def submitted(db: Connection, fact: Fact[dossier.DossierSubmitted]) -> None:
    event = fact.event
    kept = dossier.DossierSubmitted(
        code=event.code,
        applicant_id=event.applicant_id,
        applicant_kind=event.applicant_kind,
        applicant_name=event.applicant_name,
        email=event.email,
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
    _set(db, fact.event.code, procedure_version=fact.event.procedure_version)


@known.on(dossier.ProcessingStarted)
def processing_started(db: Connection, fact: Fact[dossier.ProcessingStarted]) -> None:
    _set(db, fact.event.code, agency=fact.event.agency)


@known.on(dossier.DossierTransferred)
def transferred(db: Connection, fact: Fact[dossier.DossierTransferred]) -> None:
    _set(db, fact.event.code, agency=fact.event.to_agency)


@known.on(identity.AccountRegistered)
def account_registered(db: Connection, fact: Fact[identity.AccountRegistered]) -> None:
    kept = identity.AccountRegistered(account_id=fact.event.account_id, email=fact.event.email)
    _keep_contact(db, fact, kept)


@known.on(identity.ProfileChanged)
def profile_changed(db: Connection, fact: Fact[identity.ProfileChanged]) -> None:
    event = fact.event
    kept = identity.ProfileChanged(account_id=event.account_id, email=event.email, language=event.language)
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
class KnownDossier:
    submitted: Stored
    procedure: definitions.Procedure
    agency: definitions.Text


def dossier_of(db: Connection, code: str, agency: str) -> KnownDossier | None:
    """`agency` is the one that the fact names; empty: the one that has the dossier. What has no name goes by its code."""
    row = db.execute(select(dossiers).where(dossiers.c.code == code)).one_or_none()
    if row is None:
        return None
    event = dossier.DossierSubmitted.FromString(row.submitted)
    version = (procedures.c.code == event.procedure_code) & (procedures.c.version == row.procedure_version)
    named = db.execute(select(procedures.c.procedure).where(version)).scalar()
    procedure = definitions.Procedure.FromString(named or b"")
    if named is None:
        procedure.name.vi = event.procedure_code
    writer = called(db, agencies, agency or row.agency, datetime.now(ZONE).date().isoformat())
    name = definitions.Text(vi=writer.vi, en=writer.en) if writer else definitions.Text(vi=agency or row.agency)
    return KnownDossier(Stored(event, UUID(row.event_id)), procedure, name)


def contact_of(db: Connection, account_id: str) -> Stored | None:
    row = db.execute(select(contacts).where(contacts.c.account_id == account_id)).one_or_none()
    return Stored(message_class(row.event_type).FromString(row.event), UUID(row.event_id)) if row else None
