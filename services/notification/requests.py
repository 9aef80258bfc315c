"""From a request to the command that it asks for. Each function's name is the command's."""

from __future__ import annotations

from motcua.notification.v1 import notification_service_pb2 as pb
from services.chassis.calls.call import Call
from services.notification.counterparts import CHANNEL, CHOICE, LANGUAGE
from services.notification.messages.commands import MarkRead, RetryMessage
from services.notification.preferences.commands import UpdatePreferences
from services.notification.reading import Chosen
from services.notification.values import Channel, ChannelChoice, Language, MessageKind


def mark_read(call: Call[pb.MarkReadRequest]) -> MarkRead:
    return MarkRead(message_id=call.request.message_id, at=call.now, by=call.caller.actor)


def update_preferences(call: Call[pb.UpdatePreferencesRequest], before: Chosen) -> UpdatePreferences:
    """What is not updated stays as it was chosen before."""
    request, me, updates = call.request, call.caller.account_id, call.updates
    choices = [CHOICE.stored(choice) for choice in request.choices]
    chosen = tuple(ChannelChoice(MessageKind(each.kind), tuple(map(Channel, each.channels))) for each in choices)
    return UpdatePreferences(
        account_id=me,
        at=call.now,
        by=me,
        language=Language(LANGUAGE.stored(request.language)) if "language" in updates else before.language,
        choices=chosen if "choices" in updates else before.choices,
        email=request.email if "email" in updates else before.email,
    )


def retry_message(call: Call[pb.RetryMessageRequest]) -> RetryMessage:
    channel = Channel(CHANNEL.stored(call.request.channel))
    return RetryMessage(message_id=call.request.message_id, at=call.now, by=call.caller.actor, channel=channel)
