"""Dossiers' facts <-> motcua.dossier.events.v1."""

from motcua.dossier.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.dossier import draft, events

dossier_codec: Codec[events.Event] = Codec(events.Event, events_pb2)
draft_codec: Codec[draft.Event] = Codec(draft.Event, events_pb2)
