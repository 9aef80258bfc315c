"""Stored events as views and reactions read them: protobuf messages with their envelope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from services.chassis.deciding.metadata import Metadata
from services.chassis.store.port import RecordedEvent

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Generic[M]):
    """One stored event, decoded."""

    event: M
    event_id: UUID
    event_type: str
    stream: str
    revision: int
    position: int
    recorded_at: datetime
    metadata: Metadata

    @property
    def actor(self) -> str:
        return self.metadata.actor

    @property
    def request_id(self) -> str:
        return self.metadata.request_id

    @property
    def traceparent(self) -> str:
        return self.metadata.traceparent


@cache
def message_class(event_type: str) -> type[Message]:
    """The message of a stored event's type. Raises KeyError if no proto of this name was imported."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(event_type))


def message_of(recorded: RecordedEvent) -> Message:
    message = message_class(recorded.type)()
    message.ParseFromString(recorded.data)
    return message


def fact_of(recorded: RecordedEvent) -> Fact[Any]:
    return Fact(
        event=message_of(recorded),
        event_id=recorded.id,
        event_type=recorded.type,
        stream=recorded.stream,
        revision=recorded.revision,
        position=recorded.position,
        recorded_at=recorded.recorded_at,
        metadata=Metadata.read(recorded.metadata),
    )
