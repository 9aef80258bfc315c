"""What every request must satisfy before a service sees it, from its descriptor; all faults at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import isfinite
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from motcua.options.v1 import options_pb2
from motcua.options.v1.options_pb2 import Text
from services.chassis.calls.days import from_day
from services.chassis.calls.money import from_money
from services.chassis.calls.reading import Unread
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.text.contact import email_of, phone_of
from services.chassis.text.dossier_codes import code_in, codes_in
from services.chassis.text.plain import composed, name_fault
from services.chassis.text.sizes import sized

MOST_ITEMS = 200
MOST_NESTED_ITEMS = 5_000
# Of a request, with those inside each other: the largest province has 2 for each of its communes.
MOST_MESSAGES = 3_000
LARGEST_FORM_BYTES = 128 * 1024
MOST_ANSWERS = 5_000
DEEPEST_FORM = 20
# Beyond it a JSON number is not exact (RFC 7493, 2.2).
LARGEST_NUMBER = 2**53
# 1970 to 2100.
SECONDS = range(4_102_444_800)
LARGEST_PAGE = 200
DEFAULT_PAGE = 50


def reading_of(kind: int) -> options_pb2.Reading:
    said = Text.DESCRIPTOR.values_by_number[kind or Text.TEXT_PROSE]
    return said.GetOptions().Extensions[options_pb2.reading]


LONGEST_NAME = reading_of(Text.TEXT_KEY).longest
LONGEST_PAGE_TOKEN = reading_of(Text.TEXT_PAGE_TOKEN).longest
LONGEST_STRING = reading_of(Text.TEXT_PROSE).longest
LONGEST_SCHEMA = reading_of(Text.TEXT_SCHEMA).longest

# How somebody is written to or called.
_CONTACT: dict[int, tuple[Callable[[str], str], str, str]] = {
    Text.TEXT_EMAIL: (email_of, "Phải là một địa chỉ thư điện tử.", "It must be one e-mail address."),
    Text.TEXT_PHONE: (phone_of, "Phải là một số điện thoại.", "It must be one telephone number."),
}
_NO_DAY = (
    "Phải là một ngày có thật, đủ năm, tháng, ngày.",
    "It must be a day that there is, with its year, month and day.",
)
_NO_MONEY = (
    "Phải là số tiền chẵn đồng: currency_code VND, nanos 0.",
    "It must be whole đồng: currency_code VND, nanos 0.",
)
# To compose what is longer than this many times its bound would cost more than to refuse it: a letter has few marks.
_MOST_MARKS = 4
# Answers of a form that are names, by their keys.
_NAME_KEY = re.compile(r"(?:^|_)name$")


class Violations(list[Violation]):
    """The violations so far, and how many messages they were looked for in."""

    messages = 0


# Takes a value, its path and what was found so far.
Check = Callable[[Any, str, Violations], None]
# Of a text, as it is meant.
Read = Callable[[str, str, list[Violation]], str]


def check(request: Message | Unread, beside: Sequence[Violation] = ()) -> None:
    """Reads the request's texts as they were meant, and refuses what breaks its limits. Raises RequestInvalid.

    `beside`: what is wrong beside the request.
    """
    if isinstance(request, Unread):
        raise RequestInvalid([Violation("", request.vi, request.en), *beside])
    violations = Violations(beside)
    _message(request, "", violations)
    if violations:
        raise RequestInvalid(violations)


def text(kind: int, written: str, path: str, violations: list[Violation]) -> str:
    """A text of that kind, as it is meant."""
    return _read(kind)(written, path, violations)


def _message(message: Any, path: str, violations: Violations) -> None:
    violations.messages += 1
    if violations.messages > MOST_MESSAGES:
        raise RequestInvalid(
            [
                Violation(
                    path, f"Yêu cầu có quá {MOST_MESSAGES} phần.", f"The request has more than {MOST_MESSAGES} parts."
                )
            ]
        )
    for one in _checks(message.DESCRIPTOR):
        one(message, path, violations)


@cache
def _checks(descriptor: Descriptor) -> tuple[Check, ...]:
    checks: list[Check] = []
    most = MOST_ITEMS if descriptor.name.endswith("Request") else MOST_NESTED_ITEMS
    for field in descriptor.fields:
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if field_behavior_pb2.REQUIRED in behaviors:
            checks.append(_required(field))
        if field.is_repeated:
            checks.append(_items(field, most))
        elif field.name == "page_size":
            checks.append(_page_size(field))
        elif field.type == FieldDescriptor.TYPE_STRING:
            checks.append(_string(field.name, _read(kind_of(field))))
        elif kind := kind_of(field):
            checks.append(_languages(field, _read(kind)))
        elif value := _value(field):
            checks.append(_single(field, value))
    return tuple(checks)


def _value(field: FieldDescriptor) -> Check | None:
    """The check of one of the field's values, text apart; None where every value will do."""
    if field.enum_type is not None:
        return _known(field.enum_type)
    if field.message_type is None:
        return None
    match field.message_type.full_name:
        case "google.protobuf.Timestamp":
            return _moment
        case "google.protobuf.Struct":
            return _form
        case "google.type.Date":
            return _readable(from_day, *_NO_DAY)
        case "google.type.Money":
            return _readable(from_money, *_NO_MONEY)
        case _:
            return _message


