"""What a form's answers and an applicant's eligibility say of a case: the same for a quote and for an assessment."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from services.law.counts import counted, counts
from services.law.definitions import Channel, Ground, Procedure
from services.law.fees import Case, exemptions_on
from services.law.forms import parsed

# Of a birth date perhaps only the year, or the month, is known.
_BIRTH = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What is known of who applies, beside the form.

    `account_level`: of a citizen's electronic identity. `document_kinds`: in the warehouse, valid, and may be reused. `confirmed`:
    exemptions that an official saw proved. `used`: those that may not be used again.
    """

    account_level: int = 0
    document_kinds: Collection[str] = ()
    confirmed: Collection[str] = ()
    used: Collection[str] = ()


NO_ELIGIBILITY = Eligibility()


def circumstances(procedure: Procedure, answers: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(
        circumstance.code
        for circumstance in procedure.circumstances
        if circumstance.form_field and is_so(answers, circumstance.form_field, circumstance.form_value)
    )


def is_so(answers: Mapping[str, Any], field: str, value: str) -> bool:
    """Raises FormUnusable for a definition that was published before it was checked."""
    said, meant = answers.get(field), parsed(value)
    # In JSON true is no number.
    return field in answers and isinstance(said, bool) is isinstance(meant, bool) and bool(said == meant)


def following(procedure: Procedure, day: str, answers: Mapping[str, Any], eligibility: Eligibility) -> dict[str, str]:
    """The exemptions that follow by themselves, each with the document kind that proves it, or empty."""
    found: dict[str, str] = {}
    for exemption in exemptions_on(procedure, day):
        held = [ground for ground in exemption.grounds if _holds(ground, day, answers, eligibility)]
        if held:
            # What needs no document is preferred.
            found[exemption.code] = min(ground.document_kind for ground in held)
    return found


def case_of(
    procedure: Procedure,
    province: str,
    channel: Channel,
    day: str,
    answers: Mapping[str, Any],
    eligibility: Eligibility = NO_ELIGIBILITY,
) -> Case:
    exempt = {*following(procedure, day, answers, eligibility), *eligibility.confirmed} - {*eligibility.used}
    so, counted = circumstances(procedure, answers), counts(procedure.form, answers)
    return Case(province, channel, day, counted, so, frozenset(exempt))


def priced_by(procedure: Procedure) -> frozenset[str]:
    """The answers that the fee depends on."""
    exemptions = procedure.fee.exemptions if procedure.fee else ()
    named = {ground.form_field for exemption in exemptions for ground in exemption.grounds}
    named |= {circumstance.form_field for circumstance in procedure.circumstances}
    return counted(procedure.form) | named - {""}


def _holds(ground: Ground, day: str, answers: Mapping[str, Any], eligibility: Eligibility) -> bool:
    stated = []
    if ground.form_value:
        stated.append(is_so(answers, ground.form_field, ground.form_value))
    if ground.age_from or ground.age_under:
        stated.append(_aged(ground, answers.get(ground.form_field), day))
    if ground.document_kind:
        stated.append(ground.document_kind in eligibility.document_kinds)
    if ground.account_level:
        stated.append(eligibility.account_level >= ground.account_level)
    return bool(stated) and all(stated)


def _aged(ground: Ground, born: Any, day: str) -> bool:
    """Whether it is so on every day that the birth date may be."""
    match = _BIRTH.fullmatch(born) if isinstance(born, str) else None
    if match is None or born > day[: len(born)]:
        return False
    year, month, date = match.groups()
    oldest = _years((year, month or "01", date or "01"), day)
    youngest = max(0, _years((year, month or "12", date or "31"), day))
    return ground.age_from <= youngest and (not ground.age_under or oldest < ground.age_under)


def _years(born: tuple[str, str, str], day: str) -> int:
    """Completed years. Who was born on 29 February completes one on 1 March of a common year."""
    return int(day[:4]) - int(born[0]) - (day[5:] < f"{born[1]}-{born[2]}")
