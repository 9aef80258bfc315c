"""Documents' facts <-> motcua.warehouse.events.v1."""

from motcua.warehouse.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.warehouse.events import Event

document_codec: Codec[Event] = Codec(Event, events_pb2)
