"""The facts of messages. Each has its protobuf twin in motcua.notification.events.v1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.notification.values import Channel, Language, MessageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageComposed:
    message_id: str
    at: datetime
    by: str
    account_id: str
    template: str
    template_version: str
    kind: MessageKind
    fact_id: str
    fact_type: str
    code: str
    language: Language
    channels: tuple[Channel, ...]
    subject: Sealed
    body: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent:
    message_id: str
    at: datetime
    by: str
    account_id: str
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFailed:
    message_id: str
    at: datetime
    by: str
    account_id: str
    channel: Channel
    attempt: int
    why: str
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAbandoned:
    message_id: str
    at: datetime
    by: str
    account_id: str
    channel: Channel
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequested:
    message_id: str
    at: datetime
    by: str
    account_id: str
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRead:
    message_id: str
    at: datetime
    by: str
    account_id: str


MessageEvent = MessageComposed | MessageSent | SendFailed | SendAbandoned | RetryRequested | MessageRead
