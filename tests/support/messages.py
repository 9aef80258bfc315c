"""Any message of a type: what a client may send, sane or not."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from services.chassis.deciding.facts import message_class

F = FieldDescriptor
DEPTH = 3
_INTEGERS = {
    F.TYPE_INT32: (-(2**31), 2**31 - 1),
    F.TYPE_SINT32: (-(2**31), 2**31 - 1),
    F.TYPE_UINT32: (0, 2**32 - 1),
    F.TYPE_INT64: (-(2**63), 2**63 - 1),
    F.TYPE_SINT64: (-(2**63), 2**63 - 1),
    F.TYPE_UINT64: (0, 2**64 - 1),
}
# Names and values that exist, or have the form of what exists, so that a call comes further than the first check.
KNOWN = (
    "1.004222",
    "P56",
    "P56.22.336",
    "P56.22.336-20260302-0000001",
    "56",
    "22336",
    "vn-standard",
    "2026-03-02",
    "2026-02-30",
    "9999-12-31",
    "0001-01-01",
    "settle",
    "dossier:1",
    "0",
    "50",
    "1" * 30,
    "a" * 64,
    "application/pdf",
    "me@example.vn",
    "{}",
    '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}',
    "đ́ệ\u0300",
    "\u202e",
    "\U0010ffff",
    "' OR 1=1 --",
    "%",
    "../../etc/passwd",
)
uuids = st.uuids().map(str)
texts = st.one_of(st.sampled_from(KNOWN), uuids, st.text(max_size=40), st.just(""))
timestamps = st.builds(
    timestamp_pb2.Timestamp,
    seconds=st.one_of(st.integers(1_700_000_000, 1_900_000_000), st.integers(-(2**63), 2**63 - 1)),
    nanos=st.one_of(st.just(0), st.integers(-(2**31), 2**31 - 1)),
)
structs = st.dictionaries(
    texts,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), texts),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
        max_leaves=5,
    ),
    max_size=4,
).map(lambda answers: _struct(answers))


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(max(low, -2), 300), st.sampled_from((low, high)), st.integers(low, high))


def _struct(answers: dict[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(answers)
    return made


def messages(cls: type[Message], depth: int = DEPTH, unknown: bool = True) -> st.SearchStrategy[Message]:
    """Messages of the class, most of their fields set; a request id is a UUID nearly always. `unknown`: with numbers of no enum."""
    descriptor = cls.DESCRIPTOR
    match descriptor.full_name:
        case "google.protobuf.Timestamp":
            return timestamps
        case "google.protobuf.Struct":
            return structs
    fields = {
        field.name: _field(field, depth, unknown) for field in descriptor.fields if depth or field.message_type is None
    }
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: _made(cls, given))


def _made(cls: type[Message], given: dict[str, Any]) -> Message:
    made = cls()
    for name, value in given.items():
        made.MergeFrom(cls(**{name: value}))
    return made


def _field(field: Any, depth: int, unknown: bool) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        return st.dictionaries(_value(entry["key"], depth, unknown), _value(entry["value"], depth, unknown), max_size=3)
    value = _value(field, depth, unknown)
    return st.lists(value, max_size=4) if field.is_repeated else value


def _value(field: Any, depth: int, unknown: bool) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(message_class(field.message_type.full_name), depth - 1, unknown)
    if field.enum_type is not None:
        known = st.sampled_from(sorted(field.enum_type.values_by_number))
        return st.one_of(known, known, integers(*_INTEGERS[F.TYPE_INT32])) if unknown else known
    if field.name == "request_id":
        return st.one_of(uuids, uuids, uuids, texts)
    match field.type:
        case F.TYPE_STRING:
            return texts
        case F.TYPE_BYTES:
            return st.binary(max_size=64)
        case F.TYPE_BOOL:
            return st.booleans()
        case F.TYPE_DOUBLE | F.TYPE_FLOAT:
            return st.floats(width=32)
        case _:
            return integers(*_INTEGERS[field.type])
