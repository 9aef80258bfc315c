"""What of an event may be shown to everyone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from motcua.options.v1 import options_pb2

M = TypeVar("M", bound=Message)

# Messages that hold one plain value and carry no options. Any and Struct could hold anything: they are not here.
PLAIN = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


def is_public(field: FieldDescriptor) -> bool:
    """Marked public, and not sealed: where a field is marked both, the seal wins."""
    options = field.GetOptions()
    return bool(options.Extensions[options_pb2.public]) and not options.HasExtension(options_pb2.sealed)


def public_view(message: M) -> M:
    """A copy that holds only the fields marked public, at every depth. Unknown fields and extensions are left out."""
    view = type(message)()
    for field, value in message.ListFields():
        if field.is_extension or not is_public(field):
            continue
        if field.message_type is None:
            _copy_plain(view, field, value)
        elif field.message_type.GetOptions().map_entry:
            _copy_map(view, field, value)
        elif field.is_repeated:
            getattr(view, field.name).extend(map(_nested, value))
        else:
            getattr(view, field.name).CopyFrom(_nested(value))
    return view


def unknown(message: Message) -> Iterator[str]:
    """What a later release wrote and this one does not know, at every depth: fields, and values of enums."""
    fields = UnknownFieldSet(message)
    yield from (f"field {fields[i].field_number} of {message.DESCRIPTOR.full_name}" for i in range(len(fields)))
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            item = field.message_type.fields_by_name["value"]
            yield from _unknown_in(item, value.values())
        else:
            yield from _unknown_in(field, value if field.is_repeated else (value,))


def _unknown_in(field: FieldDescriptor, values: Iterable[Any]) -> Iterator[str]:
    if field.message_type:
        for value in values:
            yield from unknown(value)
    elif field.enum_type:
        yield from (f"value {v} of {field.full_name}" for v in values if v not in field.enum_type.values_by_number)


def _nested(value: M) -> M:
    if value.DESCRIPTOR.full_name not in PLAIN:
        return public_view(value)
    copy = type(value)()
    copy.CopyFrom(value)
    copy.DiscardUnknownFields()
    return copy


def _copy_plain(view: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(view, field.name).extend(value)
    else:
        setattr(view, field.name, value)


def _copy_map(view: Message, field: FieldDescriptor, value: Any) -> None:
    copy = getattr(view, field.name)
    for key, item in value.items():
        if isinstance(item, Message):
            copy[key].CopyFrom(_nested(item))
        else:
            copy[key] = item
