"""Rules that all that is in force by version has in common. Dates are days in Vietnam."""

from __future__ import annotations

from collections.abc import Sequence

from services.catalogue.refusals import Refused
from services.catalogue.values import D, Version, in_force
from services.law.days import eve, is_day
from services.law.validity import Validity


def require_next(version: int, last: int) -> None:
    if version != last + 1:
        raise Refused("VERSION_NOT_NEXT", version=str(version), expected=str(last + 1))


def require_day(value: str) -> None:
    if not is_day(value):
        raise Refused("DATE_INVALID", value=value)


def require_basis(legal_basis: str) -> None:
    if not legal_basis:
        raise Refused("LEGAL_BASIS_MISSING")


def require_not_past(day: str, today: str) -> None:
    """The law of today is what dossiers received today were promised: the earliest change is its end."""
    if day < today:
        raise Refused("CHANGES_THE_PAST", day=day, today=today)


def validity_of(since: str, until: str) -> Validity:
    require_day(since)
    if until:
        require_day(until)
        if until < since:
            raise Refused("VALIDITY_BACKWARDS", valid_from=since, valid_until=until)
    return Validity(since, until)


def require_reason(reason: str) -> None:
    if not reason.strip():
        raise Refused("REASON_REQUIRED")


def require_not_begun(since: str, today: str) -> None:
    """Nobody was promised anything by what is in force from tomorrow at the earliest."""
    if since <= today:
        raise Refused("IN_FORCE_ALREADY", valid_from=since, today=today)


def version_of(versions: Sequence[Version[D]], number: int, code: str) -> Version[D]:
    for each in versions:
        if each.number == number:
            return each
    raise Refused("VERSION_UNKNOWN", code=code, version=str(number))


def require_to_come(versions: Sequence[Version[D]], number: int, code: str, today: str) -> None:
    require_not_begun(version_of(versions, number, code).validity.since, today)


def without(versions: tuple[Version[D], ...], number: int) -> tuple[Version[D], ...]:
    return tuple(each for each in versions if each.number != number)


def admit(new: Validity, versions: Sequence[Version[D]], today: str, replaces: bool) -> list[int]:
    """The numbers of those that it takes the place of: of such as are not in force yet, if it replaces them."""
    replaced = [
        each.number
        for each, validity in zip(versions, in_force(versions), strict=True)
        if replaces
        and each.validity.since > today
        and validity.meets(new)
        and (validity.until or validity.since >= new.since)
    ]
    for other in in_force([each for each in versions if each.number not in replaced]):
        if not other.meets(new):
            continue
        if other.until or other.since >= new.since:
            raise Refused("VALIDITY_OVERLAPS", valid_from=other.since, valid_until=other.until)
        require_not_past(eve(new.since), today)
    return replaced
