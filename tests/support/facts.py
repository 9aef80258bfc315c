"""Protobuf events as views and reactions get them, without a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from google.protobuf.message import Message

from services.chassis.deciding.facts import Fact
from services.chassis.deciding.metadata import Metadata

M = TypeVar("M", bound=Message)


def fact_of(
    event: M, *, stream: str = "", revision: int = 0, request_id: str = "", event_id: UUID | None = None
) -> Fact[M]:
    return Fact(
        event=event,
        event_id=event_id or uuid4(),
        event_type=event.DESCRIPTOR.full_name,
        stream=stream,
        revision=revision,
        position=revision + 1,
        recorded_at=datetime.now(UTC),
        metadata=Metadata(request_id=request_id),
    )
