"""How long a text may be and how it is read is said in the protos, of each field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.options.v1 import options_pb2
from motcua.options.v1.options_pb2 import Text
from services.chassis.calls import requests
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.following.in_force import SHAPES
from tests.support.rpcs import RPCS

# Of each field: characters, whether trimmed, whether what parts digits is dropped, and the form. As they were when names of fields
# decided; what was let in once is not refused later.
BEFORE = json.loads(Path(__file__).with_name("texts.json").read_text("utf-8"))
FORMS: dict[int, str] = {
    Text.TEXT_UUID: "uuid",
    Text.TEXT_DOSSIER_CODE: "code",
    Text.TEXT_NAME: "name",
    Text.TEXT_PERSON_NAME: "person",
    Text.TEXT_EMAIL: "email",
    Text.TEXT_PHONE: "phone",
}


def fields(descriptor: Any, found: dict[str, FieldDescriptor]) -> None:
    for field in descriptor.fields:
        if field.full_name not in found:
            found[field.full_name] = field
            if field.message_type is not None:
                fields(field.message_type, found)


def described(message: type[Message]) -> Any:
    return message.DESCRIPTOR


def now() -> dict[str, list[Any]]:
    found: dict[str, FieldDescriptor] = {}
    for rpc in RPCS:
        fields(described(rpc.request), found)
    return {name: limits(requests.kind_of(field)) for name, field in found.items()}


def limits(kind: int) -> list[Any]:
    reading = requests.reading_of(kind)
    return [reading.longest, reading.trimmed, bool(reading.dropped), FORMS.get(kind, "")]


def test_no_field_was_given_other_limits() -> None:
    found = now()
    assert {name: found[name] for name in found if name in BEFORE} == {
        name: BEFORE[name] for name in BEFORE if name in found
    }


def test_every_text_that_is_checked_says_what_it_is() -> None:
    for rpc in RPCS:
        requests.require_kinds(described(rpc.request))
    for shape in SHAPES.values():
        requests.require_kinds(described(shape.message))


def test_every_kind_has_a_limit() -> None:
    for kind in Text.values():
        assert kind == Text.TEXT_UNSPECIFIED or requests.reading_of(kind).longest > 0


def test_a_text_that_says_nothing_stops_its_service() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="texts.proto", package="texts", syntax="proto3")
    text, message = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="silent", number=1, type=text, label=3)
    said = inner.field.add(name="said", number=2, type=text, label=1)
    said.options.Extensions[options_pb2.text] = Text.TEXT_KEY
    outer = file.message_type.add(name="Outer")
    outer.field.add(name="inner", number=1, type=message, type_name=".texts.Inner", label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    with pytest.raises(TypeError, match=r"^texts\.Inner\.silent: no \(text\) is declared$"):
        requests.require_kinds(pool.FindMessageTypeByName("texts.Outer"))


@given(st.uuids(), st.booleans())
def test_an_id_of_a_request_is_written_as_uuids_are(number: UUID, upper: bool) -> None:
    written = str(number).upper() if upper else str(number)
    requests.check(pb.DiscardDraftRequest(request_id=written, draft_id="draft"))
    for wrong in (number.hex, f"{{{written}}}", f" {written}", f"{written}\n", written[:-1]):
        with pytest.raises(RequestInvalid) as refused:
            requests.check(pb.DiscardDraftRequest(request_id=wrong, draft_id="draft"))
        assert [(each.field, each.en) for each in refused.value.violations] == [("request_id", "It must be a UUID.")]
