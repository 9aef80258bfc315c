"""Stored events as views and reactions read them: protobuf messages with their envelope."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from services.chassis.store.port import RecordedEvent

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Fact(Generic[M]):
    """One stored event. `metadata` as handler.py writes it."""

    event: M
    event_id: UUID
    event_type: str
    stream: str
    revision: int
    position: int
    recorded_at: datetime
    metadata: dict[str, Any]

    @property
    def correlation_id(self) -> str:
        return str(self.metadata.get("$correlationId", ""))

    @property
    def actor(self) -> str:
        return str(self.metadata.get("actor", ""))

    @property
    def request_id(self) -> str:
        return str(self.metadata.get("request_id", ""))

    @property
    def traceparent(self) -> str:
        return str(self.metadata.get("traceparent", ""))


@cache
def message_class(event_type: str) -> type[Message]:
    """Raises KeyError if no proto of this name was imported."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(event_type))


def message_of(recorded: RecordedEvent) -> Message:
    message = message_class(recorded.type)()
    message.ParseFromString(recorded.data)
    return message


def fact_of(recorded: RecordedEvent) -> Fact[Any]:
    message = message_of(recorded)
    return Fact(
        message,
        recorded.id,
        recorded.type,
        recorded.stream,
        recorded.revision,
        recorded.position,
        recorded.recorded_at,
        json.loads(recorded.metadata),
    )
