"""What is wrong with a definition by itself, before anything is published: the rules of the API, asked beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from motcua.catalogue.v1 import errors_pb2
from services.catalogue.commands import AdoptFeeOverlay, OpenAgency, PublishCalendar, PublishProcedure, PublishTerritory
from services.catalogue.counterparts import shown_of
from services.catalogue.domain.agency import AgencyState, agencies
from services.catalogue.domain.calendar import CalendarState, calendars
from services.catalogue.domain.overlay import OverlayState, overlays
from services.catalogue.domain.procedure import ProcedureState, procedures
from services.catalogue.domain.territory import territories
from services.catalogue.linter import lint
from services.catalogue.values import TerritoryState, Version
from services.chassis.calls import requests
from services.chassis.calls.statuses import Errors, RequestInvalid
from services.chassis.decider import Rejected
from services.law.definitions import Agency, CalendarVersion, FeeOverlay, Procedure, Territory, Text
from services.law.validity import Validity

_ERRORS = Errors(errors_pb2.CatalogueError.DESCRIPTOR)
# Nothing was published before: any moment will do.
_AT = datetime(2025, 7, 1, tzinfo=UTC)
Found = Iterator[tuple[str, str]]


def said(rejected: Rejected) -> str:
    """A refusal in English, with its fields."""
    fields = (
        [f"{each.field}: {each.en}" for each in rejected.violations] if isinstance(rejected, RequestInvalid) else []
    )
    return "\n".join([_ERRORS.status(rejected).message, *fields])


def faults(each: Any) -> Found:
    """The path within the definition, and what is wrong there."""
    match each:
        case Procedure():
            yield from ((fault.path, f"{each.code}: {fault.text.en} [{fault.code}]") for fault in lint(each))
            yield from _asked("procedure", each)
        case FeeOverlay():
            yield from _asked("overlay", each)
        case Agency():
            yield from _named("name", each.name)
            yield from _asked("agency", each)
        case CalendarVersion():
            yield from _named("name", each.name)
            yield from _asked("calendar", each)
        case Territory():
            yield from _named("province.name", each.province.name)
            for index, unit in enumerate(each.communes):
                yield from _named(f"communes[{index}].name", unit.name)
            yield from _asked("territory", each)


def agency_faults(agency: Agency, territory: TerritoryState) -> Found:
    """Where its province's territory is known."""
    yield from _decided(agencies.decide, _opening(agency, territory), AgencyState())


def _named(path: str, name: Text) -> Found:
    for language in ("vi", "en"):
        if not getattr(name, language):
            yield f"{path}.{language}", "it has no name"


def _asked(kind: str, each: Any) -> Found:
    try:
        requests.check(shown_of(kind, each))
    except RequestInvalid as invalid:
        yield from ((violation.field, violation.en) for violation in invalid.violations)
    if getattr(each, "version", 1) < (0 if kind == "agency" else 1):
        yield "version", "versions count from 1"
        return
    match each:
        case Procedure():
            state: Any = ProcedureState(last_version=each.version - 1)
            yield from _decided(procedures.decide, PublishProcedure(procedure=each, faults=(), at=_AT, by=""), state)
        case FeeOverlay():
            adopting = AdoptFeeOverlay(
                overlay=each,
                province_known=True,
                procedure_known=True,
                charges=frozenset({each.charge_code}),
                at=_AT,
                by="",
            )
            yield from _decided(overlays.decide, adopting, OverlayState())
        case Agency():
            known = Version(1, Validity(each.valid_from), frozenset({each.commune}))
            yield from agency_faults(each, TerritoryState(1, (known,)))
        case CalendarVersion():
            state = CalendarState(each.version - 1)
            yield from _decided(calendars.decide, PublishCalendar(calendar=each, at=_AT, by=""), state)
        case Territory():
            state = TerritoryState(each.version - 1)
            yield from _decided(territories.decide, PublishTerritory(territory=each, at=_AT, by=""), state)


def _opening(agency: Agency, territory: TerritoryState) -> OpenAgency:
    return OpenAgency(
        agency=agency,
        calendar_known=True,
        parent_known=True,
        at=_AT,
        by="",
        territory=territory,
        parent_province=agency.province,
    )


def _decided(decide: Any, command: Any, state: Any) -> Found:
    try:
        decide(command, state)
    except Rejected as rejected:
        yield "", said(rejected)
