"""What is not in force yet is replaced or withdrawn before its first day; a faulty form is repaired by two persons."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args
from uuid import uuid4

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
from services.catalogue.domain import agencies, calendars, overlays, procedures
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
from services.chassis.deciding.facts import Fact
from services.chassis.following.in_force import kept, kept_table, law
from services.law.definitions import Circumstance, FeeOverlay, Json, Text
from tests.catalogue.samples import PROCEDURE, form, text
from tests.catalogue.test_domain import AGENCY, AT, BY, CALENDAR, CODE, EARLIER, ONLINE_FREE
from tests.support.given import given

# Today is 10 August 2026 in Vietnam.
ANOTHER = "editor-2"
NEXT = replace(PROCEDURE, version=2, valid_from="2026-10-01")
PUBLISHED = ProcedurePublished(PROCEDURE, EARLIER, BY)
UPCOMING = ProcedurePublished(NEXT, EARLIER, BY)


# Procedures


def test_a_version_is_withdrawn_before_its_first_day_and_the_one_before_goes_on() -> None:
    withdrawn = ProcedureVersionWithdrawn(CODE, 2, "Nhập sai", AT, BY)
    given(procedures, PUBLISHED, UPCOMING).when(WithdrawProcedureVersion(CODE, 2, "Nhập sai", AT, BY)).then(withdrawn)
    later = replace(PROCEDURE, version=3, valid_from="2026-09-01")
    given(procedures, PUBLISHED, UPCOMING, withdrawn).when(PublishProcedure(later, (), AT, BY)).then(
        ProcedurePublished(later, AT, BY)
    )


def test_a_version_replaces_what_is_not_in_force_yet() -> None:
    corrected = replace(NEXT, version=3)
    given(procedures, PUBLISHED, UPCOMING).when(PublishProcedure(corrected, (), AT, BY)).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2026-10-01", valid_until=""
    )
    given(procedures, PUBLISHED, UPCOMING).when(PublishProcedure(corrected, (), AT, BY, replaces=True)).then(
        ProcedureVersionWithdrawn(CODE, 2, "v3", AT, BY), ProcedurePublished(corrected, AT, BY)
    )


@pytest.mark.parametrize("since", ["2026-08-10", "2026-08-09"])
def test_nothing_that_is_in_force_is_withdrawn_or_replaced(since: str) -> None:
    begun = ProcedurePublished(replace(NEXT, valid_from=since), EARLIER, BY)
    given(procedures, PUBLISHED, begun).when(WithdrawProcedureVersion(CODE, 2, "Sai", AT, BY)).then_rejected(
        "IN_FORCE_ALREADY", valid_from=since, today="2026-08-10"
    )
    again = replace(NEXT, version=3, valid_from=since)
    given(procedures, PUBLISHED, begun).when(PublishProcedure(again, (), AT, BY, replaces=True)).then_rejected(
        "VALIDITY_OVERLAPS", valid_from=since, valid_until=""
    )


def test_a_withdrawal_is_refused() -> None:
    given(procedures, PUBLISHED).when(WithdrawProcedureVersion(CODE, 2, "Sai", AT, BY)).then_rejected(
        "VERSION_UNKNOWN", code=CODE, version="2"
    )
    given(procedures, PUBLISHED, UPCOMING).when(WithdrawProcedureVersion(CODE, 2, " ", AT, BY)).then_rejected(
        "REASON_REQUIRED"
    )


# Repairs

MENDED = replace(PROCEDURE, circumstances=(replace(PROCEDURE.circumstances[0], form_value=Json("false")),))
PROPOSED = ProcedureRepairProposed(MENDED, "Sai giá trị", EARLIER, BY)


def propose(**changes: Any) -> ProposeProcedureRepair:
    return ProposeProcedureRepair(replace(MENDED, **changes), (), "Sai giá trị", AT, BY)


def test_a_repair_needs_two_persons() -> None:
    given(procedures, PUBLISHED).when(propose()).then(ProcedureRepairProposed(MENDED, "Sai giá trị", AT, BY))
    given(procedures, PUBLISHED, PROPOSED).when(ConfirmProcedureRepair(CODE, 1, AT, BY)).then_rejected(
        "REPAIR_NEEDS_ANOTHER", code=CODE, version="1"
    )
    given(procedures, PUBLISHED, PROPOSED).when(ConfirmProcedureRepair(CODE, 1, AT, ANOTHER)).then(
        ProcedureRepaired(MENDED, "Sai giá trị", BY, AT, ANOTHER)
    )


def test_a_repair_changes_the_form_and_nothing_else() -> None:
    asked = form({"type": "object", "properties": {"name": {"type": "string", "title": "Tên"}}})
    given(procedures, PUBLISHED).when(propose(form=asked)).then(
        ProcedureRepairProposed(replace(MENDED, form=asked), "Sai giá trị", AT, BY)
    )
    for changes in ({"fee": None}, {"loa": 2}, {"circumstances": (Circumstance("other", text()),)}):
        given(procedures, PUBLISHED).when(propose(**changes)).then_rejected(
            "REPAIR_CHANGES_MORE", code=CODE, version="1"
        )


def test_a_repair_is_refused() -> None:
    given(procedures, PUBLISHED).when(propose(version=2)).then_rejected("VERSION_UNKNOWN", code=CODE, version="2")
    given(procedures, PUBLISHED).when(ProposeProcedureRepair(PROCEDURE, (), "Sai", AT, BY)).then_rejected(
        "REPAIR_CHANGES_NOTHING", code=CODE, version="1"
    )
    given(procedures, PUBLISHED).when(ProposeProcedureRepair(MENDED, ("FORM_MISSING",), "Sai", AT, BY)).then_rejected(
        "PROCEDURE_FAULTY", code=CODE, count="1", faults="FORM_MISSING"
    )
    given(procedures, PUBLISHED).when(ConfirmProcedureRepair(CODE, 1, AT, ANOTHER)).then_rejected(
        "REPAIR_UNKNOWN", code=CODE, version="1"
    )
    repaired = ProcedureRepaired(MENDED, "Sai giá trị", BY, EARLIER, ANOTHER)
    given(procedures, PUBLISHED, PROPOSED, repaired).when(ConfirmProcedureRepair(CODE, 1, AT, ANOTHER)).then_rejected(
        "REPAIR_UNKNOWN", code=CODE, version="1"
    )


# Fee overlays

TYPED = replace(ONLINE_FREE, amount=2_000_000, valid_from="2027-01-01")
RIGHT = replace(TYPED, amount=20_000)


def withdraw(overlay: FeeOverlay, reason: str = "Nhập sai mức thu") -> WithdrawFeeOverlay:
    scope = (overlay.province, overlay.procedure_code, overlay.charge_code, overlay.channels, overlay.valid_from)
    return WithdrawFeeOverlay(*scope, reason, AT, BY)


def test_two_million_typed_for_twenty_thousand() -> None:
    adopted = FeeOverlayAdopted(TYPED, EARLIER, BY)
    gone = FeeOverlayWithdrawn("31", "", "", TYPED.channels, "2027-01-01", "Nhập sai mức thu", AT, BY)
    given(overlays, adopted).when(withdraw(TYPED)).then(gone)
    given(overlays, adopted, gone).when(AdoptFeeOverlay(RIGHT, True, True, frozenset(), AT, BY)).then(
        FeeOverlayAdopted(RIGHT, AT, BY)
    )
    given(overlays, adopted).when(AdoptFeeOverlay(RIGHT, True, True, frozenset(), AT, BY, replaces=True)).then(
        replace(gone, reason=RIGHT.resolution), FeeOverlayAdopted(RIGHT, AT, BY)
    )


def test_an_overlay_s_withdrawal_is_refused() -> None:
    given(overlays).when(withdraw(TYPED)).then_rejected("OVERLAY_UNKNOWN", valid_from="2027-01-01")
    given(overlays, FeeOverlayAdopted(ONLINE_FREE, EARLIER, BY)).when(withdraw(ONLINE_FREE)).then_rejected(
        "IN_FORCE_ALREADY", valid_from="2026-08-08", today="2026-08-10"
    )
    given(overlays, FeeOverlayAdopted(TYPED, EARLIER, BY)).when(withdraw(TYPED, "")).then_rejected("REASON_REQUIRED")


# Agencies

OPENED = AgencyOpened(AGENCY, EARLIER, BY)
NAME = Text("Ủy ban nhân dân phường Nha Trang", "People's Committee of Nha Trang Ward")
RENAMED = replace(AGENCY, name=NAME, valid_from="2026-09-01", version=2)


def change(**changes: Any) -> ChangeAgency:
    given_ = ChangeAgency(AGENCY.code, NAME, "", False, "2026-09-01", "1/NQ", AT, BY)
    return replace(given_, **changes)


def test_an_agency_s_name_and_calendar_change_by_version() -> None:
    given(agencies, OPENED).when(change()).then(AgencyChanged(RENAMED, "1/NQ", AT, BY))
    given(agencies, OPENED).when(change(name=None, calendar_id="police", calendar_known=True)).then(
        AgencyChanged(replace(RENAMED, name=AGENCY.name, calendar_id="police"), "1/NQ", AT, BY)
    )


def test_a_change_of_an_agency_is_replaced_or_withdrawn_before_its_first_day() -> None:
    changed = AgencyChanged(RENAMED, "1/NQ", EARLIER, BY)
    gone = AgencyVersionWithdrawn(AGENCY.code, 2, "Sai tên", AT, BY)
    given(agencies, OPENED, changed).when(WithdrawAgencyVersion(AGENCY.code, 2, "Sai tên", AT, BY)).then(gone)
    again = replace(RENAMED, version=3, calendar_id="police")
    given(agencies, OPENED, changed).when(change(calendar_id="police", calendar_known=True, replaces=True)).then(
        replace(gone, reason="1/NQ"), AgencyChanged(again, "1/NQ", AT, BY)
    )


def test_an_agency_that_has_not_opened_yet_is_withdrawn_and_its_code_is_free() -> None:
    upcoming = AgencyOpened(replace(AGENCY, valid_from="2027-01-01"), EARLIER, BY)
    gone = AgencyVersionWithdrawn(AGENCY.code, 1, "Sai", AT, BY)
    given(agencies, upcoming).when(WithdrawAgencyVersion(AGENCY.code, 1, "Sai", AT, BY)).then(gone)
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
    given(agencies, OPENED).when(WithdrawAgencyVersion(code, 1, "Sai", AT, BY)).then_rejected(
        "IN_FORCE_ALREADY", valid_from="2025-07-01", today="2026-08-10"
    )
    upcoming = AgencyOpened(replace(AGENCY, valid_from="2026-08-20"), EARLIER, BY)
    given(agencies, upcoming, AgencyChanged(RENAMED, "1/NQ", EARLIER, BY)).when(
        WithdrawAgencyVersion(code, 1, "Sai", AT, BY)
    ).then_rejected("VERSION_IS_FOLLOWED", code=code, version="1")


# Calendars


def test_a_calendar_s_version_is_replaced_or_withdrawn_before_its_first_day() -> None:
    published = CalendarPublished(CALENDAR, EARLIER, BY)
    later = replace(CALENDAR, version=2, valid_from="2027-01-01", known_until="2027-12-31")
    upcoming = CalendarPublished(later, EARLIER, BY)
    gone = CalendarVersionWithdrawn(CALENDAR.calendar_id, 2, "Sai", AT, BY)
    given(calendars, published, upcoming).when(WithdrawCalendarVersion(CALENDAR.calendar_id, 2, "Sai", AT, BY)).then(
        gone
    )
    corrected = replace(later, version=3)
    given(calendars, published, upcoming).when(PublishCalendar(corrected, AT, BY)).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2027-01-01", valid_until=""
    )
    given(calendars, published, upcoming).when(PublishCalendar(corrected, AT, BY, replaces=True)).then(
        replace(gone, reason="v3"), CalendarPublished(corrected, AT, BY)
    )
    given(calendars, published).when(WithdrawCalendarVersion(CALENDAR.calendar_id, 1, "Sai", AT, BY)).then_rejected(
        "IN_FORCE_ALREADY", valid_from="", today="2026-08-10"
    )


# What readers keep is what was decided

DAYS = st.integers(0, 40).map(lambda days: (date(2026, 8, 1) + timedelta(days=days)).isoformat())
STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "replace", "end", "withdraw"]), DAYS, DAYS, st.integers(1, 6)), max_size=12
)


def told(db: Connection, shape: Shape, event: Any, revision: int) -> None:
    name = shape.message.DESCRIPTOR.full_name
    fact: Fact[Any] = Fact(shape.write(event), uuid4(), name, "procedure-x", revision, revision, AT, {})
    law.folds[name](db, [fact])


@trying(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_reader_keeps_the_versions_that_were_decided(steps: list[tuple[str, str, str, int]]) -> None:
    state, revision = procedures.initial, 0
    shapes = {kind: Shape(kind, getattr(events_pb2, kind.__name__)) for kind in get_args(ProcedureEvent)}
    with create_engine("sqlite://").begin() as db:
        kept_table.create(db)
        for step, since, until, number in steps:
            new = replace(PROCEDURE, version=state.last_version + 1, valid_from=since, valid_until=max(since, until))
            commands: dict[str, ProcedureCommand] = {
                "publish": PublishProcedure(replace(new, valid_until=""), (), AT, BY),
                "replace": PublishProcedure(new, (), AT, BY, replaces=True),
                "end": WithdrawProcedure(CODE, until, "1/QĐ", AT, BY),
                "withdraw": WithdrawProcedureVersion(CODE, number, "Sai", AT, BY),
            }
            try:
                decided = procedures.decide(commands[step], state)
            except Rejected:
                continue
            for event in decided:
                state, revision = procedures.evolve(state, event), revision + 1
                told(db, shapes[type(event)], event, revision)
        read = {each.version: each.validity for each in kept(db, "procedure")}
    expected = {each.number: validity for each, validity in zip(state.versions, in_force(state.versions), strict=True)}
    assert {number: read[number] for number in expected} == expected
    assert all(read[number].until < read[number].since for number in read.keys() - expected.keys())
