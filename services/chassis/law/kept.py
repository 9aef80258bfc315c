"""The catalogue's definitions as a service keeps them: each with the days it is in force, folded from the catalogue's facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, delete, insert, select, update

from motcua.catalogue.events.v1 import definitions_pb2, events_pb2
from services.chassis.codec import Shape
from services.chassis.facts import Fact
from services.chassis.law import definitions
from services.chassis.law.validity import Validity
from services.chassis.views import Projection

metadata = MetaData()
kept_table = Table(
    "law_kept_v2",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("valid_from", String, nullable=False),
    Column("valid_until", String, nullable=False),
    Column("successor", String, nullable=False, default=""),
    Column("revision", Integer, nullable=False),
    Column("definition", LargeBinary, nullable=False),
)
law = Projection("law_v2", metadata)

SHAPES = {
    "procedure": Shape(definitions.Procedure, definitions_pb2.Procedure),
    "overlay": Shape(definitions.FeeOverlay, definitions_pb2.FeeOverlay),
    "agency": Shape(definitions.Agency, definitions_pb2.Agency),
    "calendar": Shape(definitions.CalendarVersion, definitions_pb2.CalendarVersion),
    "territory": Shape(definitions.Territory, definitions_pb2.Territory),
}


@dataclass(frozen=True)
class Kept:
    """One version of a definition. `validity` is what later facts left of it; `revision` is its stream's newest."""

    kind: str
    key: str
    version: int
    message: Any
    validity: Validity
    successor: str
    revision: int

    @cached_property
    def value(self) -> Any:
        return SHAPES[self.kind].read(self.message)


def kept(db: Connection, *kinds: str) -> Iterator[Kept]:
    """By key and version."""
    t = kept_table
    for row in db.execute(select(t).where(t.c.kind.in_(kinds)).order_by(t.c.kind, t.c.key, t.c.version)):
        message: Any = SHAPES[row.kind].message()
        message.ParseFromString(row.definition)
        if "valid_until" in message.DESCRIPTOR.fields_by_name:
            message.valid_until = row.valid_until
        validity = Validity(row.valid_from, row.valid_until)
        yield Kept(row.kind, row.key, row.version, message, validity, row.successor, row.revision)


def _put(db: Connection, fact: Fact[Any], kind: str, key: str, version: int, definition: Message) -> None:
    """A version that was open-ended ends on the eve of a later one."""
    t, since = kept_table, getattr(definition, "valid_from", "")
    of_key = (t.c.kind == kind) & (t.c.key == key)
    if since:
        eve = (date.fromisoformat(since) - timedelta(days=1)).isoformat()
        superseded = of_key & (t.c.valid_until == "") & (t.c.valid_from < since)
        db.execute(update(t).where(superseded).values(valid_until=eve))
    db.execute(update(t).where(of_key).values(revision=fact.revision))
    db.execute(delete(t).where(of_key, t.c.version == version))
    db.execute(
        insert(t).values(
            kind=kind,
            key=key,
            version=version,
            valid_from=since,
            valid_until=getattr(definition, "valid_until", ""),
            revision=fact.revision,
            definition=definition.SerializeToString(),
        )
    )


def _end(db: Connection, fact: Fact[Any], kind: str, successor: str = "") -> None:
    t, event = kept_table, fact.event
    of_key = (t.c.kind == kind) & (t.c.key == event.code)
    longer = of_key & ((t.c.valid_until == "") | (t.c.valid_until > event.valid_until))
    db.execute(update(t).where(longer).values(valid_until=event.valid_until))
    db.execute(update(t).where(of_key).values(revision=fact.revision, successor=successor))


@law.on(events_pb2.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[events_pb2.ProcedurePublished]) -> None:
    procedure = fact.event.procedure
    _put(db, fact, "procedure", procedure.code, procedure.version, procedure)


@law.on(events_pb2.ProcedureWithdrawn)
def procedure_withdrawn(db: Connection, fact: Fact[events_pb2.ProcedureWithdrawn]) -> None:
    _end(db, fact, "procedure")


@law.on(events_pb2.FeeOverlayAdopted)
def overlay_adopted(db: Connection, fact: Fact[events_pb2.FeeOverlayAdopted]) -> None:
    overlay = fact.event.overlay
    channels = ",".join(map(str, sorted(overlay.channels)))
    scope = f"{overlay.province}/{overlay.procedure_code}/{overlay.charge_code}/{channels}"
    _put(db, fact, "overlay", scope, fact.revision, overlay)


@law.on(events_pb2.AgencyOpened)
def agency_opened(db: Connection, fact: Fact[events_pb2.AgencyOpened]) -> None:
    _put(db, fact, "agency", fact.event.agency.code, 1, fact.event.agency)


@law.on(events_pb2.AgencyClosed)
def agency_closed(db: Connection, fact: Fact[events_pb2.AgencyClosed]) -> None:
    _end(db, fact, "agency", fact.event.successor)


@law.on(events_pb2.CalendarPublished)
def calendar_published(db: Connection, fact: Fact[events_pb2.CalendarPublished]) -> None:
    calendar = fact.event.calendar
    _put(db, fact, "calendar", calendar.calendar_id, calendar.version, calendar)


@law.on(events_pb2.TerritoryPublished)
def territory_published(db: Connection, fact: Fact[events_pb2.TerritoryPublished]) -> None:
    territory = fact.event.territory
    _put(db, fact, "territory", territory.province.code, territory.version, territory)


@law.on(events_pb2.ProvinceMerged)
def province_merged(db: Connection, fact: Fact[events_pb2.ProvinceMerged]) -> None:
    _end(db, fact, "territory", fact.event.successor)
