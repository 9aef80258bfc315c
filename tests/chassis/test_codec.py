from dataclasses import fields, make_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag

from motcua.dossier.events.v1 import events_pb2
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import Codec, CodecDrifted, Shape
from services.chassis.deciding.facts import message_class
from services.chassis.privacy.sealing import ERASED, SubjectErased, open_message, sealed_fields
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.values import Component
from tests.dossier import world as w
from tests.support.keys import MemoryKeys

KEYS = {"citizen-1": bytes(range(32))}
Score = Enum("Score", {"GOOD": 99})
APPROVED = {"code": str, "applicant_id": str, "at": datetime, "by": str, "agency": str}


def event_of(name: str, **hints: Any) -> type[Any]:
    return make_dataclass(name, list(hints.items()), frozen=True, slots=True)


@pytest.mark.parametrize(
    ("message", "hints", "fault"),
    [
        ("DossierApproved", APPROVED | {"colour": str}, "only on one side: colour"),
        ("DossierApproved", {k: v for k, v in APPROVED.items() if k != "agency"}, "only on one side: agency"),
        ("DossierApproved", APPROVED | {"agency": int}, "int in the domain"),
        ("DossierApproved", APPROVED | {"agency": datetime}, "no Timestamp"),
        ("DossierApproved", APPROVED | {"agency": Score}, "no enum"),
        ("DossierApproved", APPROVED | {"agency": tuple[str, ...]}, "not repeated"),
        ("DossierApproved", APPROVED | {"agency": str | None}, "without presence"),
        ("DossierApproved", APPROVED | {"agency": Sealed}, "sealed on one side"),
        ("DossierApproved", APPROVED | {"agency": complex}, "no rule for"),
        (
            "DossierRefused",
            {k: v for k, v in APPROVED.items() if k != "agency"} | {"reason": str},
            "sealed on one side",
        ),
    ],
)
def test_a_domain_event_that_drifts_from_its_message_stops_the_import(message: str, hints: Any, fault: str) -> None:
    with pytest.raises(CodecDrifted, match=fault):
        Codec(event_of(message, **hints), events_pb2)


def test_an_enum_that_the_proto_does_not_know_is_drift() -> None:
    known = {field.name: field.type for field in fields(_kind("ProcessingStopped"))}
    hints = {"code": str, "applicant_id": str, "at": datetime, "by": str, "cause": Score, "explanation": Sealed}
    assert set(hints) == set(known)
    with pytest.raises(CodecDrifted, match="has no"):
        Codec(event_of("ProcessingStopped", **hints), events_pb2)


def test_an_event_without_a_message_is_drift() -> None:
    with pytest.raises(CodecDrifted, match="has no message Nothing"):
        Codec(event_of("Nothing", code=str), ModuleType("empty"))


def _kind(name: str) -> type[Any]:
    return next(type(event) for event in LIVES if type(event).__name__ == name)


PAUSED = (*w.PROCESSED_BY_COMMUNE, w.request_supplement(), w.supply(), w.assess(), w.pay(), w.transfer())
LIVES = [
    *w.story(*w.RETURNED, w.rate(), w.confirm(3)),
    *w.story(*PAUSED),
    *w.story(*w.NEW, w.stop()),
    *w.story(*w.PROCESSED_BY_COMMUNE, w.note(w.at("2026-03-10T08:00"))),
]


@pytest.mark.parametrize("event", LIVES, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_without_what_was_sealed(event: Any) -> None:
    _, type_, data = dossier_codec.encode(event, uuid4(), 0, KEYS)
    blank = dict.fromkeys(sealed_fields(message_class(type_).DESCRIPTOR), Sealed())
    decoded = dossier_codec.decode(type_, data)
    assert decoded == replace(event, **blank)
    assert dossier.evolve(dossier.initial, decoded).revision == 0


SUBMITTED: Any = LIVES[0]


async def opened(message: Any, event_id: Any, erased: bool = False) -> dict[str, str]:
    keys = MemoryKeys()
    keys._keys.update(KEYS)
    if erased:
        keys.erase("citizen-1")
    return await open_message(message, event_id, keys)


async def test_what_was_sealed_is_opened_with_the_subject_s_key() -> None:
    event_id, type_, data = dossier_codec.encode(SUBMITTED, uuid4(), 0, KEYS)
    message = message_class(type_).FromString(data)
    texts = {"applicant_name": "Nguyễn Văn A", "email": "a@vi.example", "phone": "0905123456", "form": '{"people": 2}'}
    assert await opened(message, event_id) == texts
    assert await opened(message, event_id, erased=True) == dict.fromkeys(texts, ERASED)
    assert not any(text.encode() in data for text in texts.values())


async def test_what_was_tampered_with_is_not_opened() -> None:
    event_id, type_, data = dossier_codec.encode(SUBMITTED, uuid4(), 0, KEYS)
    message: Any = message_class(type_).FromString(data)
    with pytest.raises(InvalidTag):
        await opened(message, uuid4())
    message.email, message.phone = message.phone, message.email
    with pytest.raises(InvalidTag):
        await opened(message, event_id)
    message = message_class(type_).FromString(data)
    message.form = message.form[:-1] + bytes([message.form[-1] ^ 1])
    with pytest.raises(InvalidTag):
        await opened(message, event_id)
    message = message_class(type_).FromString(data)
    message.form = b"\x02" + message.form[1:]
    with pytest.raises(ValueError, match="unknown version"):
        await opened(message, event_id)


def test_nothing_is_sealed_for_whom_there_is_no_key() -> None:
    with pytest.raises(SubjectErased):
        dossier_codec.encode(SUBMITTED, uuid4(), 0, {})
    assert dossier_codec.subjects([SUBMITTED]) == {"citizen-1"}
    without = replace(SUBMITTED, applicant_name=Sealed(), email=Sealed(), phone=Sealed(), form=Sealed())
    assert dossier_codec.subjects([without]) == set()
    dossier_codec.encode(without, uuid4(), 0, {})


def test_an_id_follows_from_the_request_the_place_and_what_is_said() -> None:
    request, later = uuid4(), replace(SUBMITTED, at=datetime(2027, 1, 1, tzinfo=UTC))
    ids = [
        dossier_codec.encode(event, request_id, index, KEYS)[0]
        for event, request_id, index in (
            (SUBMITTED, request, 0),
            (SUBMITTED, request, 0),
            (SUBMITTED, request, 1),
            (later, request, 0),
            (SUBMITTED, uuid4(), 0),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_a_value_is_joined_by_its_fields_names() -> None:
    shape = Shape(Component, events_pb2.Component)
    assert shape.read(shape.write(w.HOUSING)) == w.HOUSING
