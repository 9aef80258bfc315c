"""Dossiers' facts <-> motcua.dossier.events.v1."""

from motcua.dossier.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.dossier import events
from services.dossier.draft import events as draft_events

dossier_codec: Codec[events.Event] = Codec(events.Event, events_pb2)
draft_codec: Codec[draft_events.Event] = Codec(draft_events.Event, events_pb2)
