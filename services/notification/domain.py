"""Messages and preferences: what a person is told, by which channels, and when sending is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import assert_never
from uuid import UUID, uuid5

from services.chassis.decider import Decider, Rejected, Sealed

_MESSAGES = UUID("a8e3b1f6-5d0c-4f0e-9a52-0b7a3e6c41d9")
# What every SMTP server can deliver to (RFC 5321, without quoting) and cannot break a header.


class Language(Enum):
    UNSPECIFIED = 0
    VIETNAMESE = 1
    ENGLISH = 2


class Channel(Enum):
    UNSPECIFIED = 0
    INBOX = 1
    EMAIL = 2


class MessageKind(Enum):
    UNSPECIFIED = 0
    PROGRESS = 1
    ACTION = 2
    FEE = 3
    DELAY = 4
    OUTCOME = 5


CHANNELS = (Channel.INBOX, Channel.EMAIL)


def message_id(fact_id: str, account_id: str) -> str:
    """One per fact and recipient, whoever computes it."""
    return str(uuid5(_MESSAGES, f"{fact_id}/{account_id}"))


# Events


@dataclass(frozen=True, slots=True)
class MessageComposed:
    message_id: str
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
    subject: Sealed
    body: Sealed


@dataclass(frozen=True, slots=True)
class MessageSent:
    message_id: str
    account_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class SendFailed:
    message_id: str
    account_id: str
    at: datetime
    by: str
    channel: Channel
    attempt: int
    why: str
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class SendAbandoned:
    message_id: str
    account_id: str
    at: datetime
    by: str
    channel: Channel
    why: str


@dataclass(frozen=True, slots=True)
class RetryRequested:
    message_id: str
    account_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class MessageRead:
    message_id: str
    account_id: str
    at: datetime
    by: str


MessageEvent = MessageComposed | MessageSent | SendFailed | SendAbandoned | RetryRequested | MessageRead


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    kind: MessageKind
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class PreferencesChanged:
    account_id: str
    at: datetime
    by: str
    language: Language
    choices: tuple[ChannelChoice, ...]
    email: Sealed


# Commands


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a random wait below the cap's or the doubled base's, whichever is less."""

    attempts: int = 8
    base: timedelta = timedelta(seconds=30)
    cap: timedelta = timedelta(hours=6)

    def delay(self, attempt: int, jitter: float) -> timedelta:
        """`jitter` is drawn evenly from [0, 1)."""
        doubled = self.base * float(2 ** min(attempt - 1, 32))
        return min(self.cap, doubled) * jitter


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class RecordSent:
    message_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class RetryMessage:
    message_id: str
    at: datetime
    by: str
    channel: Channel


@dataclass(frozen=True, slots=True)
class MarkRead:
    message_id: str
    at: datetime
    by: str


MessageCommand = ComposeMessage | RecordSent | RecordFailure | RetryMessage | MarkRead


@dataclass(frozen=True, slots=True)
class UpdatePreferences:
    account_id: str
    at: datetime
    by: str
    language: Language
    choices: tuple[ChannelChoice, ...]
    email: str


# State


class Progress(Enum):
    PENDING = "pending"
    SENT = "sent"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Delivery:
    channel: Channel
    progress: Progress = Progress.PENDING
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    # Empty: not composed.
    account_id: str = ""
    deliveries: tuple[Delivery, ...] = ()
    read: bool = False


# Decisions


def _decide_message(command: MessageCommand, state: Message) -> Sequence[MessageEvent]:
    match command:
        case ComposeMessage():
            return _compose(command, state)
        case RecordSent():
            _pending(command, state)
            return [MessageSent(command.message_id, state.account_id, command.at, command.by, command.channel)]
        case RecordFailure():
            return _fail(command, state)
        case RetryMessage():
            if _delivery(command, state).progress is not Progress.ABANDONED:
                raise Rejected("NOT_ABANDONED", channel=command.channel.name)
            return [RetryRequested(command.message_id, state.account_id, command.at, command.by, command.channel)]
        case MarkRead():
            if state.account_id != command.by:  # a stranger learns nothing, not even that it exists
                raise Rejected("NOT_FOUND", message_id=command.message_id)
            if state.read:
                raise Rejected("ALREADY_READ", message_id=command.message_id)
            return [MessageRead(command.message_id, state.account_id, command.at, command.by)]
        case _:
            assert_never(command)


