"""A request with all that it must have, from its descriptor: for who is refused before what it says is looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from motcua.options.v1 import options_pb2
from services.chassis.deciding.codec import to_timestamp
from services.chassis.deciding.facts import message_class

NOBODY = "00000000-0000-4000-8000-000000000000"
TEXTS = {options_pb2.TEXT_UUID: NOBODY, options_pb2.TEXT_PROSE: "Không thuộc thẩm quyền"}


def filled(request: Descriptor) -> dict[str, Any]:
    """By field; `request_id` is left to who sends it."""
    return {
        field.name: [_value(field)] if field.is_repeated else _value(field)
        for field in request.fields
        if field.name != "request_id"
        and field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    }


def _value(field: FieldDescriptor) -> Any:
    if field.message_type is Timestamp.DESCRIPTOR:
        return to_timestamp(datetime(2099, 1, 1, tzinfo=UTC))
    if field.message_type is not None:
        return message_class(field.message_type.full_name)(**filled(field.message_type))
    if field.enum_type is not None:
        return 1
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXTS.get(field.GetOptions().Extensions[options_pb2.text], "x")
    return 1
