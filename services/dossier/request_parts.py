"""Parts of requests as values of the domain. Raise RequestInvalid with each fault's place."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.deciding.caller import Caller
from services.dossier.counterparts import DATA_FAULT_KIND, SOURCE
from services.dossier.values import Actor, Component, ComponentSource, DataFault, PaperDay
from services.law.days import is_past, local_day

LONGEST_NAME = 200


def actor_of(caller: Caller) -> Actor:
    return Actor(caller.actor, caller.roles, caller.agency)


def components_of(given: Any, at: datetime) -> tuple[Component, ...]:
    """The components that a request names.

    Raises RequestInvalid for one without a code or a source, or with a day of issue that is none or to come.
    """
    violations = [
        Violation(f"components[{index}]", "Thiếu mã hoặc nguồn.", "It lacks component_code or source.")
        for index, component in enumerate(given)
        if not component.component_code or not component.source
    ]
    if violations := violations + _days(given, "components", at):
        raise RequestInvalid(violations)
    return tuple(map(_component_of, given))


def _component_of(given: pb.GivenComponent) -> Component:
    return Component(
        component_code=given.component_code,
        source=SOURCE.stored(given.source),
        sha256=given.sha256.lower(),
        document_id=given.document_id,
        issued_on=given.issued_on,
    )


def paper_days_of(given: Any, at: datetime) -> tuple[PaperDay, ...]:
    """The days that an official read on papers.

    Raises RequestInvalid for a component that is named twice, or without a day, or with one that is to come.
    """
    codes = [day.component_code for day in given]
    violations = [
        Violation(f"paper_days[{index}]", "Thiếu ngày, hoặc thành phần lặp lại.", "It has no day, or names one twice.")
        for index, day in enumerate(given)
        if not day.issued_on or codes.count(day.component_code) > 1
    ]
    if violations := violations + _days(given, "paper_days", at):
        raise RequestInvalid(violations)
    return tuple(PaperDay(day.component_code, day.issued_on) for day in given)


def _days(given: Any, field: str, at: datetime) -> list[Violation]:
    today = local_day(at)
    return [
        Violation(
            f"{field}[{index}].issued_on",
            "Phải là ngày cấp có thật, dạng 2026-03-02, không sau hôm nay.",
            "It must be a day such as 2026-03-02, not after today.",
        )
        for index, each in enumerate(given)
        if each.issued_on and not is_past(each.issued_on, today)
    ]


def data_faults_of(given: Any) -> tuple[DataFault, ...]:
    """The faults of data that a request names. Raises RequestInvalid for a fault of no database or of no kind."""
    violations = [
        Violation(
            f"data_faults[{index}]",
            f"Thiếu loại lỗi, hoặc tên cơ sở dữ liệu không dài 1–{LONGEST_NAME} ký tự.",
            f"It lacks its kind, or database is not 1 to {LONGEST_NAME} characters long.",
        )
        for index, fault in enumerate(given)
        if not 0 < len(fault.database.strip()) <= LONGEST_NAME or not fault.kind
    ]
    if violations:
        raise RequestInvalid(violations)
    return tuple(
        DataFault(fault.database.strip(), DATA_FAULT_KIND.stored(fault.kind), fault.component_code) for fault in given
    )


def attached(components: tuple[Component, ...]) -> set[str]:
    return {component.sha256 for component in components if component.source is ComponentSource.ATTACHMENT}


def fee_id_of(request_id: str, code: str) -> str:
    """The id of the fee that this request assesses for this dossier."""
    return str(uuid5(UUID(request_id), f"fee of {code}"))
