"""From stored events to leaves: the public view, and the commitment under the subject's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.leaf import Leaf, commitment
from motcua.dossier.events.v1 import events_pb2
from services.chassis.deciding.facts import message_of
from services.chassis.privacy.public_view import public_view, unknown
from services.chassis.privacy.sealing import Keys
from services.chassis.store.port import RecordedEvent

TYPES = (f"{events_pb2.DESCRIPTOR.package}.",)
CATEGORY = "dossier-"


@dataclass(frozen=True, slots=True)
class DossierEvent:
    """An event of a dossier, read."""

    event: RecordedEvent
    message: Message
    subject: str
    """The account of the applicant, under whose key it is committed to."""

    @property
    def code(self) -> str:
        return code_of(self.event)


def of_dossiers(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """Drafts have the same types and are nobody else's business."""
    return [event for event in events if event.stream.startswith(CATEGORY)]


def code_of(event: RecordedEvent) -> str:
    return event.stream.removeprefix(CATEGORY)


def read(events: Sequence[RecordedEvent]) -> list[DossierEvent]:
    """Raises LedgerError for an event that names no subject, or that a later release wrote: what of it is public is not known."""
    return [_read(event) for event in events]


def _read(event: RecordedEvent) -> DossierEvent:
    message: Any = message_of(event)
    subject = getattr(message, "applicant_id", "")
    if not subject:
        raise LedgerError(f"event {event.id} ({event.type}) of {event.stream} has no applicant_id to commit under")
    if strange := next(unknown(message), None):
        raise LedgerError(
            f"event {event.id} ({event.type}) of {event.stream} holds what this release does not know ({strange}): a later one"
            " wrote it, and only that one can say whether it is public. Upgrade the ledger"
        )
    return DossierEvent(event, message, subject)


def leaf_of(found: DossierEvent, keys: Keys, previous: bytes) -> Leaf:
    """The event's leaf. `keys` holds the key of every subject that was not erased; `previous` is Leaf.previous."""
    event = found.event
    key = keys.get(found.subject)
    return Leaf(
        code=found.code,
        revision=event.revision,
        id=event.id,
        type=event.type,
        time=event.recorded_at,
        event=json_format.MessageToDict(public_view(found.message), preserving_proto_field_name=True),
        previous=previous,
        commitment=_commitment(event, key) if key else b"",
    )


def _commitment(event: RecordedEvent, key: bytes) -> bytes:
    return commitment(key, event.stream, event.revision, event.id, event.type, event.data, event.metadata)
