"""A message and preferences as their owner reads them, from their streams; always fresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from motcua.notification.events.v1 import events_pb2 as e
from motcua.notification.v1 import notification_pb2
from services.chassis.deciding.facts import fact_of
from services.chassis.privacy.sealing import ERASED, LOST, KeyRing, open_message
from services.chassis.store.port import NO_STREAM, RecordedEvent
from services.notification.channels.port import AddressKind
from services.notification.codec import preferences_codec
from services.notification.counterparts import CHANNEL, KIND, LANGUAGE
from services.notification.known import KnownDossier, Stored
from services.notification.values import CHANNELS, ChannelChoice, Language, MessageKind
from services.notification.views import ABANDONED, PENDING, SENT


async def shown(history: Sequence[RecordedEvent], keys: KeyRing) -> notification_pb2.Message:
    first = fact_of(history[0])
    composed: e.MessageComposed = first.event
    opened = await open_message(composed, first.event_id, keys)
    reply = notification_pb2.Message(
        message_id=composed.message_id,
        kind=KIND.shown(composed.kind),
        dossier_code=composed.code,
        language=LANGUAGE.shown(composed.language),
        subject=opened.get("subject", ""),
        body=opened.get("body", ""),
        composed_at=composed.at,
        deliveries=[
            notification_pb2.Delivery(channel=CHANNEL.shown(channel), status=PENDING) for channel in composed.channels
        ],
        revision=history[-1].revision,
    )
    by_channel = dict(zip(composed.channels, reply.deliveries, strict=True))
    for recorded in history[1:]:
        match fact_of(recorded).event:
            case e.MessageSent() as event:
                by_channel[event.channel].status = SENT
                by_channel[event.channel].sent_at.CopyFrom(event.at)
            case e.SendFailed() as event:
                by_channel[event.channel].attempts = event.attempt
            case e.SendAbandoned() as event:
                by_channel[event.channel].status = ABANDONED
            case e.RetryRequested() as event:
                by_channel[event.channel].status = PENDING
                by_channel[event.channel].attempts = 0
            case e.MessageRead() as event:
                reply.read_at.CopyFrom(event.at)
    return reply


@dataclass(frozen=True, slots=True)
class Chosen:
    """A person's preferences, with the defaults of what was not chosen."""

    language: Language
    choices: tuple[ChannelChoice, ...]
    # Empty: none was chosen, or the person was erased.
    email: str
    revision: int
    erased: bool = False


async def chosen_of(history: Sequence[RecordedEvent], contact: Stored | None, keys: KeyRing) -> Chosen:
    if history:
        last = history[-1]
        event = preferences_codec.decode(last.type, last.data)
        opened = await open_message(fact_of(last).event, last.id, keys)
        chosen = {choice.kind: choice for choice in event.choices}
        language, email, revision = event.language, opened.get("email", ""), last.revision
        if email == LOST:
            email = ""
        if email == ERASED:
            return Chosen(language, _every(chosen), "", revision, erased=True)
    else:
        profile = getattr(contact.event, "language", 0) if contact else 0
        chosen, language, email, revision = {}, Language(profile or Language.VIETNAMESE.value), "", NO_STREAM
    return Chosen(language, _every(chosen), email, revision)


def _every(chosen: Mapping[MessageKind, ChannelChoice]) -> tuple[ChannelChoice, ...]:
    kinds = (kind for kind in MessageKind if kind is not MessageKind.UNSPECIFIED)
    return tuple(chosen.get(kind, ChannelChoice(kind, CHANNELS)) for kind in kinds)


def preferences_of(chosen: Chosen) -> notification_pb2.Preferences:
    choices = [
        notification_pb2.ChannelChoice(
            kind=KIND.shown(choice.kind.value), channels=[CHANNEL.shown(channel.value) for channel in choice.channels]
        )
        for choice in chosen.choices
    ]
    return notification_pb2.Preferences(
        language=LANGUAGE.shown(chosen.language.value),
        choices=choices,
        email=ERASED if chosen.erased else chosen.email,
        revision=chosen.revision,
    )


async def address_of(
    kind: AddressKind, chosen: Chosen, dossier: KnownDossier | None, contact: Stored | None, keys: KeyRing
) -> str:
    """Where to write to about a dossier: as the person chose, else as given with the dossier, else the account's."""
    if kind is AddressKind.EMAIL and chosen.email:
        return chosen.email
    for source in (dossier and dossier.submitted, contact):
        if source and (address := (await source.opened(keys)).get(kind.value)):
            return address
    return ""
