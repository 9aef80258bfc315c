"""Facts of messages and preferences <-> motcua.notification.events.v1."""

from motcua.notification.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.notification import domain

message_codec: Codec[domain.MessageEvent] = Codec(domain.MessageEvent, events_pb2)
preferences_codec: Codec[domain.PreferencesChanged] = Codec(domain.PreferencesChanged, events_pb2)