def _single(field: FieldDescriptor, value: Check) -> Check:
    name = field.name

    def run(message: Any, path: str, violations: Violations) -> None:
        value(getattr(message, name), path + name, violations)

    def run_if_present(message: Any, path: str, violations: Violations) -> None:
        if message.HasField(name):
            value(getattr(message, name), f"{path}{name}{dot}", violations)

    dot = "." if value is _message else ""
    return run_if_present if field.message_type is not None else run


def _items(field: FieldDescriptor, most: int) -> Check:
    name = field.name
    of_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    each = _values(field)
    if of_map:  # repeated entries to the descriptor, keys to a loop
        each = _entries(field)
    elif field.type == FieldDescriptor.TYPE_STRING:
        each = _texts(_read(kind_of(field)))

    def run(message: Any, path: str, violations: Violations) -> None:
        items = getattr(message, name)
        if len(items) > most:
            violations.append(Violation(path + name, f"Quá {most} mục.", f"It has more than {most} items."))
        else:
            each(items, path + name, violations)

    return run


def _values(field: FieldDescriptor) -> Check:
    value = _value(field)
    dot = "." if value is _message else ""

    def run(items: Any, path: str, violations: Violations) -> None:
        if value:
            for index, item in enumerate(items):
                value(item, f"{path}[{index}]{dot}", violations)

    return run


def _texts(read: Read) -> Check:
    def run(items: Any, path: str, violations: Violations) -> None:
        for index, written in enumerate(items):
            text = read(written, f"{path}[{index}]", violations)
            if text != written:
                items[index] = text

    return run


def _entries(field: FieldDescriptor) -> Check:
    """Keys are text; values are text, or no text at all."""
    assert field.message_type is not None
    read = _read(kind_of(field))
    of_text = field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING

    def run(entries: Any, path: str, violations: Violations) -> None:
        for index, (key, value) in enumerate(list(entries.items())):
            at = f"{path}[{index}]"
            name, new = read(key, at, violations), read(value, at, violations) if of_text else value
            if (name, new) != (key, value):
                del entries[key]
                entries[name] = new

    return run


def kind_of(field: FieldDescriptor) -> int:
    """The kind of text that the field holds; 0 where nothing says so."""
    return int(field.GetOptions().Extensions[options_pb2.text])


def require_kinds(request: Descriptor) -> None:
    """Raises TypeError for a text, however deep in the request, that does not say what it is."""
    if missing := sorted(set(_without_kind(request, frozenset()))):
        raise TypeError(f"{', '.join(missing)}: no (text) is declared")


def _without_kind(descriptor: Descriptor, above: frozenset[Descriptor]) -> Iterator[str]:
    for field in descriptor.fields:
        inner, texts = field.message_type, field.type == FieldDescriptor.TYPE_STRING
        if inner is not None and inner.GetOptions().map_entry:
            inner, texts = inner.fields_by_name["value"].message_type, True  # the keys are
        if texts and not kind_of(field):
            yield field.full_name
        if inner is not None and inner not in above and not inner.file.package.startswith("google."):
            yield from _without_kind(inner, above | {descriptor})


