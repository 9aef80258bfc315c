"""One function guards privacy: nothing that is not marked public gets through, in any event there is."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.options.v1 import options_pb2
from services.chassis.privacy.public_view import PLAIN, is_public, public_view, unknown
from tests.status.samples import HISTORIES, SECRET

PROTOS = Path(__file__).parents[2] / "protos"


def event_types() -> list[Descriptor]:
    found: list[Descriptor] = []
    for path in sorted(PROTOS.glob("motcua/*/events/v1/*.proto")):
        module = importlib.import_module(".".join(path.relative_to(PROTOS).with_suffix("").parts) + "_pb2")
        found += module.DESCRIPTOR.message_types_by_name.values()
    return found


EVENTS = event_types()


def filled(descriptor: Descriptor, draw: Any, depth: int = 0) -> Message:
    """A message with a value, never the default one, in every field."""
    message: Message = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            if value.message_type:
                getattr(message, field.name)[scalar(key, draw)].CopyFrom(filled(value.message_type, draw, depth + 1))
            else:
                getattr(message, field.name)[scalar(key, draw)] = scalar(value, draw)
        elif field.message_type and depth < 4:
            inner = [filled(field.message_type, draw, depth + 1) for _ in range(2 if field.is_repeated else 1)]
            if field.is_repeated:
                getattr(message, field.name).extend(inner)
            else:
                getattr(message, field.name).CopyFrom(inner[0])
        elif not field.message_type:
            if field.is_repeated:
                getattr(message, field.name).extend([scalar(field, draw), scalar(field, draw)])
            else:
                setattr(message, field.name, scalar(field, draw))
    return message


def scalar(field: FieldDescriptor, draw: Any) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = draw(st.text("abcXYZ", min_size=1, max_size=6))
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type
            return draw(st.sampled_from([value.number for value in field.enum_type.values if value.number]))
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return 0.5
        case _:
            return draw(st.integers(1, 1000))


def leaks(message: Message) -> Iterator[str]:
    """The fields that are set and not marked, judged anew from the descriptors."""
    for field, value in message.ListFields():
        options = field.GetOptions()
        if not options.Extensions[options_pb2.public] or options.HasExtension(options_pb2.sealed):
            yield field.full_name
        if field.message_type and field.message_type.full_name not in PLAIN:
            for inner in value if field.is_repeated else [value]:
                yield from leaks(inner)


@pytest.mark.parametrize("descriptor", EVENTS, ids=lambda descriptor: descriptor.full_name)
@settings(max_examples=5)
@given(data=st.data())
def test_nothing_unmarked_survives_and_nothing_marked_is_lost(descriptor: Descriptor, data: st.DataObject) -> None:
    message = filled(descriptor, data.draw)
    before = message.SerializeToString(deterministic=True)
    view = public_view(message)
    assert list(leaks(view)) == []
    assert {field.name for field, _ in view.ListFields()} == {f.name for f in descriptor.fields if is_public(f)}
    assert message.SerializeToString(deterministic=True) == before
    assert public_view(view) == view


def parts(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            mapped = field.message_type.GetOptions().map_entry
            inner = value.values() if mapped else value if field.is_repeated else [value]
            yield from (part for one in inner if isinstance(one, Message) for part in parts(one))


@pytest.mark.parametrize("descriptor", EVENTS, ids=lambda descriptor: descriptor.full_name)
@settings(max_examples=10)
@given(data=st.data())
def test_what_a_later_release_added_is_seen_wherever_it_is(descriptor: Descriptor, data: st.DataObject) -> None:
    event = filled(descriptor, data.draw)
    assert list(unknown(event)) == []
    part = data.draw(st.sampled_from(list(parts(event))))
    part.MergeFromString(b"\xf8\x7c\x07")
    assert list(unknown(event)) == [f"field 1999 of {part.DESCRIPTOR.full_name}"]


def test_there_are_events_to_guard() -> None:
    assert {"DossierSubmitted", "ProcedurePublished"} <= {descriptor.name for descriptor in EVENTS}


def test_no_field_of_any_event_is_both_public_and_sealed() -> None:
    both = [
        field.full_name
        for descriptor in EVENTS
        for field in descriptor.fields
        if field.GetOptions().Extensions[options_pb2.public] and field.GetOptions().HasExtension(options_pb2.sealed)
    ]
    assert both == []


def test_nested_messages_are_cleaned() -> None:
    component = facts.Component(component_code="photo", sha256="s", media_type="m", size=3, document_id="d")
    event = facts.DossierSubmitted(code="c", applicant_id="a", components=[component])
    view = facts.DossierSubmitted(code="c", components=[facts.Component(component_code="photo")])
    assert public_view(event) == view


def test_no_secret_survives_in_any_history() -> None:
    for history in HISTORIES.values():
        for event in history:
            assert SECRET in str(event) or SECRET.encode() in event.SerializeToString()
            assert SECRET.encode() not in public_view(event).SerializeToString()


def test_unknown_fields_are_left_out_at_every_depth() -> None:
    secret = b"\xfa\x3f\x06secret"
    event = facts.SupplementSupplied.FromString(facts.SupplementSupplied(code="c").SerializeToString() + secret)
    inner = facts.Component(component_code="photo").SerializeToString() + secret
    event.components.append(facts.Component.FromString(inner))
    event.at.MergeFromString(secret)
    assert event.SerializeToString().count(b"secret") == 3
    assert b"secret" not in public_view(event).SerializeToString()


def odd_message() -> type[Message]:
    """What no schema has today: a sealed public field, a map of messages, a Struct."""
    file = descriptor_pb2.FileDescriptorProto(
        name="odd.proto",
        package="odd",
        syntax="proto3",
        dependency=[facts.DESCRIPTOR.name, struct_pb2.DESCRIPTOR.name],
    )
    odd = file.message_type.add(name="Odd")
    entry = odd.nested_type.add(name="ByCodeEntry")
    entry.options.map_entry = True
    string, message = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE
    label: Any = descriptor_pb2.FieldDescriptorProto
    component = ".motcua.dossier.events.v1.Component"
    entry.field.add(name="key", number=1, type=label.TYPE_STRING, label=label.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=label.TYPE_MESSAGE, label=label.LABEL_OPTIONAL, type_name=component)
    for number, (name, kind, type_name, repeated) in enumerate(
        [
            ("both", string, "", False),
            ("by_code", message, ".odd.Odd.ByCodeEntry", True),
            ("anything", message, ".google.protobuf.Struct", False),
        ],
        1,
    ):
        field = odd.field.add(
            name=name, number=number, label=label.LABEL_REPEATED if repeated else label.LABEL_OPTIONAL
        )
        field.type = kind  # type: ignore[assignment]
        if type_name:
            field.type_name = type_name
        field.options.Extensions[options_pb2.public] = True
    odd.field[0].options.Extensions[options_pb2.sealed].subject = "x"
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("odd.Odd"))


def test_a_seal_wins_over_a_mark_and_open_ended_messages_come_out_empty() -> None:
    event: Any = odd_message()()
    event.both = "secret"
    event.by_code["a"].component_code = "photo"
    event.by_code["a"].sha256 = "secret"
    event.anything["name"] = "secret"
    view: Any = public_view(event)
    assert view.both == ""
    assert view.by_code["a"] == facts.Component(component_code="photo")
    assert b"secret" not in view.SerializeToString()
