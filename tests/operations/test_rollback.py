"""What a release does with events of a later one, as docs/operations.md says it: after a rollback, and while pods are replaced."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from google.protobuf import descriptor_pool
from sqlalchemy import MetaData

from command.registry import service_classes
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.keep import entries
from motcua.dossier.events.v1 import events_pb2 as pb
from services.chassis.deciding.handler import Handler
from services.chassis.following.views import Projection
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import NO_STREAM, NewEvent, RecordedEvent
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from tests.support.keys import MemoryKeys

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PROTOS = Path(__file__).parents[2] / "protos" / "motcua"
# Field 1999, a number: of no proto of ours.
LATER_FIELD = b"\xf8\x7c\x07"
LATER_EVENT = "motcua.dossier.events.v1.DossierTeleported"
RECEIVED = pb.DossierReceived(code="P56.22.366-20260302-0000001", applicant_id="citizen-1", by="official:1")


SUBMITTED = pb.DossierSubmitted(code=RECEIVED.code, applicant_id="citizen-1", by="citizen-1", channel=pb.CHANNEL_ONLINE)
# Field 7 again: the last one counts.
LATER_CHANNEL = b"\x38\x63"


def with_component(more: bytes) -> bytes:
    component = pb.Component.FromString(pb.Component(component_code="form").SerializeToString() + more)
    return pb.DossierSubmitted(applicant_id="citizen-1", components=[component]).SerializeToString()


def recorded(type_: str, data: bytes) -> RecordedEvent:
    return RecordedEvent(uuid4(), type_, data, b"{}", f"dossier-{RECEIVED.code}", 0, 1, NOW)


def test_a_field_of_a_later_release_is_left_aside() -> None:
    data = RECEIVED.SerializeToString()
    type_ = RECEIVED.DESCRIPTOR.full_name
    assert dossier_codec.decode(type_, data + LATER_FIELD) == dossier_codec.decode(type_, data)


def test_a_value_of_an_enum_of_a_later_release_is_not_taken_for_another() -> None:
    submitted = pb.DossierSubmitted(channel=99)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="99"):
        dossier_codec.decode(submitted.DESCRIPTOR.full_name, submitted.SerializeToString())


async def test_a_dossier_with_an_event_of_a_later_release_is_neither_read_nor_changed() -> None:
    """Its calls end with INTERNAL; nothing is appended, and the next release goes on."""
    store = MemoryStore()
    metadata = json.dumps({"request_id": str(uuid4())}).encode()
    await store.append("dossier-1", [NewEvent(uuid4(), LATER_EVENT, b"", metadata)], NO_STREAM)
    handler = Handler("dossier", dossier, dossier_codec, store, MemoryKeys(), "vn-56", "dossier", lambda: NOW)
    with pytest.raises(KeyError, match="DossierTeleported"):
        await handler.load("1")
    assert len(await store.read("dossier-1")) == 1


def test_the_ledger_waits_at_an_event_of_a_later_release() -> None:
    """It would have to say what of it is public, and does not know."""
    with pytest.raises(KeyError, match="DossierTeleported"):
        entries.read([recorded(LATER_EVENT, b"")])


@pytest.mark.parametrize(
    ("written", "strange"),
    [
        (SUBMITTED.SerializeToString() + LATER_FIELD, "field 1999 of motcua.dossier.events.v1.DossierSubmitted"),
        (with_component(LATER_FIELD), "field 1999 of motcua.dossier.events.v1.Component"),
        (
            SUBMITTED.SerializeToString() + LATER_CHANNEL,
            "value 99 of motcua.dossier.events.v1.DossierSubmitted.channel",
        ),
    ],
    ids=["field", "field of a part", "enum"],
)
def test_the_ledger_waits_at_what_a_later_release_wrote_into_an_event(written: bytes, strange: str) -> None:
    """A leaf without a public field would stay so for ever."""
    type_ = SUBMITTED.DESCRIPTOR.full_name
    entries.read([recorded(type_, SUBMITTED.SerializeToString())])
    with pytest.raises(LedgerError, match=rf"\({re.escape(strange)}\).*Upgrade the ledger"):
        entries.read([recorded(type_, written)])


def test_no_event_is_taken_for_another_whose_name_it_begins_with() -> None:
    """Followers ask the store for events by the beginning of their names."""
    service_classes()
    for package in _event_packages():
        import_module(f"{package}.events_pb2")
    pool = descriptor_pool.Default()
    names = [
        f"{package}.{message}"
        for package in sorted(_event_packages())
        for message in pool.FindFileByName(f"{package.replace('.', '/')}/events.proto").message_types_by_name
    ]
    assert len(names) > 50
    assert [(a, b) for a in names for b in names if a != b and b.startswith(a)] == []


def _event_packages() -> set[str]:
    return {f"motcua.{path.parts[-4]}.events.v1" for path in PROTOS.glob("*/events/v1/events.proto")}


async def test_a_view_does_not_see_events_that_it_does_not_fold() -> None:
    view = Projection("trial_v1", MetaData())
    view.on(pb.DossierReceived)(lambda db, fact: None)
    store = MemoryStore()
    await store.append("dossier-1", [NewEvent(uuid4(), LATER_EVENT, b"", b"{}")], NO_STREAM)
    assert await store.read_all(types=tuple(view.folds)) == []
