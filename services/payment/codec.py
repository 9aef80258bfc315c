"""Payments' facts <-> motcua.payment.events.v1."""

from motcua.payment.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.payment.events import Event

payment_codec: Codec[Event] = Codec(Event, events_pb2)
