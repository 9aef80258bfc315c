"""Rows of the view as the API's messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from motcua.notification.events.v1 import events_pb2 as facts
from motcua.notification.v1 import notification_pb2
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.chassis.privacy.sealing import KeyRing, open_message
from services.notification.counterparts import CHANNEL, KIND, LANGUAGE


async def summary_of(row: Any, keys: KeyRing) -> notification_pb2.MessageSummary:
    event = facts.MessageComposed.FromString(row.composed)
    opened = await open_message(event, UUID(row.event_id), keys)
    return notification_pb2.MessageSummary(
        message_id=event.message_id,
        kind=KIND.shown(event.kind),
        dossier_code=event.code,
        language=LANGUAGE.shown(event.language),
        subject=opened.get("subject", ""),
        composed_at=event.at,
        read_at=_stamp(row.read_at),
    )


def failure_of(row: Any) -> notification_pb2.Failure:
    return notification_pb2.Failure(
        message_id=row.message_id,
        channel=CHANNEL.shown(row.channel),
        template=row.template,
        dossier_code=row.code,
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
