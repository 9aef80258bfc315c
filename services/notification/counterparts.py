"""What messages and preferences store, and the same in the API."""

from motcua.notification.events.v1 import events_pb2 as stored
from motcua.notification.v1 import notification_pb2 as shown
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls.counterparts import Messages, Values

CHANNEL: Values[int] = Values(stored.Channel, shown.MessageChannel)
KIND: Values[int] = Values(stored.MessageKind, shown.MessageKind)
LANGUAGE: Values[int] = Values(stored.Language, types.Language)
CHOICE = Messages(stored.ChannelChoice, shown.ChannelChoice)
