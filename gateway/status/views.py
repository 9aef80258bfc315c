"""What the pages are read from: the public view of dossiers' events, and what of each dossier is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from gateway.status.fold import folded
from gateway.status.model import DossierPage
from motcua.catalogue.events.v1 import events_pb2 as catalogue_facts
from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.deciding.facts import Fact, message_class
from services.chassis.following.views import Projection
from services.chassis.privacy.public_view import is_public, public_view

metadata = MetaData()
events = Table(
    "public_events_v1",
    metadata,
    Column("code", String, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("type", String, nullable=False),
    # The event's public view.
    Column("event", LargeBinary, nullable=False),
)
dossiers = Table(
    "public_dossiers_v1",
    metadata,
    Column("code", String, primary_key=True),
    Column("province", String, nullable=False),
    Column("agency", String, nullable=False),
    Column("procedure_code", String, nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("open", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    # As the reports count it: with a result, or withdrawn.
    Column("settled", Boolean, nullable=False),
    Column("on_time", Boolean),
    # Of its last event.
    Column("position", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("public_dossiers_v1_by_board", "province", "agency", "procedure_code"),
    Index("public_dossiers_v1_by_position", "position"),
)
catalogue_metadata = MetaData()
definitions = Table(
    "public_definitions_v2",
    catalogue_metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    # The last day, ISO 8601; empty is none.
    Column("valid_until", String, nullable=False),
    Column("definition", LargeBinary, nullable=False),
)

pages = Projection("status_pages_v1", metadata)
catalogue = Projection("status_catalogue_v2", catalogue_metadata)


def events_of_dossiers() -> list[type[Message]]:
    """Those that say publicly which dossier they are about."""
    types = facts.DESCRIPTOR.message_types_by_name.values()
    stamped = [type_ for type_ in types if {"code", "at"} <= set(type_.fields_by_name)]
    return [message_class(type_.full_name) for type_ in stamped if is_public(type_.fields_by_name["code"])]


@pages.on(*events_of_dossiers())
def moved(db: Connection, fact: Fact[Any]) -> None:
    public = public_view(fact.event)
    code = public.code
    db.execute(
        insert(events).values(
            code=code,
            revision=fact.revision,
            type=fact.event_type,
            event=public.SerializeToString(deterministic=True),
        )
    )
    page = folded(after(db, code, -1))
    assert page
    row = counted(page) | {"position": fact.position, "recorded_at": fact.recorded_at}
    if fact.revision == 0:
        db.execute(insert(dossiers).values(code=code, **row))
    else:
        db.execute(update(dossiers).where(dossiers.c.code == code).values(**row))


def after(db: Connection, code: str, revision: int) -> Sequence[Message]:
    """A dossier's public events after a revision, in order."""
    query = select(events).where(events.c.code == code, events.c.revision > revision).order_by(events.c.revision)
    return [_event(row) for row in db.execute(query)]


def _event(row: Row[Any]) -> Message:
    event = message_class(row.type)()
    event.ParseFromString(row.event)
    return event


def counted(page: DossierPage) -> dict[str, Any]:
    return {
        "province": page.province,
        "agency": page.competent_agency,
        "procedure_code": page.procedure_code,
        "submitted_at": page.submitted_at,
        "received_at": page.received_at,
        "settled_at": page.settled_at,
        "due_at": page.due_at,
        "open": page.open,
        "paused": page.pause is not None,
        "settled": page.settlement.settled or page.withdrawn,
        "on_time": page.on_time,
    }


def _put(db: Connection, kind: str, key: str, version: int, until: str, definition: Message) -> None:
    t = definitions
    db.execute(delete(t).where(t.c.kind == kind, t.c.key == key, t.c.version == version))
    data = public_view(definition).SerializeToString(deterministic=True)
    db.execute(insert(t).values(kind=kind, key=key, version=version, valid_until=until, definition=data))


def _drop(db: Connection, kind: str, key: str, version: int) -> None:
    t = definitions
    db.execute(delete(t).where(t.c.kind == kind, t.c.key == key, t.c.version == version))


def _end(db: Connection, kind: str, key: str, until: str) -> None:
    t = definitions
    lasting = (t.c.valid_until == "") | (t.c.valid_until > until)
    db.execute(update(t).where(t.c.kind == kind, t.c.key == key, lasting).values(valid_until=until))


@catalogue.on(catalogue_facts.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[catalogue_facts.ProcedurePublished]) -> None:
    procedure = fact.event.procedure
    _put(db, "procedure", procedure.code, procedure.version, procedure.valid_until, procedure)


@catalogue.on(catalogue_facts.ProcedureWithdrawn)
def procedure_withdrawn(db: Connection, fact: Fact[catalogue_facts.ProcedureWithdrawn]) -> None:
    _end(db, "procedure", fact.event.code, fact.event.valid_until)


@catalogue.on(catalogue_facts.ProcedureVersionWithdrawn)
def procedure_version_withdrawn(db: Connection, fact: Fact[catalogue_facts.ProcedureVersionWithdrawn]) -> None:
    _drop(db, "procedure", fact.event.code, fact.event.version)


@catalogue.on(catalogue_facts.ProcedureRepaired)
def procedure_repaired(db: Connection, fact: Fact[catalogue_facts.ProcedureRepaired]) -> None:
    """In force as long as the version was."""
    t, procedure = definitions, fact.event.procedure
    same = (t.c.kind == "procedure") & (t.c.key == procedure.code) & (t.c.version == procedure.version)
    repaired = public_view(procedure).SerializeToString(deterministic=True)
    db.execute(update(t).where(same).values(definition=repaired))


@catalogue.on(catalogue_facts.AgencyOpened)
def agency_opened(db: Connection, fact: Fact[catalogue_facts.AgencyOpened]) -> None:
    _put(db, "agency", fact.event.agency.code, 1, "", fact.event.agency)


@catalogue.on(catalogue_facts.AgencyChanged)
def agency_changed(db: Connection, fact: Fact[catalogue_facts.AgencyChanged]) -> None:
    _put(db, "agency", fact.event.agency.code, fact.event.agency.version, "", fact.event.agency)


@catalogue.on(catalogue_facts.AgencyVersionWithdrawn)
def agency_version_withdrawn(db: Connection, fact: Fact[catalogue_facts.AgencyVersionWithdrawn]) -> None:
    _drop(db, "agency", fact.event.code, fact.event.version)


@catalogue.on(catalogue_facts.AgencyClosed)
def agency_closed(db: Connection, fact: Fact[catalogue_facts.AgencyClosed]) -> None:
    _end(db, "agency", fact.event.code, fact.event.valid_until)


@catalogue.on(catalogue_facts.TerritoryPublished)
def territory_published(db: Connection, fact: Fact[catalogue_facts.TerritoryPublished]) -> None:
    territory = fact.event.territory
    _put(db, "province", territory.province.code, territory.version, "", territory.province)


@catalogue.on(catalogue_facts.CalendarPublished)
def calendar_published(db: Connection, fact: Fact[catalogue_facts.CalendarPublished]) -> None:
    calendar = fact.event.calendar
    _put(db, "calendar", calendar.calendar_id, calendar.version, "", calendar)
