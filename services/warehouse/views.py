"""What lists and erasures are read from. A single document is read from its stream."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from motcua.identity.events.v1 import events_pb2 as i
from motcua.warehouse.events.v1 import events_pb2 as w
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.erasures import shreds
from services.chassis.following.views import Projection

metadata = MetaData()
documents = Table(
    "documents_v3",
    metadata,
    Column("document_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("document_kind", String, nullable=False),
    Column("source", Integer, nullable=False),
    Column("agency", String, nullable=False),
    Column("code", String, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True)),
    Column("kept_at", DateTime(timezone=True), nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
    Column("reuses", Integer, nullable=False, default=0),
    Column("guardian_id", String, nullable=False),
    Index("documents_v3_by_account", "account_id", "kept_at"),
    Index("documents_v3_by_guardian", "guardian_id", "kept_at"),
)
erased = Table("erased_v3", metadata, Column("account_id", String, primary_key=True))

lists = Projection("documents_v3", metadata)


def is_erased(db: Connection, account_id: str) -> bool:
    return db.execute(select(erased).where(erased.c.account_id == account_id)).first() is not None


@lists.on(w.DocumentKept)
def document_kept(db: Connection, fact: Fact[w.DocumentKept]) -> None:
    event = fact.event
    db.execute(
        insert(documents).values(
            document_id=event.document_id,
            account_id=event.account_id,
            document_kind=event.document_kind,
            source=event.source,
            agency=event.agency,
            code=event.code,
            valid_from=from_timestamp(event.valid_from),
            valid_until=from_timestamp(event.valid_until) if event.HasField("valid_until") else None,
            kept_at=from_timestamp(event.at),
            guardian_id=event.guardian_id,
        )
    )


@lists.on(w.DocumentLinked)
def document_linked(db: Connection, fact: Fact[w.DocumentLinked]) -> None:
    event = fact.event
    values = {"account_id": event.account_id, "guardian_id": event.guardian_id}
    db.execute(update(documents).where(documents.c.document_id == event.document_id).values(values))


@lists.on(w.DocumentReused)
def document_reused(db: Connection, fact: Fact[w.DocumentReused]) -> None:
    one = documents.c.document_id == fact.event.document_id
    db.execute(update(documents).where(one).values(reuses=documents.c.reuses + 1))


@lists.on(w.DocumentRevoked)
def document_revoked(db: Connection, fact: Fact[w.DocumentRevoked]) -> None:
    db.execute(update(documents).where(documents.c.document_id == fact.event.document_id).values(revoked=True))


@lists.on(w.DocumentErased)
def document_erased(db: Connection, fact: Fact[w.DocumentErased]) -> None:
    db.execute(delete(documents).where(documents.c.document_id == fact.event.document_id))


@lists.on(i.ErasureDecided)
def erasure_decided(db: Connection, fact: Fact[i.ErasureDecided]) -> None:
    account_id = fact.event.account_id
    if shreds(fact.event) and not is_erased(db, account_id):
        db.execute(insert(erased).values(account_id=account_id))
