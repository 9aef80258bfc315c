"""Answers held against a procedure's form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from services.chassis import telemetry
from services.chassis.confined import Confined, Exhausted
from services.chassis.decider import Rejected
from services.chassis.errors import Invalid, Violation
from services.chassis.law.definitions import Procedure
from services.chassis.law.forms import Unusable, light
from services.dossier.reading import form_text

log = structlog.get_logger()

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
PROCESSES = 2
# Rules times bytes: some milliseconds at most. What is more is checked in a process of its own.
MOST_WORK = 500_000
# Rules times answers, each of which may be a fault with its texts: some 20 microseconds.
MOST_NAMED = 3_000


class Forms:
    def __init__(self) -> None:
        self._wrong = Confined("services.chassis.law.apart:wrong", PROCESSES)

    @classmethod
    def of(cls, container: Any) -> Forms:
        return cls()

    async def check(self, procedure: Procedure, answers: Mapping[str, Any], at: datetime, *, required: bool) -> None:
        """As of then. Raises Invalid FORM_INVALID with the faults, Rejected DEFINITION_FAULTY, FORM_UNCHECKABLE and OVERLOADED."""
        if procedure.form is None or (not answers and not required):
            return
        try:
            today = at.astimezone(ZONE).date().isoformat()
            found = await self._found(str(procedure.form.schema), answers, today)
        except Exhausted as error:
            raise Rejected("FORM_UNCHECKABLE", procedure_code=procedure.code) from error
        except Unusable:
            found = None
        if found is None:
            raise faulty(procedure)
        if found:
            violations = (Violation(".".join(["form", *path]), *_FAULTS.get(rule, _FAULT)) for path, rule in found)
            raise Invalid(list(dict.fromkeys(violations)), "FORM_INVALID")

    async def _found(self, schema: str, answers: Mapping[str, Any], today: str) -> list[Any] | None:
        """Path and rule of each fault; None where the schema is unusable. Raises Unusable, Exhausted."""
        text, form = form_text(answers) or "{}", light(schema)
        if form and form.weight * len(text) <= MOST_WORK:
            if form.takes(answers, today):
                return []
            if form.weight * _values(answers) <= MOST_NAMED:
                return [(each.path, each.rule) for each in form.wrong(answers, today)]
        found: list[Any] | None = await self._wrong(schema, text, today)
        return found

    async def close(self) -> None:
        await self._wrong.close()


def _values(answers: Any) -> int:
    below = answers.values() if isinstance(answers, Mapping) else answers if isinstance(answers, list) else ()
    return 1 + sum(map(_values, below))


def faulty(procedure: Procedure) -> Rejected:
    """Of a definition that was published before what is wrong with it was known. Counted, for an alert."""
    telemetry.DEFINITION_FAULTS.inc()
    log.error("a definition in force is faulty", procedure=procedure.code, version=procedure.version, exc_info=True)
    return Rejected("DEFINITION_FAULTY", procedure_code=procedure.code, version=str(procedure.version))


# Never the validator's own message: it repeats the answer, which is personal data.
_FAULTS = {
    "required": ("Thiếu mục bắt buộc.", "A required answer is missing."),
    "pattern": ("Không đúng định dạng.", "It has not the required format."),
    "format": (
        "Không đúng định dạng, hoặc ngày không thể có.",
        "It has not the required format, or is a date that cannot be.",
    ),
    "enum": ("Không nằm trong các lựa chọn.", "It is none of the choices."),
    "const": ("Không đúng giá trị yêu cầu.", "It is not the required value."),
    "type": ("Không đúng kiểu dữ liệu.", "It is of another type than asked for."),
    "minLength": ("Quá ngắn.", "It is too short."),
    "maxLength": ("Quá dài.", "It is too long."),
    "minimum": ("Quá nhỏ.", "It is too small."),
    "maximum": ("Quá lớn.", "It is too large."),
    "minItems": ("Quá ít mục.", "It has too few items."),
    "maxItems": ("Quá nhiều mục.", "It has too many items."),
    "exclusiveMinimum": ("Quá nhỏ.", "It is too small."),
    "exclusiveMaximum": ("Quá lớn.", "It is too large."),
    "uniqueItems": ("Có mục lặp lại.", "It has an item twice."),
    "oneOf": (
        "Chỉ được trả lời theo một cách: bỏ mục này hoặc những mục kia.",
        "Only one of the ways to answer may be taken: leave this out, or the others.",
    ),
    "not": ("Không được khai mục này, hoặc không được khai như vậy.", "It may not be answered, or not in this way."),
    "additionalProperties": ("Có mục không thuộc biểu mẫu.", "The form has no such answer."),
}
_FAULT = ("Không hợp lệ.", "It is not valid.")