@cache
def _read(kind: int) -> Read:
    reading = reading_of(kind)
    plain = _plain(reading)
    match kind:
        case Text.TEXT_DOSSIER_CODE:
            return _coded(plain)
        case Text.TEXT_NAME | Text.TEXT_PERSON_NAME:
            return _named(plain, person=kind == Text.TEXT_PERSON_NAME)
        case Text.TEXT_EMAIL | Text.TEXT_PHONE:
            return _contact(*_CONTACT[kind])
        case _:
            return _matching(reading) if reading.pattern else plain


def _plain(reading: options_pb2.Reading) -> Read:
    """In NFC, so that what looks the same is the same, before anything is compared, counted or kept."""
    longest, trimmed = reading.longest, reading.trimmed
    dropped = re.compile(reading.dropped) if reading.dropped else None

    def read(written: str, path: str, violations: list[Violation]) -> str:
        text = written if written.isascii() or len(written) > longest * _MOST_MARKS else composed(written)
        if len(text) > longest:
            violations.append(Violation(path, f"Dài quá {longest} ký tự.", f"It exceeds {longest} characters."))
        elif "\0" in text:
            violations.append(Violation(path, "Có ký tự U+0000.", "It contains U+0000."))
        elif dropped:
            return dropped.sub("", text)
        return text.strip() if trimmed else text

    return read


def _coded(plain: Read) -> Read:
    """As it was meant, however it was written down."""

    def read(written: str, path: str, violations: list[Violation]) -> str:
        text = plain(written, path, violations)
        if len(several := codes_in(text)) > 1:
            named = ", ".join(sorted(several))[:LONGEST_NAME]
            fault = f"Có hơn một mã hồ sơ ({named}): ghi một mã.", f"It holds several codes ({named}): write one."
            violations.append(Violation(path, *fault))
            return text
        return code_in(text) or text

    return read


def _named(plain: Read, *, person: bool) -> Read:
    def read(written: str, path: str, violations: list[Violation]) -> str:
        before = len(violations)
        text = plain(written, path, violations)
        if not written or len(violations) > before:
            return written
        if fault := name_fault(text, person=person):
            violations.append(Violation(path, *fault))
            return written
        return text

    return read


def _contact(rule: Callable[[str], str], vi: str, en: str) -> Read:
    def read(written: str, path: str, violations: list[Violation]) -> str:
        try:
            return rule(written) if written else written
        except ValueError:
            violations.append(Violation(path, vi, en))
            return written

    return read


def _matching(reading: options_pb2.Reading) -> Read:
    pattern, vi, en = re.compile(reading.pattern), reading.vi, reading.en

    def read(written: str, path: str, violations: list[Violation]) -> str:
        if written and not pattern.fullmatch(written):
            violations.append(Violation(path, vi, en))
        return written

    return read


def _string(name: str, read: Read) -> Check:
    def run(message: Any, path: str, violations: Violations) -> None:
        written = getattr(message, name)
        text = read(written, path + name, violations)
        if text != written:
            setattr(message, name, text)

    return run


def _languages(field: FieldDescriptor, read: Read) -> Check:
    """The check of a text's languages, each as a text."""
    name = field.name
    assert field.message_type is not None
    each = [_string(language.name, read) for language in field.message_type.fields]

    def run(message: Any, path: str, violations: Violations) -> None:
        if message.HasField(name):
            for one in each:
                one(getattr(message, name), f"{path}{name}.", violations)

    return run


def _known(enum: EnumDescriptor) -> Check:
    numbers = frozenset(enum.values_by_number)
    names = ", ".join(value.name for value in enum.values if value.number)

    def run(number: int, path: str, violations: Violations) -> None:
        if number not in numbers:
            violations.append(Violation(path, f"Ghi một trong: {names}.", f"Write one of: {names}."))

    return run


