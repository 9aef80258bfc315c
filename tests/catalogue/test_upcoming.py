"""What is not in force yet is replaced or withdrawn before its first day; a faulty form is repaired by two persons."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given as trying
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from motcua.catalogue.events.v1 import events_pb2
from services.catalogue.commands import (
    AdoptFeeOverlay,
    ChangeAgency,
    ConfirmProcedureRepair,
    ProcedureCommand,
    ProposeProcedureRepair,
    PublishCalendar,
    PublishProcedure,
    WithdrawAgencyVersion,
    WithdrawCalendarVersion,
    WithdrawFeeOverlay,
    WithdrawProcedure,
    WithdrawProcedureVersion,
)
from services.catalogue.domain.agency import agencies
from services.catalogue.domain.calendar import calendars
from services.catalogue.domain.overlay import overlays
from services.catalogue.domain.procedure import procedures
from services.catalogue.events import (
    AgencyChanged,
    AgencyOpened,
    AgencyVersionWithdrawn,
    CalendarPublished,
    CalendarVersionWithdrawn,
    FeeOverlayAdopted,
    FeeOverlayWithdrawn,
    ProcedureEvent,
    ProcedurePublished,
    ProcedureRepaired,
    ProcedureRepairProposed,
    ProcedureVersionWithdrawn,
)
from services.catalogue.values import in_force
from services.chassis.decider import Rejected
from services.chassis.deciding.codec import Shape
from services.chassis.following.in_force import definitions_view, versions_of, versions_table
from services.law.definitions import Circumstance, FeeOverlay, Json, Text
from tests.catalogue.samples import PROCEDURE, form, text
from tests.catalogue.test_domain import AGENCY, AT, BY, CALENDAR, CODE, EARLIER, ONLINE_FREE
from tests.support.facts import fact_of
from tests.support.given import given

# Today is 10 August 2026 in Vietnam.
ANOTHER = "editor-2"
NEXT = replace(PROCEDURE, version=2, valid_from="2026-10-01")
PUBLISHED = ProcedurePublished(procedure=PROCEDURE, at=EARLIER, by=BY)
UPCOMING = ProcedurePublished(procedure=NEXT, at=EARLIER, by=BY)


# Procedures


def test_a_version_is_withdrawn_before_its_first_day_and_the_one_before_goes_on() -> None:
    withdrawn = ProcedureVersionWithdrawn(code=CODE, version=2, reason="Nhập sai", at=AT, by=BY)
    given(procedures, PUBLISHED, UPCOMING).when(
        WithdrawProcedureVersion(code=CODE, version=2, reason="Nhập sai", at=AT, by=BY)
    ).then(withdrawn)
    later = replace(PROCEDURE, version=3, valid_from="2026-09-01")
    given(procedures, PUBLISHED, UPCOMING, withdrawn).when(
        PublishProcedure(procedure=later, faults=(), at=AT, by=BY)
    ).then(ProcedurePublished(procedure=later, at=AT, by=BY))


def test_a_version_replaces_what_is_not_in_force_yet() -> None:
    corrected = replace(NEXT, version=3)
    given(procedures, PUBLISHED, UPCOMING).when(
        PublishProcedure(procedure=corrected, faults=(), at=AT, by=BY)
    ).then_rejected("VALIDITY_OVERLAPS", valid_from="2026-10-01", valid_until="")
    given(procedures, PUBLISHED, UPCOMING).when(
        PublishProcedure(procedure=corrected, faults=(), at=AT, by=BY, replaces=True)
    ).then(
        ProcedureVersionWithdrawn(code=CODE, version=2, reason="v3", at=AT, by=BY),
        ProcedurePublished(procedure=corrected, at=AT, by=BY),
    )


@pytest.mark.parametrize("since", ["2026-08-10", "2026-08-09"])
def test_nothing_that_is_in_force_is_withdrawn_or_replaced(since: str) -> None:
    begun = ProcedurePublished(procedure=replace(NEXT, valid_from=since), at=EARLIER, by=BY)
    given(procedures, PUBLISHED, begun).when(
        WithdrawProcedureVersion(code=CODE, version=2, reason="Sai", at=AT, by=BY)
    ).then_rejected("IN_FORCE_ALREADY", valid_from=since, today="2026-08-10")
    again = replace(NEXT, version=3, valid_from=since)
    given(procedures, PUBLISHED, begun).when(
        PublishProcedure(procedure=again, faults=(), at=AT, by=BY, replaces=True)
    ).then_rejected("VALIDITY_OVERLAPS", valid_from=since, valid_until="")


def test_a_withdrawal_is_refused() -> None:
    given(procedures, PUBLISHED).when(
        WithdrawProcedureVersion(code=CODE, version=2, reason="Sai", at=AT, by=BY)
    ).then_rejected("VERSION_UNKNOWN", code=CODE, version="2")
    given(procedures, PUBLISHED, UPCOMING).when(
        WithdrawProcedureVersion(code=CODE, version=2, reason=" ", at=AT, by=BY)
    ).then_rejected("REASON_REQUIRED")


# Repairs

MENDED = replace(PROCEDURE, circumstances=(replace(PROCEDURE.circumstances[0], form_value=Json("false")),))
PROPOSED = ProcedureRepairProposed(procedure=MENDED, reason="Sai giá trị", at=EARLIER, by=BY)


def propose(**changes: Any) -> ProposeProcedureRepair:
    return ProposeProcedureRepair(procedure=replace(MENDED, **changes), faults=(), reason="Sai giá trị", at=AT, by=BY)


def test_a_repair_needs_two_persons() -> None:
    given(procedures, PUBLISHED).when(propose()).then(
        ProcedureRepairProposed(procedure=MENDED, reason="Sai giá trị", at=AT, by=BY)
    )
    given(procedures, PUBLISHED, PROPOSED).when(
        ConfirmProcedureRepair(code=CODE, version=1, at=AT, by=BY)
    ).then_rejected("REPAIR_NEEDS_ANOTHER", code=CODE, version="1")
    given(procedures, PUBLISHED, PROPOSED).when(ConfirmProcedureRepair(code=CODE, version=1, at=AT, by=ANOTHER)).then(
        ProcedureRepaired(procedure=MENDED, reason="Sai giá trị", proposed_by=BY, at=AT, by=ANOTHER)
    )


def test_a_repair_changes_the_form_and_nothing_else() -> None:
    asked = form({"type": "object", "properties": {"name": {"type": "string", "title": "Tên"}}})
    given(procedures, PUBLISHED).when(propose(form=asked)).then(
        ProcedureRepairProposed(procedure=replace(MENDED, form=asked), reason="Sai giá trị", at=AT, by=BY)
    )
    for changes in ({"fee": None}, {"loa": 2}, {"circumstances": (Circumstance("other", text()),)}):
        given(procedures, PUBLISHED).when(propose(**changes)).then_rejected(
            "REPAIR_CHANGES_MORE", code=CODE, version="1"
        )


def test_a_repair_is_refused() -> None:
    given(procedures, PUBLISHED).when(propose(version=2)).then_rejected("VERSION_UNKNOWN", code=CODE, version="2")
    given(procedures, PUBLISHED).when(
        ProposeProcedureRepair(procedure=PROCEDURE, faults=(), reason="Sai", at=AT, by=BY)
    ).then_rejected("REPAIR_CHANGES_NOTHING", code=CODE, version="1")
    given(procedures, PUBLISHED).when(
        ProposeProcedureRepair(procedure=MENDED, faults=("FORM_MISSING",), reason="Sai", at=AT, by=BY)
    ).then_rejected("PROCEDURE_FAULTY", code=CODE, count="1", faults="FORM_MISSING")
    given(procedures, PUBLISHED).when(ConfirmProcedureRepair(code=CODE, version=1, at=AT, by=ANOTHER)).then_rejected(
        "REPAIR_UNKNOWN", code=CODE, version="1"
    )
    repaired = ProcedureRepaired(procedure=MENDED, reason="Sai giá trị", proposed_by=BY, at=EARLIER, by=ANOTHER)
    given(procedures, PUBLISHED, PROPOSED, repaired).when(
        ConfirmProcedureRepair(code=CODE, version=1, at=AT, by=ANOTHER)
    ).then_rejected("REPAIR_UNKNOWN", code=CODE, version="1")


# Fee overlays

TYPED = replace(ONLINE_FREE, amount=2_000_000, valid_from="2027-01-01")
RIGHT = replace(TYPED, amount=20_000)


def withdraw(overlay: FeeOverlay, reason: str = "Nhập sai mức thu") -> WithdrawFeeOverlay:
    return WithdrawFeeOverlay(
        at=AT,
        by=BY,
        province=overlay.province,
        procedure_code=overlay.procedure_code,
        charge_code=overlay.charge_code,
        channels=overlay.channels,
        valid_from=overlay.valid_from,
        reason=reason,
    )


def test_two_million_typed_for_twenty_thousand() -> None:
    adopted = FeeOverlayAdopted(overlay=TYPED, at=EARLIER, by=BY)
    gone = FeeOverlayWithdrawn(
        province="31",
        procedure_code="",
        charge_code="",
        channels=TYPED.channels,
        valid_from="2027-01-01",
        reason="Nhập sai mức thu",
        at=AT,
        by=BY,
    )
    given(overlays, adopted).when(withdraw(TYPED)).then(gone)
    given(overlays, adopted, gone).when(
        AdoptFeeOverlay(overlay=RIGHT, province_known=True, procedure_known=True, charges=frozenset(), at=AT, by=BY)
    ).then(FeeOverlayAdopted(overlay=RIGHT, at=AT, by=BY))
    given(overlays, adopted).when(
        AdoptFeeOverlay(
            overlay=RIGHT, province_known=True, procedure_known=True, charges=frozenset(), at=AT, by=BY, replaces=True
        )
    ).then(replace(gone, reason=RIGHT.resolution), FeeOverlayAdopted(overlay=RIGHT, at=AT, by=BY))


def test_an_overlay_s_withdrawal_is_refused() -> None:
    given(overlays).when(withdraw(TYPED)).then_rejected("OVERLAY_UNKNOWN", valid_from="2027-01-01")
    given(overlays, FeeOverlayAdopted(overlay=ONLINE_FREE, at=EARLIER, by=BY)).when(
        withdraw(ONLINE_FREE)
    ).then_rejected("IN_FORCE_ALREADY", valid_from="2026-08-08", today="2026-08-10")
    given(overlays, FeeOverlayAdopted(overlay=TYPED, at=EARLIER, by=BY)).when(withdraw(TYPED, "")).then_rejected(
        "REASON_REQUIRED"
    )


# Agencies

OPENED = AgencyOpened(agency=AGENCY, at=EARLIER, by=BY)
NAME = Text("Ủy ban nhân dân phường Nha Trang", "People's Committee of Nha Trang Ward")
RENAMED = replace(AGENCY, name=NAME, valid_from="2026-09-01", version=2)


def change(**changes: Any) -> ChangeAgency:
    given_ = ChangeAgency(
        code=AGENCY.code,
        name=NAME,
        calendar_id="",
        calendar_known=False,
        valid_from="2026-09-01",
        legal_basis="1/NQ",
        at=AT,
        by=BY,
    )
    return replace(given_, **changes)


def test_an_agency_s_name_and_calendar_change_by_version() -> None:
    given(agencies, OPENED).when(change()).then(AgencyChanged(agency=RENAMED, legal_basis="1/NQ", at=AT, by=BY))
    given(agencies, OPENED).when(change(name=None, calendar_id="police", calendar_known=True)).then(
        AgencyChanged(agency=replace(RENAMED, name=AGENCY.name, calendar_id="police"), legal_basis="1/NQ", at=AT, by=BY)
    )


def test_a_change_of_an_agency_is_replaced_or_withdrawn_before_its_first_day() -> None:
    changed = AgencyChanged(agency=RENAMED, legal_basis="1/NQ", at=EARLIER, by=BY)
    gone = AgencyVersionWithdrawn(code=AGENCY.code, version=2, reason="Sai tên", at=AT, by=BY)
    given(agencies, OPENED, changed).when(
        WithdrawAgencyVersion(code=AGENCY.code, version=2, reason="Sai tên", at=AT, by=BY)
    ).then(gone)
    again = replace(RENAMED, version=3, calendar_id="police")
    given(agencies, OPENED, changed).when(change(calendar_id="police", calendar_known=True, replaces=True)).then(
        replace(gone, reason="1/NQ"), AgencyChanged(agency=again, legal_basis="1/NQ", at=AT, by=BY)
    )


def test_an_agency_that_has_not_opened_yet_is_withdrawn_and_its_code_is_free() -> None:
    upcoming = AgencyOpened(agency=replace(AGENCY, valid_from="2027-01-01"), at=EARLIER, by=BY)
    gone = AgencyVersionWithdrawn(code=AGENCY.code, version=1, reason="Sai", at=AT, by=BY)
    given(agencies, upcoming).when(WithdrawAgencyVersion(code=AGENCY.code, version=1, reason="Sai", at=AT, by=BY)).then(
        gone
    )
    given(agencies, upcoming, gone).when(change()).then_rejected("AGENCY_UNKNOWN", code=AGENCY.code)


def test_a_change_of_an_agency_is_refused() -> None:
    code = AGENCY.code
    given(agencies).when(change()).then_rejected("AGENCY_UNKNOWN", code=code)
    given(agencies, OPENED).when(change(name=AGENCY.name)).then_rejected("AGENCY_UNCHANGED", code=code)
    given(agencies, OPENED).when(change(calendar_id="none")).then_rejected("CALENDAR_UNKNOWN", calendar_id="none")
    given(agencies, OPENED).when(change(legal_basis="")).then_rejected("LEGAL_BASIS_MISSING")
    given(agencies, OPENED).when(change(valid_from="2026-08-10")).then_rejected(
        "CHANGES_THE_PAST", day="2026-08-09", today="2026-08-10"
    )
    given(agencies, OPENED).when(WithdrawAgencyVersion(code=code, version=1, reason="Sai", at=AT, by=BY)).then_rejected(
        "IN_FORCE_ALREADY", valid_from="2025-07-01", today="2026-08-10"
    )
    upcoming = AgencyOpened(agency=replace(AGENCY, valid_from="2026-08-20"), at=EARLIER, by=BY)
    given(agencies, upcoming, AgencyChanged(agency=RENAMED, legal_basis="1/NQ", at=EARLIER, by=BY)).when(
        WithdrawAgencyVersion(code=code, version=1, reason="Sai", at=AT, by=BY)
    ).then_rejected("VERSION_IS_FOLLOWED", code=code, version="1")


# Calendars


def test_a_calendar_s_version_is_replaced_or_withdrawn_before_its_first_day() -> None:
    published = CalendarPublished(calendar=CALENDAR, at=EARLIER, by=BY)
    later = replace(CALENDAR, version=2, valid_from="2027-01-01", known_until="2027-12-31")
    upcoming = CalendarPublished(calendar=later, at=EARLIER, by=BY)
    gone = CalendarVersionWithdrawn(calendar_id=CALENDAR.calendar_id, version=2, reason="Sai", at=AT, by=BY)
    given(calendars, published, upcoming).when(
        WithdrawCalendarVersion(calendar_id=CALENDAR.calendar_id, version=2, reason="Sai", at=AT, by=BY)
    ).then(gone)
    corrected = replace(later, version=3)
    given(calendars, published, upcoming).when(PublishCalendar(calendar=corrected, at=AT, by=BY)).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2027-01-01", valid_until=""
    )
    given(calendars, published, upcoming).when(PublishCalendar(calendar=corrected, at=AT, by=BY, replaces=True)).then(
        replace(gone, reason="v3"), CalendarPublished(calendar=corrected, at=AT, by=BY)
    )
    given(calendars, published).when(
        WithdrawCalendarVersion(calendar_id=CALENDAR.calendar_id, version=1, reason="Sai", at=AT, by=BY)
    ).then_rejected("IN_FORCE_ALREADY", valid_from="", today="2026-08-10")


# What readers keep is what was decided

DAYS = st.integers(0, 40).map(lambda days: (date(2026, 8, 1) + timedelta(days=days)).isoformat())
STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "replace", "end", "withdraw"]), DAYS, DAYS, st.integers(1, 6)), max_size=12
)


def told(db: Connection, shape: Shape, event: Any, revision: int) -> None:
    name = shape.message.DESCRIPTOR.full_name
    fact = fact_of(shape.write(event), stream="procedure-x", revision=revision)
    definitions_view.folds[name](db, [fact])


@trying(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_reader_keeps_the_versions_that_were_decided(steps: list[tuple[str, str, str, int]]) -> None:
    state, revision = procedures.initial, 0
    shapes = {kind: Shape(kind, getattr(events_pb2, kind.__name__)) for kind in get_args(ProcedureEvent)}
    with create_engine("sqlite://").begin() as db:
        versions_table.create(db)
        for step, since, until, number in steps:
            new = replace(PROCEDURE, version=state.last_version + 1, valid_from=since, valid_until=max(since, until))
            commands: dict[str, ProcedureCommand] = {
                "publish": PublishProcedure(procedure=replace(new, valid_until=""), faults=(), at=AT, by=BY),
                "replace": PublishProcedure(procedure=new, faults=(), at=AT, by=BY, replaces=True),
                "end": WithdrawProcedure(code=CODE, valid_until=until, legal_basis="1/QĐ", at=AT, by=BY),
                "withdraw": WithdrawProcedureVersion(code=CODE, version=number, reason="Sai", at=AT, by=BY),
            }
            try:
                decided = procedures.decide(commands[step], state)
            except Rejected:
                continue
            for event in decided:
                state, revision = procedures.evolve(state, event), revision + 1
                told(db, shapes[type(event)], event, revision)
        read = {each.version: each.validity for each in versions_of(db, "procedure")}
    expected = {each.number: validity for each, validity in zip(state.versions, in_force(state.versions), strict=True)}
    assert {number: read[number] for number in expected} == expected
    assert all(read[number].until < read[number].since for number in read.keys() - expected.keys())
