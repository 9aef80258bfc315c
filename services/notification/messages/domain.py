"""Messages: what a person is told, by which channels, and when sending is given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from services.chassis.decider import Decider, Sealed
from services.notification.messages.commands import (
    ComposeMessage,
    MarkRead,
    MessageCommand,
    RecordFailure,
    RecordSent,
    RetryMessage,
)
from services.notification.messages.events import (
    MessageComposed,
    MessageEvent,
    MessageRead,
    MessageSent,
    RetryRequested,
    SendAbandoned,
    SendFailed,
)
from services.notification.messages.values import message_id
from services.notification.refusals import Refused
from services.notification.values import Channel, ChannelChoice, Language, MessageKind, require_choice


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


def _decide_message(command: MessageCommand, state: Message) -> Sequence[MessageEvent]:
    match command:
        case ComposeMessage():
            return _compose(command, state)
        case RecordSent():
            _pending(command, state)
            return [
                MessageSent(
                    message_id=command.message_id,
                    account_id=state.account_id,
                    at=command.at,
                    by=command.by,
                    channel=command.channel,
                )
            ]
        case RecordFailure():
            return _fail(command, state)
        case RetryMessage():
            if _delivery(command, state).progress is not Progress.ABANDONED:
                raise Refused("NOT_ABANDONED", channel=command.channel.called)
            return [
                RetryRequested(
                    message_id=command.message_id,
                    account_id=state.account_id,
                    at=command.at,
                    by=command.by,
                    channel=command.channel,
                )
            ]
        case MarkRead():
            if state.account_id != command.by:  # a stranger learns nothing, not even that it exists
                raise Refused("NOT_FOUND", message_id=command.message_id)
            if state.read:
                raise Refused("ALREADY_READ", message_id=command.message_id)
            return [
                MessageRead(message_id=command.message_id, account_id=state.account_id, at=command.at, by=command.by)
            ]
        case _:
            assert_never(command)


def _compose(c: ComposeMessage, state: Message) -> Sequence[MessageEvent]:
    message = message_id(c.fact_id, c.account_id)
    if state.account_id:
        raise Refused("ALREADY_COMPOSED", message_id=message)
    if c.language is Language.UNSPECIFIED:
        raise Refused("LANGUAGE_MISSING")
    if c.kind is MessageKind.UNSPECIFIED:
        raise Refused("KIND_MISSING")
    require_choice(ChannelChoice(c.kind, c.channels))
    composed = MessageComposed(
        message_id=message,
        account_id=c.account_id,
        at=c.at,
        by=c.by,
        template=c.template,
        template_version=c.template_version,
        kind=c.kind,
        fact_id=c.fact_id,
        fact_type=c.fact_type,
        code=c.code,
        language=c.language,
        channels=c.channels,
        subject=Sealed(c.subject),
        body=Sealed(c.body),
    )
    return [composed, MessageSent(message_id=message, account_id=c.account_id, at=c.at, by=c.by, channel=Channel.INBOX)]


def _fail(c: RecordFailure, state: Message) -> Sequence[MessageEvent]:
    attempt = _pending(c, state).attempts + 1
    final = c.permanent or attempt >= c.policy.attempts
    retry_at = None if final else c.at + c.policy.delay(attempt, c.jitter)
    failed = SendFailed(
        message_id=c.message_id,
        account_id=state.account_id,
        at=c.at,
        by=c.by,
        channel=c.channel,
        attempt=attempt,
        why=c.why,
        retry_at=retry_at,
    )
    if not final:
        return [failed]
    return [
        failed,
        SendAbandoned(
            message_id=c.message_id, account_id=state.account_id, at=c.at, by=c.by, channel=c.channel, why=c.why
        ),
    ]


def _delivery(command: RecordSent | RecordFailure | RetryMessage, state: Message) -> Delivery:
    if not state.account_id:
        raise Refused("NOT_FOUND", message_id=command.message_id)
    for delivery in state.deliveries:
        if delivery.channel is command.channel:
            return delivery
    raise Refused("CHANNEL_NOT_CHOSEN", channel=command.channel.called)


def _pending(command: RecordSent | RecordFailure, state: Message) -> Delivery:
    delivery = _delivery(command, state)
    match delivery.progress:
        case Progress.PENDING:
            return delivery
        case Progress.SENT:
            raise Refused("ALREADY_SENT", channel=command.channel.called)
        case Progress.ABANDONED:
            raise Refused("ABANDONED", channel=command.channel.called)
        case _:
            assert_never(delivery.progress)


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
