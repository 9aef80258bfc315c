"""What lists and erasures are read from. A single document is read from its stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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

from motcua.dossier.events.v1 import events_pb2 as d
from motcua.identity.events.v1 import events_pb2 as i
from motcua.warehouse.events.v1 import events_pb2 as w
from services.chassis.codec import from_timestamp
from services.chassis.facts import Fact
from services.chassis.views import Projection

metadata = MetaData()
documents = Table(
    "documents",
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
    Index("documents_by_account", "account_id", "kept_at"),
)
# Who needs a content: drafts, dossiers and documents name the same files.
contents = Table(
    "contents",
    metadata,
    Column("sha256", String, primary_key=True),
    Column("account_id", String, primary_key=True, index=True),
)
erased = Table("erased", metadata, Column("account_id", String, primary_key=True))

lists = Projection("documents_v1", metadata)


def is_erased(db: Connection, account_id: str) -> bool:
    return db.execute(select(erased).where(erased.c.account_id == account_id)).first() is not None


def is_needed(db: Connection, sha256: str) -> bool:
    return db.execute(select(contents).where(contents.c.sha256 == sha256)).first() is not None


def _need(db: Connection, account_id: str, hashes: Iterable[str]) -> None:
    wanted = {sha256 for sha256 in hashes if sha256}
    if not wanted or is_erased(db, account_id):
        return
    query = select(contents.c.sha256).where(contents.c.account_id == account_id, contents.c.sha256.in_(wanted))
    known = set(db.execute(query).scalars())
    if new := wanted - known:
        db.execute(insert(contents), [{"sha256": sha256, "account_id": account_id} for sha256 in sorted(new)])


@lists.on(d.DraftSaved, d.DossierSubmitted, d.SupplementSupplied)
def components_given(db: Connection, fact: Fact[Any]) -> None:
    _need(db, fact.event.applicant_id, (component.sha256 for component in fact.event.components))


@lists.on(d.ResultIssued)
def result_issued(db: Connection, fact: Fact[d.ResultIssued]) -> None:
    _need(db, fact.event.applicant_id, [fact.event.sha256])


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
        )
    )
    _need(db, event.account_id, [event.sha256])


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
    if fact.event.outcome != i.ERASURE_OUTCOME_SHREDDED or is_erased(db, account_id):
        return
    db.execute(insert(erased).values(account_id=account_id))
    db.execute(delete(contents).where(contents.c.account_id == account_id))
