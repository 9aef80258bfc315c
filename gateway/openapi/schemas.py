"""JSON schemas of messages, as the edge's transcoder reads and writes them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Schema = dict[str, Any]

INT32: Schema = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
UINT32: Schema = {"type": "integer", "format": "uint32", "minimum": 0, "maximum": 2**32 - 1}
# Written as text, because a JSON number loses digits beyond 2^53; read as text or as a number.
LIMIT = 10**18 - 1
INT64: Schema = {
    "type": ["string", "integer"],
    "format": "int64",
    "pattern": "^(0|-?[1-9][0-9]{0,17})$",
    "minimum": -LIMIT,
    "maximum": LIMIT,
}
UINT64: Schema = INT64 | {"format": "uint64", "pattern": "^(0|[1-9][0-9]{0,17})$", "minimum": 0}
SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
} | {
    kind: schema
    for schema, kinds in (
        (INT32, (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32)),
        (UINT32, (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32)),
        (INT64, (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64)),
        (UINT64, (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64)),
    )
    for kind in kinds
}
WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
}


class Schemas:
    """Collects the schemas of everything that is referred to."""

    def __init__(self, comments: dict[str, str]) -> None:
        self.comments = comments
        self.components: dict[str, Schema] = {}

    def message(self, message: Descriptor, *, without: frozenset[str] = frozenset(), written: bool = False) -> Schema:
        """`written`: by the edge, which says every field that cannot be absent. `without`: the fields of the path."""
        fields = [field for field in message.fields if field.name not in without]
        required = [f.json_name for f in fields if (always_written(f) if written else is_required(f))]
        schema: Schema = {"type": "object", "properties": {f.json_name: self.field(f, written=written) for f in fields}}
        if about := self.comments.get(message.full_name):
            schema["description"] = about
        if required:
            schema["required"] = required
        if exclusive := [exclusion for oneof in message.oneofs for exclusion in exclusions(oneof.fields)]:
            schema["allOf"] = exclusive
        return schema

    def field(self, field: FieldDescriptor, *, written: bool) -> Schema:
        about = self.comments.get(field.full_name)
        described = {"description": about} if about else {}
        if field.message_type and field.message_type.GetOptions().map_entry:
            entry = self.value(field.message_type.fields_by_name["value"], written=written)
            return {"type": "object", "additionalProperties": entry} | described
        value = self.value(field, written=written)
        return ({"type": "array", "items": value} if field.is_repeated else value) | described

    def value(self, field: FieldDescriptor, *, written: bool) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type, written=written)
        if field.enum_type is not None:
            return self.enum(field.enum_type)
        schema = SCALARS[field.type]
        if field.type == FieldDescriptor.TYPE_STRING:
            if field.name == "request_id":
                return schema | {"format": "uuid"}
            return schema | ({"minLength": 1} if is_required(field) else {})
        return schema

    def reference(self, message: Descriptor, *, written: bool) -> Schema:
        if message.full_name in WELL_KNOWN:
            return WELL_KNOWN[message.full_name]
        # Reading and writing differ in what is required.
        name = short(message.full_name) + ("" if written else ".Input")
        if name not in self.components:
            self.components[name] = {}  # it may refer to itself
            self.components[name] = self.message(message, written=written)
        return {"$ref": f"#/components/schemas/{name}"}

    def enum(self, enum: EnumDescriptor) -> Schema:
        name = short(enum.full_name)
        if name not in self.components:
            values = [
                f"* `{v.name}`: {about}"
                for v in enum.values
                if (about := self.comments.get(f"{enum.full_name}.{v.name}"))
            ]
            about = "\n".join(filter(None, [self.comments.get(enum.full_name), *values]))
            self.components[name] = {"type": "string", "enum": [value.name for value in enum.values]}
            if about:
                self.components[name]["description"] = about
        return {"$ref": f"#/components/schemas/{name}"}


def short(name: str) -> str:
    return name.removeprefix("motcua.")


def is_required(field: FieldDescriptor) -> bool:
    behaviours = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in behaviours


def always_written(field: FieldDescriptor) -> bool:
    return not field.has_presence


def exclusions(fields: Sequence[FieldDescriptor]) -> list[Schema]:
    """At most one of them. An `optional` field is a oneof of its own."""
    return [{"not": {"required": [a.json_name, b.json_name]}} for a, b in combinations(fields, 2)]
