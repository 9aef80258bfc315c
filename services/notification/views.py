"""What inboxes and failures are listed from, and what waits to be sent. A single message is read from its stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    update,
)

from motcua.notification.events.v1 import events_pb2 as e
from motcua.notification.v1.notification_pb2 import DeliveryStatus
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

metadata = MetaData()
messages = Table(
    "messages_v3",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("code", String, nullable=False),
    Column("kind", Integer, nullable=False),
    # MessageComposed without its body: the subject stays sealed.
    Column("composed", LargeBinary, nullable=False),
    Column("composed_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True)),
    Index("messages_v3_by_account", "account_id", "composed_at"),
    Index("messages_v3_by_dossier", "account_id", "code", "composed_at"),
)
deliveries = Table(
    "deliveries_v3",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("channel", Integer, primary_key=True),
    Column("template", String, nullable=False),
    Column("code", String, nullable=False),
    Column("composed_at", DateTime(timezone=True), nullable=False),
    Column("status", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    # When it may be tried; a sender that takes it moves this on, so that no other does.
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("why", String, nullable=False, default=""),
    Column("failed_at", DateTime(timezone=True)),
    Column("retry_at", DateTime(timezone=True)),
    # Of its last event.
    Column("revision", BigInteger, nullable=False),
    Index("deliveries_v3_by_due", "channel", "status", "due_at"),
    Index("deliveries_v3_by_moment", "composed_at"),
    Index("deliveries_v3_by_dossier", "code", "composed_at"),
)

outgoing = Projection("messages_v3", metadata)

PENDING = DeliveryStatus.DELIVERY_STATUS_PENDING
SENT = DeliveryStatus.DELIVERY_STATUS_SENT
ABANDONED = DeliveryStatus.DELIVERY_STATUS_ABANDONED


@outgoing.on(e.MessageComposed)
def composed(db: Connection, fact: Fact[e.MessageComposed]) -> None:
    event, at = fact.event, from_timestamp(fact.event.at)
    kept = e.MessageComposed()
    kept.CopyFrom(event)
    kept.ClearField("body")
    db.execute(
        insert(messages).values(
            message_id=event.message_id,
            account_id=event.account_id,
            event_id=str(fact.event_id),
            code=event.code,
            kind=event.kind,
            composed=kept.SerializeToString(),
            composed_at=at,
        )
    )
    about = {"message_id": event.message_id, "template": event.template, "code": event.code, "composed_at": at}
    rows = [
        {**about, "channel": channel, "status": PENDING, "attempts": 0, "due_at": at, "revision": fact.revision}
        for channel in event.channels
    ]
    db.execute(insert(deliveries), rows)


def _set(db: Connection, fact: Fact[Any], **values: Any) -> None:
    one = (deliveries.c.message_id == fact.event.message_id) & (deliveries.c.channel == fact.event.channel)
    db.execute(update(deliveries).where(one).values(revision=fact.revision, **values))


@outgoing.on(e.MessageSent)
def sent(db: Connection, fact: Fact[e.MessageSent]) -> None:
    _set(db, fact, status=SENT, retry_at=None)


@outgoing.on(e.SendFailed)
def failed(db: Connection, fact: Fact[e.SendFailed]) -> None:
    event, at = fact.event, from_timestamp(fact.event.at)
    retry_at = from_timestamp(event.retry_at) if event.HasField("retry_at") else None
    _set(db, fact, attempts=event.attempt, why=event.why, failed_at=at, retry_at=retry_at, due_at=retry_at or at)


@outgoing.on(e.SendAbandoned)
def abandoned(db: Connection, fact: Fact[e.SendAbandoned]) -> None:
    _set(db, fact, status=ABANDONED)


@outgoing.on(e.RetryRequested)
def retry_requested(db: Connection, fact: Fact[e.RetryRequested]) -> None:
    at = from_timestamp(fact.event.at)
    _set(db, fact, status=PENDING, attempts=0, due_at=at, retry_at=at)


@outgoing.on(e.MessageRead)
def read(db: Connection, fact: Fact[e.MessageRead]) -> None:
    at: datetime = from_timestamp(fact.event.at)
    db.execute(update(messages).where(messages.c.message_id == fact.event.message_id).values(read_at=at))
