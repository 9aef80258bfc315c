"""The catalogue's definitions as a service keeps them: each with the days it is in force, folded from the catalogue's facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    and_,
    delete,
    insert,
    select,
    update,
)

from motcua.catalogue.events.v1 import definitions_pb2, events_pb2
from services.chassis.deciding.codec import Shape
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection
from services.law import definitions
from services.law.validity import Validity, in_turn

metadata = MetaData()
versions_table = Table(
    "law_kept_v3",
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
definitions_view = Projection("law_v3", metadata)

SHAPES = {
    "procedure": Shape(definitions.Procedure, definitions_pb2.Procedure),
    "overlay": Shape(definitions.FeeOverlay, definitions_pb2.FeeOverlay),
    "agency": Shape(definitions.Agency, definitions_pb2.Agency),
    "calendar": Shape(definitions.CalendarVersion, definitions_pb2.CalendarVersion),
    "territory": Shape(definitions.Territory, definitions_pb2.Territory),
}


@dataclass(frozen=True)
class Version:
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


def versions_of(db: Connection, *kinds: str) -> Iterator[Version]:
    """All versions of definitions of these kinds, by key and version. One that is open-ended ends on the eve of a later one."""
    t = versions_table
    rows = db.execute(select(t).where(t.c.kind.in_(kinds)).order_by(t.c.kind, t.c.key, t.c.version))
    for _, versions in groupby(rows, key=lambda row: (row.kind, row.key)):
        yield from _versions(list(versions))


def _versions(rows: list[Row[Any]]) -> Iterator[Version]:
    spans = in_turn([Validity(row.valid_from, row.valid_until) for row in rows])
    for row, validity in zip(rows, spans, strict=True):
        message: Any = SHAPES[row.kind].message()
        message.ParseFromString(row.definition)
        if "valid_until" in message.DESCRIPTOR.fields_by_name:
            message.valid_until = validity.until
        yield Version(row.kind, row.key, row.version, message, validity, row.successor, row.revision)


def span(versions: Sequence[Version]) -> Validity:
    """The days from the first of all these versions to the last."""
    return Validity(versions[0].validity.since, versions[-1].validity.until)


def _put(db: Connection, fact: Fact[Any], kind: str, key: str, version: int, definition: Message) -> None:
    t, of_key = versions_table, _of(kind, key)
    db.execute(update(t).where(of_key).values(revision=fact.revision))
    db.execute(delete(t).where(of_key, t.c.version == version))
    db.execute(
        insert(t).values(
            kind=kind,
            key=key,
            version=version,
            valid_from=getattr(definition, "valid_from", ""),
            valid_until=getattr(definition, "valid_until", ""),
            revision=fact.revision,
            definition=definition.SerializeToString(),
        )
    )


def _of(kind: str, key: str) -> ColumnElement[bool]:
    return and_(versions_table.c.kind == kind, versions_table.c.key == key)


def _drop(db: Connection, fact: Fact[Any], kind: str, key: str, version: int) -> None:
    t, of_key = versions_table, _of(kind, key)
    db.execute(delete(t).where(of_key, t.c.version == version))
    db.execute(update(t).where(of_key).values(revision=fact.revision))


def _end(db: Connection, fact: Fact[Any], kind: str, successor: str = "") -> None:
    t, event = versions_table, fact.event
    of_key = _of(kind, event.code)
    longer = of_key & ((t.c.valid_until == "") | (t.c.valid_until > event.valid_until))
    db.execute(update(t).where(longer).values(valid_until=event.valid_until))
    db.execute(update(t).where(of_key).values(revision=fact.revision, successor=successor))


def _scope(event: Any) -> str:
    channels = ",".join(map(str, sorted(event.channels)))
    return f"{event.province}/{event.procedure_code}/{event.charge_code}/{channels}"


@definitions_view.on(events_pb2.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[events_pb2.ProcedurePublished]) -> None:
    procedure = fact.event.procedure
    _put(db, fact, "procedure", procedure.code, procedure.version, procedure)


@definitions_view.on(events_pb2.ProcedureWithdrawn)
def procedure_withdrawn(db: Connection, fact: Fact[events_pb2.ProcedureWithdrawn]) -> None:
    _end(db, fact, "procedure")


@definitions_view.on(events_pb2.ProcedureVersionWithdrawn)
def procedure_version_withdrawn(db: Connection, fact: Fact[events_pb2.ProcedureVersionWithdrawn]) -> None:
    _drop(db, fact, "procedure", fact.event.code, fact.event.version)


@definitions_view.on(events_pb2.ProcedureRepaired)
def procedure_repaired(db: Connection, fact: Fact[events_pb2.ProcedureRepaired]) -> None:
    """In force as long as the version was."""
    t, procedure = versions_table, fact.event.procedure
    of_key = _of("procedure", procedure.code)
    repaired = {"definition": procedure.SerializeToString()}
    db.execute(update(t).where(of_key, t.c.version == procedure.version).values(**repaired))
    db.execute(update(t).where(of_key).values(revision=fact.revision))


@definitions_view.on(events_pb2.FeeOverlayAdopted)
def overlay_adopted(db: Connection, fact: Fact[events_pb2.FeeOverlayAdopted]) -> None:
    _put(db, fact, "overlay", _scope(fact.event.overlay), fact.revision, fact.event.overlay)


@definitions_view.on(events_pb2.FeeOverlayWithdrawn)
def overlay_withdrawn(db: Connection, fact: Fact[events_pb2.FeeOverlayWithdrawn]) -> None:
    withdrawn = _of("overlay", _scope(fact.event)) & (versions_table.c.valid_from == fact.event.valid_from)
    db.execute(delete(versions_table).where(withdrawn))


@definitions_view.on(events_pb2.AgencyOpened)
def agency_opened(db: Connection, fact: Fact[events_pb2.AgencyOpened]) -> None:
    _put(db, fact, "agency", fact.event.agency.code, fact.event.agency.version or 1, fact.event.agency)


@definitions_view.on(events_pb2.AgencyChanged)
def agency_changed(db: Connection, fact: Fact[events_pb2.AgencyChanged]) -> None:
    _put(db, fact, "agency", fact.event.agency.code, fact.event.agency.version, fact.event.agency)


@definitions_view.on(events_pb2.AgencyVersionWithdrawn)
def agency_version_withdrawn(db: Connection, fact: Fact[events_pb2.AgencyVersionWithdrawn]) -> None:
    _drop(db, fact, "agency", fact.event.code, fact.event.version)


@definitions_view.on(events_pb2.AgencyClosed)
def agency_closed(db: Connection, fact: Fact[events_pb2.AgencyClosed]) -> None:
    _end(db, fact, "agency", fact.event.successor)


@definitions_view.on(events_pb2.CalendarPublished)
def calendar_published(db: Connection, fact: Fact[events_pb2.CalendarPublished]) -> None:
    calendar = fact.event.calendar
    _put(db, fact, "calendar", calendar.calendar_id, calendar.version, calendar)


@definitions_view.on(events_pb2.CalendarVersionWithdrawn)
def calendar_version_withdrawn(db: Connection, fact: Fact[events_pb2.CalendarVersionWithdrawn]) -> None:
    _drop(db, fact, "calendar", fact.event.calendar_id, fact.event.version)


@definitions_view.on(events_pb2.TerritoryPublished)
def territory_published(db: Connection, fact: Fact[events_pb2.TerritoryPublished]) -> None:
    territory = fact.event.territory
    _put(db, fact, "territory", territory.province.code, territory.version, territory)


@definitions_view.on(events_pb2.ProvinceMerged)
def province_merged(db: Connection, fact: Fact[events_pb2.ProvinceMerged]) -> None:
    _end(db, fact, "territory", fact.event.successor)
