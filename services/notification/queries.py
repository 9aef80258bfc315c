"""Queries over the list tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_, update

from motcua.notification.v1 import notification_service_pb2 as pb
from motcua.types.v1.types_pb2 import MomentOrder
from services.chassis.calls.paging import By, Listing
from services.notification.counterparts import CHANNEL, KIND
from services.notification.values import Channel
from services.notification.views import ABANDONED, PENDING, SENT, deliveries, messages


def inbox(account_id: str, request: pb.ListInboxRequest) -> Listing:
    query = select(messages).where(messages.c.account_id == account_id)
    if request.unread_only:
        query = query.where(messages.c.read_at.is_(None))
    if request.dossier_code:
        query = query.where(messages.c.code == request.dossier_code)
    if request.kind:
        query = query.where(messages.c.kind == KIND.stored(request.kind))
    return Listing(query, (By(messages.c.composed_at, _newest_first(request)), By(messages.c.message_id)))


def _newest_first(request: pb.ListInboxRequest | pb.ListFailuresRequest) -> bool:
    return request.order != MomentOrder.MOMENT_ORDER_OLDEST_FIRST


def unread_query(account_id: str) -> Select[Any]:
    return select(func.count()).where(messages.c.account_id == account_id, messages.c.read_at.is_(None))


def failures(request: pb.ListFailuresRequest) -> Listing:
    query = select(deliveries).where(deliveries.c.failed_at.is_not(None), deliveries.c.status != SENT)
    if request.channel:
        query = query.where(deliveries.c.channel == CHANNEL.stored(request.channel))
    if request.abandoned_only:
        query = query.where(deliveries.c.status == ABANDONED)
    if request.dossier_code:
        query = query.where(deliveries.c.code == request.dossier_code)
    if request.template:
        query = query.where(deliveries.c.template == request.template)
    composed = By(deliveries.c.composed_at, _newest_first(request))
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
