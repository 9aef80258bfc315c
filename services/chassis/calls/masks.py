"""What an update changes (https://google.aip.dev/134): the fields that its mask names, or that are set; the others stay."""

from __future__ import annotations

from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from services.chassis.calls.statuses import RequestInvalid, Violation

MASK = "update_mask"
ALL = "*"
# Of every mutation.
_BESIDE = frozenset({"request_id", "expected_revision", MASK})


def updatable(request: Descriptor) -> list[str]:
    """The fields that are not asked for in every update: these say of what it is one."""
    return [
        field.name
        for field in request.fields
        if field.name not in _BESIDE
        and field_behavior_pb2.REQUIRED not in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    ]


def updated(request: Message) -> frozenset[str]:
    """Raises RequestInvalid."""
    descriptor: Any = request.DESCRIPTOR
    fields = updatable(descriptor)
    paths = set(getattr(request, MASK).paths)
    if paths == {ALL}:
        return frozenset(fields)
    named = paths or {field.name for field, _ in request.ListFields()}.intersection(fields)
    if not named or not named.issubset(fields):
        names = ", ".join(fields)
        vi, en = f"Ghi các mục cần đổi: {names}.", f"Name what is to change: {names}."
        raise RequestInvalid([Violation(MASK, vi, en)])
    return frozenset(named)
