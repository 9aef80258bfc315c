"""Queries over the list tables, and their rows as messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Select, func, select, tuple_, update

from motcua.notification.events.v1 import events_pb2 as facts
from motcua.notification.v1 import notification_pb2
from motcua.notification.v1 import notification_service_pb2 as pb
from services.chassis.calls.paging import By, Listing
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.chassis.privacy.sealing import KeyRing, open_message
from services.notification.values import Channel
from services.notification.views import ABANDONED, PENDING, SENT, deliveries, messages


def inbox(account_id: str, unread_only: bool) -> Listing:
    query = select(messages).where(messages.c.account_id == account_id)
    if unread_only:
        query = query.where(messages.c.read_at.is_(None))
    return Listing(query, (By(messages.c.composed_at, newest_first=True), By(messages.c.message_id)))


def unread_query(account_id: str) -> Select[Any]:
    return select(func.count()).where(messages.c.account_id == account_id, messages.c.read_at.is_(None))


def failures(request: pb.ListFailuresRequest) -> Listing:
    query = select(deliveries).where(deliveries.c.failed_at.is_not(None), deliveries.c.status != SENT)
    if request.channel:
        query = query.where(deliveries.c.channel == request.channel)
    if request.abandoned_only:
        query = query.where(deliveries.c.status == ABANDONED)
    composed = By(deliveries.c.composed_at, newest_first=True)
    return Listing(query, (composed, By(deliveries.c.message_id), By(deliveries.c.channel)))


def waiting_query(channel: Channel) -> Select[Any, Any]:
    """How many are to be sent, and when the oldest was composed."""
    pending = (deliveries.c.channel == channel.value) & (deliveries.c.status == PENDING)
    joined = deliveries.join(messages, messages.c.message_id == deliveries.c.message_id)
    return select(func.count(), func.min(messages.c.composed_at)).select_from(joined).where(pending)


def take_due(db: Connection, channel: Channel, now: datetime, until: datetime, most: int) -> list[Any]:
    """What is to be sent now, the longest due first. No other sender gets it before `until`."""
    due = select(deliveries).where(
        deliveries.c.channel == channel.value, deliveries.c.status == PENDING, deliveries.c.due_at <= now
    )
    rows = list(db.execute(due.order_by(deliveries.c.due_at).limit(most).with_for_update(skip_locked=True)))
    if rows:
        taken = tuple_(deliveries.c.message_id, deliveries.c.channel).in_([(r.message_id, r.channel) for r in rows])
        db.execute(update(deliveries).where(taken).values(due_at=until))
    return rows


async def summary_of(row: Any, keys: KeyRing) -> notification_pb2.MessageSummary:
    event = facts.MessageComposed.FromString(row.composed)
    opened = await open_message(event, UUID(row.event_id), keys)
    return notification_pb2.MessageSummary(
        message_id=event.message_id,
        kind=event.kind,
        code=event.code,
        language=event.language,
        subject=opened.get("subject", ""),
        composed_at=event.at,
        read_at=_stamp(row.read_at),
    )


def failure_of(row: Any) -> notification_pb2.Failure:
    return notification_pb2.Failure(
        message_id=row.message_id,
        channel=row.channel,
        template=row.template,
        code=row.code,
        status=row.status,
        attempts=row.attempts,
        why=row.why,
        failed_at=_stamp(row.failed_at),
        retry_at=_stamp(row.retry_at),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    """SQLite gives back moments without their zone; all are UTC."""
    if moment is None:
        return None
    return to_timestamp(utc(moment))
