"""Documents in the warehouse that can take a component's place, by who may use them: their owner, or a guardian."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, bindparam, delete, insert, select, update

from motcua.warehouse.events.v1 import events_pb2 as warehouse
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

metadata = MetaData()
holdings_table = Table(
    "holdings_v1",
    metadata,
    Column("document_id", String, primary_key=True),
    Column("account_id", String, nullable=False, index=True),
    Column("guardian_id", String, nullable=False, index=True),
    Column("document_kind", String, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True)),
)
holdings = Projection("holdings_v1", metadata)


@holdings.on(warehouse.DocumentKept)
def document_kept(db: Connection, fact: Fact[warehouse.DocumentKept]) -> None:
    event = fact.event
    db.execute(
        insert(holdings_table).values(
            document_id=event.document_id,
            account_id=event.account_id,
            guardian_id=event.guardian_id,
            document_kind=event.document_kind,
            valid_from=from_timestamp(event.valid_from),
            valid_until=from_timestamp(event.valid_until) if event.HasField("valid_until") else None,
        )
    )


@holdings.on(warehouse.DocumentLinked)
def document_linked(db: Connection, fact: Fact[warehouse.DocumentLinked]) -> None:
    event = fact.event
    values = {"account_id": event.account_id, "guardian_id": event.guardian_id}
    db.execute(update(holdings_table).where(holdings_table.c.document_id == event.document_id).values(values))


@holdings.on(warehouse.DocumentRevoked, warehouse.DocumentErased)
def document_gone(db: Connection, fact: Fact[Any]) -> None:
    db.execute(delete(holdings_table).where(holdings_table.c.document_id == fact.event.document_id))


_IDS: Any = bindparam("ids", expanding=True)
_OF = (
    select(holdings_table)
    .where(holdings_table.c.account_id.in_(_IDS) | holdings_table.c.guardian_id.in_(_IDS))
    .order_by(holdings_table.c.valid_from, holdings_table.c.document_id)
)


@dataclass(frozen=True, slots=True)
class Holdings:
    rows: tuple[Any, ...] = ()

    def own(self, account_id: str, at: datetime) -> Mapping[str, str]:
        """Ids of the account's own documents that are valid then, by kind: the newest of each."""
        return {
            row.document_kind: row.document_id for row in self.rows if row.account_id == account_id and _valid(row, at)
        }

    def others(self, account_id: str, at: datetime) -> Mapping[str, frozenset[str]]:
        """Ids of the documents that the account holds as a guardian and that are valid then, by kind: all of each."""
        found = defaultdict(set)
        for row in self.rows:
            if row.guardian_id == account_id and _valid(row, at):
                found[row.document_kind].add(row.document_id)
        return {kind: frozenset(ids) for kind, ids in found.items()}


NO_HOLDINGS = Holdings()


def _valid(row: Any, at: datetime) -> bool:
    return utc(row.valid_from) <= at and (row.valid_until is None or utc(row.valid_until) >= at)


def holdings_of(db: Connection, account_ids: Sequence[str]) -> dict[str, Holdings]:
    rows = db.execute(_OF, {"ids": account_ids}).all()
    return {
        account_id: Holdings(tuple(row for row in rows if account_id in (row.account_id, row.guardian_id)))
        for account_id in account_ids
    }