def _compose(c: ComposeMessage, state: Message) -> Sequence[MessageEvent]:
    message = message_id(c.fact_id, c.account_id)
    if state.account_id:
        raise Rejected("ALREADY_COMPOSED", message_id=message)
    if c.language is Language.UNSPECIFIED:
        raise Rejected("LANGUAGE_MISSING")
    if c.kind is MessageKind.UNSPECIFIED:
        raise Rejected("KIND_MISSING")
    _check(ChannelChoice(c.kind, c.channels))
    composed = MessageComposed(
        message,
        c.account_id,
        c.at,
        c.by,
        c.template,
        c.template_version,
        c.kind,
        c.fact_id,
        c.fact_type,
        c.code,
        c.language,
        c.channels,
        Sealed(c.subject),
        Sealed(c.body),
    )
    return [composed, MessageSent(message, c.account_id, c.at, c.by, Channel.INBOX)]


def _fail(c: RecordFailure, state: Message) -> Sequence[MessageEvent]:
    attempt = _pending(c, state).attempts + 1
    final = c.permanent or attempt >= c.policy.attempts
    retry_at = None if final else c.at + c.policy.delay(attempt, c.jitter)
    failed = SendFailed(c.message_id, state.account_id, c.at, c.by, c.channel, attempt, c.why, retry_at)
    if not final:
        return [failed]
    return [failed, SendAbandoned(c.message_id, state.account_id, c.at, c.by, c.channel, c.why)]


def _delivery(command: RecordSent | RecordFailure | RetryMessage, state: Message) -> Delivery:
    if not state.account_id:
        raise Rejected("NOT_FOUND", message_id=command.message_id)
    for delivery in state.deliveries:
        if delivery.channel is command.channel:
            return delivery
    raise Rejected("CHANNEL_NOT_CHOSEN", channel=command.channel.name)


def _pending(command: RecordSent | RecordFailure, state: Message) -> Delivery:
    delivery = _delivery(command, state)
    match delivery.progress:
        case Progress.PENDING:
            return delivery
        case Progress.SENT:
            raise Rejected("ALREADY_SENT", channel=command.channel.name)
        case Progress.ABANDONED:
            raise Rejected("ABANDONED", channel=command.channel.name)
        case _:
            assert_never(delivery.progress)


def _check(choice: ChannelChoice) -> None:
    if Channel.UNSPECIFIED in choice.channels:
        raise Rejected("CHANNEL_MISSING", kind=choice.kind.name)
    for channel in CHANNELS:
        if choice.channels.count(channel) > 1:
            raise Rejected("CHANNEL_REPEATED", kind=choice.kind.name, channel=channel.name)
    if Channel.INBOX not in choice.channels:
        raise Rejected("INBOX_REQUIRED", kind=choice.kind.name)


def _evolve_message(state: Message, event: MessageEvent) -> Message:
    match event:
        case MessageComposed():
            return Message(event.account_id, tuple(Delivery(channel) for channel in event.channels))
        case MessageSent():
            return _moved(state, event.channel, Progress.SENT)
        case SendFailed():
            return _moved(state, event.channel, Progress.PENDING, event.attempt)
        case SendAbandoned():
            return _moved(state, event.channel, Progress.ABANDONED)
        case RetryRequested():
            return _moved(state, event.channel, Progress.PENDING)
        case MessageRead():
            return replace(state, read=True)
        case _:
            assert_never(event)


def _moved(state: Message, channel: Channel, progress: Progress, attempts: int = 0) -> Message:
    moved = (Delivery(channel, progress, attempts) if d.channel is channel else d for d in state.deliveries)
    return replace(state, deliveries=tuple(moved))


message = Decider[MessageCommand, Message, MessageEvent](Message(), _decide_message, _evolve_message)


def _decide_preferences(c: UpdatePreferences, state: None) -> Sequence[PreferencesChanged]:
    if c.by != c.account_id:
        raise Rejected("NOT_OWN_PREFERENCES")
    if c.language is Language.UNSPECIFIED:
        raise Rejected("LANGUAGE_MISSING")
    kinds = [choice.kind for choice in c.choices]
    if MessageKind.UNSPECIFIED in kinds:
        raise Rejected("KIND_MISSING")
    for kind in MessageKind:
        if kinds.count(kind) > 1:
            raise Rejected("KIND_REPEATED", kind=kind.name)
    for choice in c.choices:
        _check(choice)
    return [PreferencesChanged(c.account_id, c.at, c.by, c.language, c.choices, Sealed(c.email))]


def _evolve_preferences(state: None, event: PreferencesChanged) -> None:
    """Nothing that was chosen before bears on what may be chosen now."""


preferences = Decider[UpdatePreferences, None, PreferencesChanged](None, _decide_preferences, _evolve_preferences)


def channels(kind: MessageKind, choices: Sequence[ChannelChoice], email: str) -> tuple[Channel, ...]:
    """By which channels a person is told: as chosen, else by all; by e-mail only where there is an address."""
    chosen = next((choice.channels for choice in choices if choice.kind is kind), CHANNELS)
    return tuple(channel for channel in chosen if email or channel is not Channel.EMAIL)
