"""What is wrong with answers, by their form's own rules: one reading for what is submitted and what is quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from services.chassis.calls.statuses import Violation
from services.chassis.work.confined import Confined
from services.law.days import local_day
from services.law.definitions import Procedure
from services.law.forms import FormUnusable, light

PROCESSES = 2
# Rules times bytes: some milliseconds at most. What is more is checked in a process of its own.
MOST_WORK = 500_000
# Rules times answers, each of which may be a fault with its texts: some 20 microseconds.
MOST_NAMED = 3_000
# Of what the form asks for, within a fault's text.
LONGEST_ASKED = 60


class Answers:
    def __init__(self, processes: int = PROCESSES) -> None:
        self._wrong = Confined("services.chassis.calls.answers_apart:wrong", processes)

    async def faults(
        self, procedure: Procedure, answers: Mapping[str, Any], at: datetime, among: frozenset[str] | None = None
    ) -> list[Violation] | None:
        """The faults of answers as of then: of those that are given `among` these, or of all with what lacks.

        None for an unusable schema.

        Raises WorkExhausted, Rejected OVERLOADED.
        """
        if procedure.form is None:
            return []
        try:
            found = await self._found(str(procedure.form.schema), answers, local_day(at))
        except FormUnusable:
            return None
        if found is None:
            return None
        if among is not None:
            found = [(path, *rest) for path, *rest in found if path and path[0] in among and path[0] in answers]
        return list(
            dict.fromkeys(Violation(".".join(["form", *path]), *_said(rule, asked)) for path, rule, asked in found)
        )

    async def _found(self, schema: str, answers: Mapping[str, Any], today: str) -> list[Any] | None:
        """Path, rule and what it asks for of each fault; None where the schema is unusable. Raises FormUnusable, WorkExhausted."""
        text, form = json.dumps(answers, ensure_ascii=False, sort_keys=True), light(schema)
        if form and form.weight * len(text) <= MOST_WORK:
            if form.takes(answers, today):
                return []
            if form.weight * _values(answers) <= MOST_NAMED:
                return [(each.path, each.rule, each.asked) for each in form.wrong(answers, today)]
        found: list[Any] | None = await self._wrong(schema, text, today)
        return found

    async def close(self) -> None:
        await self._wrong.close()


def form_answers(form: Struct) -> dict[str, Any]:
    """The answers as JSON has them, whole numbers without a fraction, as they were typed."""
    answers: dict[str, Any] = _whole(MessageToDict(form))
    return answers


def _whole(value: Any) -> Any:
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case _:
            return value


def _values(answers: Any) -> int:
    below = answers.values() if isinstance(answers, Mapping) else answers if isinstance(answers, list) else ()
    return 1 + sum(map(_values, below))


def _said(rule: str, asked: str) -> tuple[str, str]:
    vi, en = _FORMATS.get(asked, _FORMAT) if rule == "format" else _FAULTS.get(rule, _FAULT)
    short = asked if len(asked) <= LONGEST_ASKED else f"{asked[:LONGEST_ASKED]}…"
    return vi.replace("{}", short), en.replace("{}", short)


# Never the validator's own message: it repeats the answer, which is personal data. {} is what the form asks for.
_FORMATS = {
    "date": ("Phải là ngày có thật, viết như 2026-11-30.", "It must be a day that exists, written as 2026-11-30."),
    "past-date": (
        "Phải là ngày có thật, không sau hôm nay, viết như 2026-11-30.",
        "It must be a day that exists, not after today, written as 2026-11-30.",
    ),
    "birth-date": (
        "Phải là ngày có thật, không sau hôm nay: 1950-03-02, hoặc 1950-03, 1950.",
        "It must be a day that exists, not after today: 1950-03-02, or 1950-03, 1950.",
    ),
    "email": ("Phải là địa chỉ thư điện tử, như ten@example.vn.", "It must be an e-mail address, as name@example.vn."),
    "phone": ("Phải là số điện thoại, như 0912345678.", "It must be a telephone number, as 0912345678."),
}
_FORMAT = ("Không đúng định dạng {}.", "It has not the format {}.")
_FAULTS = {
    "required": ("Thiếu mục bắt buộc.", "A required answer is missing."),
    "pattern": ("Không đúng mẫu {}", "It does not match {}"),
    "enum": ("Phải là một trong: {}.", "It must be one of: {}."),
    "const": ("Phải là: {}.", "It must be: {}."),
    "type": ("Phải thuộc kiểu: {}.", "It must be of the type: {}."),
    "minLength": ("Quá ngắn: ít nhất {} ký tự.", "It is too short: at least {} characters."),
    "maxLength": ("Quá dài: nhiều nhất {} ký tự.", "It is too long: at most {} characters."),
    "minimum": ("Quá nhỏ: ít nhất {}.", "It is too small: at least {}."),
    "maximum": ("Quá lớn: nhiều nhất {}.", "It is too large: at most {}."),
    "minItems": ("Quá ít mục: ít nhất {}.", "It has too few items: at least {}."),
    "maxItems": ("Quá nhiều mục: nhiều nhất {}.", "It has too many items: at most {}."),
    "exclusiveMinimum": ("Quá nhỏ: phải lớn hơn {}.", "It is too small: more than {} is asked for."),
    "exclusiveMaximum": ("Quá lớn: phải nhỏ hơn {}.", "It is too large: less than {} is asked for."),
    "uniqueItems": ("Có mục lặp lại.", "It has an item twice."),
    "oneOf": (
        "Chỉ được trả lời theo một cách: bỏ mục này hoặc những mục kia.",
        "Only one of the ways to answer may be taken: leave this out, or the others.",
    ),
    "not": ("Không được khai mục này, hoặc không được khai như vậy.", "It may not be answered, or not in this way."),
    "additionalProperties": ("Có mục không thuộc biểu mẫu.", "The form has no such answer."),
}
_FAULT = ("Không hợp lệ.", "It is not valid.")
