"""Facts of messages and preferences <-> motcua.notification.events.v1."""

from motcua.notification.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.notification.messages.events import MessageEvent
from services.notification.preferences.events import PreferencesChanged

message_codec: Codec[MessageEvent] = Codec(MessageEvent, events_pb2)
preferences_codec: Codec[PreferencesChanged] = Codec(PreferencesChanged, events_pb2)
