"""Refusals as google.rpc.Status: what is wrong, with which field, what to do next, in Vietnamese and English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from motcua.options.v1 import errors_pb2, options_pb2
from services.chassis.decider import Rejected, Words
from services.chassis.text.words import said

DOMAIN = "motcua"
RETRY_SECONDS = 1
LONGEST_TEXT = 200
# Of what we say ourselves.
LONGEST_WORDS = 400
# With the names of an enum in each language.
LONGEST_VIOLATION = 800
MOST_VIOLATIONS = 20
# Clients and proxies refuse headers and trailers of more than 8 KB together, and base64 adds a third.
LARGEST_STATUS_BYTES = 4500
_PLACE = re.compile(r"\{(\w+)\}")
CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Violation:
    field: str
    vi: str
    en: str


class RequestInvalid(Rejected):
    """A request with faults, all of them at once."""

    def __init__(self, violations: list[Violation], reason: str = "INVALID_REQUEST", **facts: str) -> None:
        super().__init__(reason, **(facts | {"count": str(len(violations))}))
        self.violations = violations


class Errors:
    """The reasons of one service and the common ones."""

    def __init__(self, enum: EnumDescriptor | None) -> None:
        self._errors: dict[str, options_pb2.Error] = {}
        # A common reason means the same everywhere.
        for values in (enum, errors_pb2.CommonError.DESCRIPTOR):
            self._errors |= _declared(values) if values else {}

    def status(self, rejected: Rejected) -> Status:
        """The refusal as a status, small enough for a trailer. Raises KeyError for a reason that no proto lists."""
        violations = rejected.violations[:MOST_VIOLATIONS] if isinstance(rejected, RequestInvalid) else []
        status = self._status(rejected, violations)
        while violations and status.ByteSize() > LARGEST_STATUS_BYTES:
            violations = violations[: len(violations) // 2]
            status = self._status(rejected, violations)
        return status

    def _status(self, rejected: Rejected, violations: list[Violation]) -> Status:
        error = self._errors[rejected.reason]
        facts = {name: str(value)[:LONGEST_TEXT] for name, value in rejected.facts.items()}
        details: list[AnyMessage] = []

        def add(detail: Message) -> None:
            packed = AnyMessage()
            packed.Pack(detail)
            details.append(packed)

        add(error_details_pb2.ErrorInfo(reason=rejected.reason, domain=DOMAIN, metadata=facts))
        if violations:
            add(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=v.field[:LONGEST_TEXT], description=f"{v.vi} / {v.en}"[:LONGEST_VIOLATION]
                        )
                        for v in violations
                    ]
                )
            )
        if error.retryable:
            add(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
        texts = {"vi": (error.vi, error.action_vi), "en": (error.en, error.action_en)}
        for locale, (what, action) in texts.items():
            message = _filled(f"{what} {action}".strip(), _said(rejected.facts, locale))
            add(error_details_pb2.LocalizedMessage(locale=locale, message=message))
        return Status(code=error.code, message=message, details=details)


def _declared(enum: EnumDescriptor) -> dict[str, options_pb2.Error]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    found = {}
    for value in enum.values:
        options = value.GetOptions()
        if options.HasExtension(options_pb2.error):
            found[value.name.removeprefix(prefix)] = options.Extensions[options_pb2.error]
    return found


def _said(facts: Mapping[str, str], language: str) -> dict[str, str]:
    return {
        name: said(name, value, language)[: LONGEST_WORDS if isinstance(value, Words) else LONGEST_TEXT]
        for name, value in facts.items()
    }


def _filled(text: str, facts: Mapping[str, str]) -> str:
    """In one go: what a caller wrote is filled by nothing."""
    return _PLACE.sub(lambda place: facts.get(place[1], place[0]), text)
