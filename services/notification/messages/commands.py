"""What is asked about a message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.notification.messages.values import RetryPolicy
from services.notification.values import Channel, Language, MessageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeMessage:
    account_id: str
    at: datetime
    by: str
    template: str
    template_version: str
    kind: MessageKind
    fact_id: str
    fact_type: str
    code: str
    language: Language
    channels: tuple[Channel, ...]
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSent:
    message_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFailure:
    message_id: str
    at: datetime
    by: str
    channel: Channel
    why: str
    # Trying again cannot help.
    permanent: bool
    policy: RetryPolicy
    jitter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryMessage:
    message_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRead:
    message_id: str
    at: datetime
    by: str


MessageCommand = ComposeMessage | RecordSent | RecordFailure | RetryMessage | MarkRead
