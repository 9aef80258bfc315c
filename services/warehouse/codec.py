"""Documents' facts <-> motcua.warehouse.events.v1."""

from motcua.warehouse.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.warehouse import domain

document_codec: Codec[domain.Event] = Codec(domain.Event, events_pb2)