def _moment(stamp: Any, path: str, violations: Violations) -> None:
    if stamp.seconds not in SECONDS or not 0 <= stamp.nanos < 1_000_000_000:
        violations.append(
            Violation(
                path,
                "Thời điểm phải từ năm 1970 đến 2099, như 2026-12-01T00:00:00Z.",
                "The moment must lie in the years 1970 to 2099, for example 2026-12-01T00:00:00Z.",
            )
        )


def _readable(read: Callable[[Any], object], vi: str, en: str) -> Check:
    def run(value: Any, path: str, violations: Violations) -> None:
        try:
            read(value)
        except ValueError:
            violations.append(Violation(path, vi, en))

    return run


def _form(form: Any, path: str, violations: Violations) -> None:
    if form.ByteSize() > LARGEST_FORM_BYTES:
        limit = sized(LARGEST_FORM_BYTES)
        violations.append(Violation(path, f"Biểu mẫu quá {limit.vi}.", f"The form exceeds {limit.en}."))
        return
    if fault := _fault(form, DEEPEST_FORM):
        violations.append(Violation(path, *fault))
    else:
        _answers(form, path, violations)


def _answers(form: Any, path: str, violations: Violations) -> None:
    """Of a form that is no deeper than it may be."""
    for key in sorted(form.fields):
        at, name = f"{path}.{key[:LONGEST_NAME]}", composed(key)
        if name != key:
            if name in form.fields:
                violations.append(Violation(at, "Có hai mục cùng tên.", "Two answers have this name."))
                continue
            form.fields[name].CopyFrom(form.fields[key])
            del form.fields[key]
        _answer(form.fields[name], at, violations, named=bool(_NAME_KEY.search(name)))


def _answer(value: Any, path: str, violations: Violations, *, named: bool = False) -> None:
    match value.WhichOneof("kind"):
        case "string_value":
            text = composed(value.string_value)
            if named and text and (fault := name_fault(text)):
                violations.append(Violation(path, *fault))
            elif text != value.string_value:
                value.string_value = text
        case "struct_value":
            _answers(value.struct_value, path, violations)
        case "list_value":
            for index, item in enumerate(value.list_value.values):
                _answer(item, f"{path}[{index}]", violations)


def _fault(form: Any, deepest: int) -> tuple[str, str] | None:
    level, answers = list(form.fields.items()), 0
    for _ in range(deepest):
        below: list[tuple[str, Any]] = []
        answers += len(level)
        if answers > MOST_ANSWERS:
            return f"Quá {MOST_ANSWERS} giá trị.", f"It has more than {MOST_ANSWERS} values."
        for name, value in level:
            if "\0" in name:
                return "Có ký tự U+0000.", "It contains U+0000."
            match value.WhichOneof("kind"):
                case "string_value":
                    if "\0" in value.string_value:
                        return "Có ký tự U+0000.", "It contains U+0000."
                case "number_value":
                    number = value.number_value
                    if not isfinite(number) or abs(number) > LARGEST_NUMBER:
                        return "Có số quá lớn.", f"A number exceeds ±{LARGEST_NUMBER}."
                case "struct_value":
                    below.extend(value.struct_value.fields.items())
                case "list_value":
                    below.extend(("", item) for item in value.list_value.values)
                case None:
                    return "Có mục không có giá trị.", "An answer has no value."
        if not below:
            return None
        level = below
    return f"Lồng quá {deepest} cấp.", f"It is nested more than {deepest} levels deep."


def _required(field: FieldDescriptor) -> Check:
    name = field.name
    present = (lambda r: r.HasField(name)) if field.has_presence else (lambda r: bool(getattr(r, name)))

    def run(message: Any, path: str, violations: Violations) -> None:
        if not present(message):
            violations.append(Violation(path + name, "Bắt buộc.", "It is required."))

    return run


def _page_size(field: FieldDescriptor) -> Check:
    def run(message: Any, path: str, violations: Violations) -> None:
        if not 0 <= message.page_size <= LARGEST_PAGE:
            violations.append(
                Violation(
                    path + "page_size",
                    f"Phải từ 0 đến {LARGEST_PAGE}.",
                    f"It must lie between 0 and {LARGEST_PAGE}.",
                )
            )

    return run


def page_size(request: Any) -> int:
    return int(request.page_size) or DEFAULT_PAGE
