"""What every request must satisfy before a service sees it, from its descriptor; all faults at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from uuid import UUID

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.chassis.decider import Rejected
from services.chassis.errors import Invalid, Violation

LONGEST_STRING = 20_000
MOST_ITEMS = 200
LARGEST_PAGE = 200
DEFAULT_PAGE = 50

Check = Callable[[Any, list[Violation]], None]


def check(request: Message) -> None:
    """Raises Invalid."""
    violations: list[Violation] = []
    for one in _checks(request.DESCRIPTOR):
        one(request, violations)
    if violations:
        raise Invalid(violations)


@cache
def _checks(descriptor: Descriptor) -> tuple[Check, ...]:
    checks: list[Check] = []
    for field in descriptor.fields:
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.REQUIRED in behaviors:
            checks.append(_required(field))
        if field.is_repeated:
            checks.append(_count(field))
        elif field.type == FieldDescriptor.TYPE_STRING:
            checks.append(_uuid(field) if field.name == "request_id" else _length(field))
        elif field.name == "page_size":
            checks.append(_page_size(field))
    return tuple(checks)


def _required(field: FieldDescriptor) -> Check:
    name = field.name
    present = (lambda r: r.HasField(name)) if field.has_presence else (lambda r: bool(getattr(r, name)))

    def run(request: Any, violations: list[Violation]) -> None:
        if not present(request):
            violations.append(Violation(name, "Bắt buộc.", "It is required."))

    return run


def _uuid(field: FieldDescriptor) -> Check:
    name = field.name

    def run(request: Any, violations: list[Violation]) -> None:
        value = getattr(request, name)
        try:
            valid = not value or str(UUID(value)) == value.lower()
        except ValueError:
            valid = False
        if not valid:
            violations.append(Violation(name, "Phải là một UUID.", "It must be a UUID."))

    return run


def _length(field: FieldDescriptor) -> Check:
    name = field.name

    def run(request: Any, violations: list[Violation]) -> None:
        if len(getattr(request, name)) > LONGEST_STRING:
            violations.append(
                Violation(name, f"Dài quá {LONGEST_STRING} ký tự.", f"It exceeds {LONGEST_STRING} characters.")
            )

    return run


def _count(field: FieldDescriptor) -> Check:
    name = field.name

    def run(request: Any, violations: list[Violation]) -> None:
        if len(getattr(request, name)) > MOST_ITEMS:
            violations.append(Violation(name, f"Quá {MOST_ITEMS} mục.", f"It has more than {MOST_ITEMS} items."))

    return run


def _page_size(field: FieldDescriptor) -> Check:
    def run(request: Any, violations: list[Violation]) -> None:
        if not 0 <= request.page_size <= LARGEST_PAGE:
            violations.append(
                Violation("page_size", f"Phải từ 0 đến {LARGEST_PAGE}.", f"It must lie between 0 and {LARGEST_PAGE}.")
            )

    return run


def page_size(request: Any) -> int:
    return int(request.page_size) or DEFAULT_PAGE


def page_offset(request: Any) -> int:
    """The place a page token stands for. Raises Rejected INVALID_POSITION."""
    token = request.page_token
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 10 and str(int(token)) == token):
        raise Rejected("INVALID_POSITION", position=token[:40])
    return int(token)
