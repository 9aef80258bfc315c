"""The clocks of a dossier: counting beyond the announced holidays, across boundaries, and until an online dossier is received."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st
from sqlalchemy import create_engine

from motcua.catalogue.events.v1 import events_pb2
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from services.catalogue.answers import deadline
from services.catalogue.views import Definitions
from services.chassis.decider import Rejected
from services.chassis.deciding.codec import from_timestamp
from services.chassis.following.in_force import SHAPES, definitions_view
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier import values as v
from services.dossier.domain import dossier
from services.dossier.law import Law, Question
from services.law.course import FeeCondition, Settlement
from services.law.deadlines import Calendar, Term, Unit, is_provisional
from services.law.definitions import CalendarVersion, calendar_of
from tests.dossier import world as w
from tests.dossier.world import APPLICANT, CLOCK, COMMUNE, DEPARTMENT, NEW, OFFICIAL, at
from tests.support.facts import fact_of
from tests.support.given import given
from tests.support.shipped import shipped

OLD, NEWEST = (calendar_of(each) for each in shipped().calendars if each.calendar_id == "general")
BASIS = ("45/2019/QH14",)
SEVENTEEN = w.terms(term=Term(17, Unit.WORKING_DAYS), calendar=OLD)
RECEIVED, PROMISED, RIGHT = at("2027-01-29T09:00"), at("2027-02-23T17:00"), at("2027-03-02T17:00")
ACROSS = v.Route(at("2026-09-04T17:00"), at("2026-09-04T09:00"))
AFTER_THREE = v.Route(at("2026-09-07T07:30"), at("2026-09-07T07:30"))


def stamp(by: v.Actor, when: datetime) -> e.Stamp:
    return e.Stamp(code=w.CODE, at=when, by=by.actor_id, applicant_id=APPLICANT.actor_id)


def story(*told: w.Told) -> Any:
    return given(dossier, *w.story(*told))


def recount(when: datetime, calendar: Calendar = NEWEST) -> c.RecountDeadline:
    return c.RecountDeadline(by=CLOCK, at=when, calendar=calendar, legal_basis=BASIS)


def received(when: datetime, due: datetime, law: v.Terms = SEVENTEEN, **said: Any) -> e.DossierReceived:
    return e.DossierReceived(
        **stamp(OFFICIAL, when),
        receipt_number="TN-1",
        due_at=due,
        term=law.term,
        calendar=law.calendar.name,
        agency=COMMUNE,
        procedure_version=2,
        next_step_code="check",
        next_role="processor",
        **said,
    )


# Beyond what is announced


def test_a_due_date_beyond_the_announced_holidays_is_provisional_and_recounted_when_they_are() -> None:
    promised = received(RECEIVED, PROMISED, provisional=True)
    given(dossier, *NEW).when(w.receive(RECEIVED, SEVENTEEN)).then(promised)
    recounted = e.DeadlineRecounted(
        **stamp(CLOCK, at("2027-02-01T08:00")),
        original_due_at=PROMISED,
        due_at=RIGHT,
        calendar="general@2",
        original_calendar="general@1",
        provisional=False,
        legal_basis=BASIS,
        agency=COMMUNE,
    )
    told = story(*NEW, w.receive(RECEIVED, SEVENTEEN))
    told.when(recount(at("2027-02-01T08:00"))).then(recounted)
    # Once, and not where it passed.
    history = (*NEW, promised, recounted)
    given(dossier, *history).when(recount(at("2027-02-02T08:00"))).then_nothing()
    given(dossier, *NEW, promised).when(recount(at("2027-02-24T08:00"))).then_nothing()
    state = dossier.fold(history)
    assert (state.due_at, state.provisional, state.calendar) == (RIGHT, False, "general@2")


def test_the_last_day_that_is_announced_is_certain() -> None:
    law = w.terms(term=Term(2, Unit.WORKING_DAYS), calendar=OLD)
    given(dossier, *NEW).when(w.receive(at("2026-12-29T09:00"), law)).then(
        received(at("2026-12-29T09:00"), at("2026-12-31T17:00"), law)
    )
    given(dossier, *NEW).when(w.receive(at("2026-12-30T09:00"), law)).then(
        received(at("2026-12-30T09:00"), at("2027-01-04T17:00"), law, provisional=True)
    )


def test_nobody_is_late_because_a_holiday_was_given_up() -> None:
    """The promise stays; it becomes certain."""
    law = w.terms(term=Term(1, Unit.WORKING_DAYS), calendar=OLD)
    shorter = replace(OLD, version=3, worked=OLD.worked | {date(2026, 12, 5)})
    due = at("2026-12-07T17:00")
    story(*NEW, w.receive(at("2026-12-04T09:00"), law)).when(recount(at("2026-12-06T09:00"), shorter)).then(
        e.DeadlineRecounted(
            **stamp(CLOCK, at("2026-12-06T09:00")),
            original_due_at=due,
            due_at=due,
            calendar="general@3",
            original_calendar="general@1",
            provisional=False,
            legal_basis=BASIS,
            agency=COMMUNE,
        )
    )


def test_an_apology_s_date_is_an_appointment_and_no_count() -> None:
    again = at("2027-02-05T17:00")
    late = (*NEW, w.receive(at("2026-12-21T09:00"), w.terms(calendar=OLD)), w.extend(at("2026-12-29T09:00"), again))
    story(*late).when(recount(at("2026-12-30T09:00"))).then(
        e.DeadlineRecounted(
            **stamp(CLOCK, at("2026-12-30T09:00")),
            original_due_at=again,
            due_at=again,
            calendar="general@2",
            original_calendar="general@1",
            provisional=False,
            legal_basis=BASIS,
            agency=COMMUNE,
        )
    )


moments = st.datetimes(datetime(2026, 9, 1), datetime(2027, 2, 20)).map(lambda moment: moment.replace(tzinfo=w.ZONE))
terms = st.one_of(
    st.builds(Term, st.integers(1, 60), st.sampled_from([Unit.WORKING_DAYS, Unit.DAYS, Unit.HOURS])),
    st.just(Term(0, Unit.SAME_DAY)),
    st.just(Term(1, Unit.MONTHS)),
)
waits = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 900)), max_size=3)


def lived(law: v.Terms, received_at: datetime, waits: list[tuple[int, int]], later: v.Terms) -> Any:
    """Received by one calendar, asked for more and supplied by another."""
    told = [*w.story(*NEW, w.receive(received_at, law), w.assign(when=received_at, law=law))]
    now = received_at
    for until, length in waits:
        for command in (
            w.request_supplement(now + timedelta(hours=until)),
            w.supply(now + timedelta(hours=until + length), terms=later, reception_terms=later),
        ):
            told += dossier.decide(command, dossier.fold(told))
        now += timedelta(hours=until + length)
    return dossier.fold(told), now


@forall(terms, moments, waits)
def test_reception_resumption_and_recount_agree_whatever_version_each_was_counted_by(
    term: Term, received_at: datetime, waits: list[tuple[int, int]]
) -> None:
    old, new = w.terms(term=term, calendar=OLD), w.terms(term=term, calendar=NEWEST)
    right, _ = lived(new, received_at, waits, new)
    resumed, _ = lived(old, received_at, waits, new)
    assert not waits or (resumed.due_at, resumed.provisional) == (right.due_at, right.provisional)
    counted_old, now = lived(old, received_at, waits, old)
    for event in dossier.decide(recount(now), counted_old):
        assert isinstance(event, e.DeadlineRecounted)
        assert event.due_at == right.due_at or event.due_at == counted_old.due_at != right.due_at <= now
        assert event.provisional is is_provisional(NEWEST, event.due_at)


# Across boundaries

LAW = w.terms(term=Term(3, Unit.WORKING_DAYS))
ELSEWHERE = (w.submit(competent_agency=DEPARTMENT),)


@pytest.mark.parametrize(
    ("route", "received_at", "expected"),
    [
        (ACROSS, at("2026-09-04T09:00"), at("2026-09-09T17:00")),
        (AFTER_THREE, at("2026-09-04T16:00"), at("2026-09-10T17:00")),
    ],
)
def test_the_time_of_what_is_taken_across_boundaries_counts_from_when_the_competent_agency_gets_it(
    route: v.Route, received_at: datetime, expected: datetime
) -> None:
    taken = (*ELSEWHERE, replace(w.receive(received_at, LAW), route=route))
    story(*ELSEWHERE).when(taken[-1]).then(
        received(received_at, expected, LAW, forward_by=route.forward_by, counts_from=route.counts_from)
    )
    got_at, due = at("2026-09-07T10:00"), at("2026-09-10T17:00")
    transfer = replace(w.transfer(when=got_at), calendar=LAW.calendar)
    told = story(*taken)
    told.when(transfer).then(
        e.DossierTransferred(
            **stamp(OFFICIAL, got_at),
            from_agency=COMMUNE,
            to_agency=DEPARTMENT,
            reason=w.REASON,
            reached=True,
            due_at=due,
            calendar=LAW.calendar.name,
        )
    )
    before, after = dossier.fold(w.story(*taken)), dossier.fold(w.story(*taken, transfer))
    assert (before.received_at, before.competent_received_at, before.due_at) == (received_at, None, expected)
    assert (after.received_at, after.competent_received_at, after.due_at) == (received_at, got_at, due)
    # A later transfer restarts nothing.
    again = replace(w.transfer(COMMUNE, w.EXPERT, at("2026-09-09T10:00")), calendar=LAW.calendar)
    moved = dossier.fold(w.story(*taken, transfer, again))
    assert (moved.competent_received_at, moved.due_at, moved.holder) == (got_at, due, COMMUNE)


def test_elsewhere_in_the_same_place_the_time_counts_from_reception() -> None:
    route = v.Route(at("2026-09-07T07:30"))
    taken = (*ELSEWHERE, replace(w.receive(at("2026-09-04T16:00"), LAW), route=route))
    forward = c.ForwardDossier(by=CLOCK, at=at("2026-09-07T07:31"), reason=w.REASON, calendar=LAW.calendar)
    due = at("2026-09-09T17:00")
    story(*taken).when(forward).then(
        e.DossierTransferred(
            **stamp(CLOCK, at("2026-09-07T07:31")),
            from_agency=COMMUNE,
            to_agency=DEPARTMENT,
            reason=w.REASON,
            reached=True,
        )
    )
    state = dossier.fold(w.story(*taken, forward))
    assert (state.due_at, state.competent_received_at) == (due, at("2026-09-07T07:31"))
    # It is there, or waits for somebody, or was received there.
    for history in ((*taken, forward), (*taken, w.assign(), w.request_supplement()), (*NEW, w.receive())):
        story(*history).when(forward).then_nothing()


# Until it is received

ONLINE = w.submit(reception_term=Term(1, Unit.WORKING_DAYS), reception_calendar=w.CALENDAR)


def online(**changes: Any) -> c.SubmitDossier:
    return replace(ONLINE, submission=replace(ONLINE.submission, **changes))


BY = at("2026-03-02T17:00")
LATE = at("2026-03-03T09:00")


def passed(by: v.Actor, when: datetime = LATE) -> e.ReceptionDeadlinePassed:
    return e.ReceptionDeadlinePassed(**stamp(by, when), reception_due_at=BY, agency=COMMUNE)


def test_an_online_dossier_is_to_be_received_in_its_time() -> None:
    state = dossier.fold(w.story(ONLINE))
    assert (state.reception_due_at, state.reception_overdue(BY), state.reception_overdue(LATE)) == (BY, False, True)
    eight = online(reception_term=Term(8, Unit.HOURS), at=at("2026-03-02T10:00"))
    assert dossier.fold(w.story(eight)).reception_due_at == at("2026-03-03T10:00")


def test_a_late_reception_is_noted_once_by_the_clock_or_with_the_answer() -> None:
    note = c.NoteReceptionDeadline(by=CLOCK, at=LATE, reception_due_at=BY)
    story(ONLINE).when(note).then(passed(CLOCK))
    story(ONLINE, note).when(note).then_nothing()
    story(ONLINE).when(replace(note, at=BY)).then_nothing()
    story(ONLINE, w.receive(BY)).when(note).then_nothing()
    for answer in (
        w.receive(LATE),
        c.RefuseDossier(by=OFFICIAL, at=LATE, reason=w.REASON),
        w.request_supplement(LATE),
        replace(w.stop(), at=LATE),
    ):
        assert w.story(ONLINE, answer)[1] == passed(OFFICIAL)
        assert not any(isinstance(event, e.ReceptionDeadlinePassed) for event in w.story(ONLINE, note, answer)[2:])


def test_what_must_be_paid_first_is_no_delay_of_the_office() -> None:
    owing = online(terms=w.owing(FeeCondition.RECEPTION))
    assert dossier.fold(w.story(owing)).reception_due_at is None
    pay = replace(w.pay("fee-0", when=at("2026-03-04T09:00")), reception_calendar=w.CALENDAR)
    story(owing).when(pay).then(
        e.FeePaid(
            **stamp(w.TREASURY, at("2026-03-04T09:00")),
            fee_id="fee-0",
            amount=w.FEE.amount,
            payment_id="payment-1",
            due_at=None,
            reception_due_at=at("2026-03-05T17:00"),
        )
    )
    assert dossier.fold(w.story(owing, pay)).reception_due_at == at("2026-03-05T17:00")


# One notice

POPULATION = v.DataFault("Cơ sở dữ liệu quốc gia về dân cư", v.DataFaultKind.UNREADABLE)
INSTEAD = replace(POPULATION, component_code="housing")


def notice(codes: tuple[str, ...] = ("housing",), faults: tuple[v.DataFault, ...] = (), once: bool = True) -> Any:
    return replace(w.request_supplement(codes=codes), data_faults=faults, one_notice=once)


@pytest.mark.parametrize(
    ("codes", "faults", "asked"),
    [
        ((), (POPULATION,), ()),
        ((), (INSTEAD,), ("housing",)),
        (("photo",), (INSTEAD,), ("photo", "housing")),
    ],
)
def test_one_notice_may_say_that_a_database_could_not_be_read(
    codes: tuple[str, ...], faults: tuple[v.DataFault, ...], asked: tuple[str, ...]
) -> None:
    given(dossier, *NEW).when(notice(codes, faults)).then(
        e.SupplementRequested(
            **stamp(OFFICIAL, w.RECEIVED), component_codes=asked, explanation=w.REASON, data_faults=faults
        )
    )
    given(dossier, *NEW).when(notice(codes, faults, once=False)).then_rejected("NOTICE_NOT_IN_FORCE")


def test_where_only_data_were_at_fault_nothing_needs_to_be_supplied() -> None:
    state = dossier.fold(w.story(*NEW, notice((), (POPULATION,)), w.supply(components=())))
    assert (state.settlement, state.data_faults) == (Settlement.BEING_PROCESSED, ())


def test_a_second_notice_in_the_same_stage_asks_for_nothing_new() -> None:
    processed = (*NEW, w.receive(), w.assign())
    asked = (*processed, notice(), w.supply())
    story(*asked).when(notice()).then(
        e.SupplementRequested(**stamp(OFFICIAL, w.RECEIVED), component_codes=("housing",), explanation=w.REASON)
    )
    story(*asked).when(notice(("photo",))).then_rejected("ALREADY_NOTIFIED", more="photo")
    story(*asked).when(notice((), (POPULATION,))).then_rejected("ALREADY_NOTIFIED", more=POPULATION.database)
    story(*asked).when(notice(("photo",), once=False)).then(
        e.SupplementRequested(**stamp(OFFICIAL, w.RECEIVED), component_codes=("photo",), explanation=w.REASON)
    )
    # Reception and settlement are two stages.
    story(*NEW, notice(), w.supply()).when(notice(("photo",))).then(
        e.SupplementRequested(**stamp(OFFICIAL, w.RECEIVED), component_codes=("photo",), explanation=w.REASON)
    )


CATALOGUE = shipped()
SHOP = next(agency for agency in CATALOGUE.agencies("56") if agency.level.name == "COMMUNE" and agency.one_stop_shop)
OFFERED = [
    (procedure, rule.channel)
    for procedure in CATALOGUE.procedures
    for rule in procedure.channels
    if rule.term and any((SHOP.level, SHOP.kind) == (each.level, each.kind) for each in procedure.authorities)
]


def written(kind: str, each: Any) -> Any:
    return SHAPES[kind].write(each)


def published(*calendars: CalendarVersion) -> Any:
    engine = create_engine("sqlite://")
    db = engine.connect()
    definitions_view.metadata.create_all(db)
    facts: list[Any] = [
        *(
            events_pb2.CalendarPublished(calendar=written("calendar", each))
            for each in (*CATALOGUE.calendars, *calendars)
        ),
        *(events_pb2.ProcedurePublished(procedure=written("procedure", each)) for each, _ in OFFERED),
        events_pb2.AgencyOpened(agency=written("agency", SHOP)),
    ]
    for fact in facts:
        definitions_view.folds[fact.DESCRIPTOR.full_name](db, [fact_of(fact)])
    return Law(db), Definitions(db)


LAW_OF_56, DEFINITIONS = published()


@forall(st.sampled_from(OFFERED), moments.filter(lambda moment: moment.year == 2027 or moment.month > 9))
def test_preview_and_reception_count_alike(offered: Any, received_at: datetime) -> None:
    procedure, channel = offered
    request = pb.PreviewDeadlineRequest(procedure_code=procedure.code, channel=channel.value, agency=SHOP.code)
    told = deadline(DEFINITIONS, request, received_at)
    law = LAW_OF_56.terms(
        Question(
            procedure=LAW_OF_56.in_force(procedure.code, received_at),
            channel=v.Channel(channel.value),
            agency=SHOP,
            answers={},
            at=received_at,
        )
    )
    promised = w.story(w.submit(at=received_at), w.receive(received_at, law))[-1]
    assert isinstance(promised, e.DossierReceived)
    assert (from_timestamp(told.due_at), told.provisional) == (promised.due_at, promised.provisional)
    assert f"{told.calendar_id}@{told.calendar_version}" == promised.calendar


def test_what_an_older_calendar_counted_is_counted_anew_and_one_of_a_later_day_stops_nothing() -> None:
    law, _ = published(replace(CATALOGUE.calendars[0], calendar_id="treasury", version=1, valid_from="2027-01-01"))
    assert {(name, calendar.name) for name, _, calendar, _ in law.superseded(w.RECEIVED)} == {
        ("general@1", "general@2"),
        ("police@1", "police@2"),
    }
    assert law.days_known(w.RECEIVED).keys() == {SHOP.calendar_id}
    with pytest.raises(Rejected, match="NOT_READY"):
        law.calendar("treasury", w.RECEIVED)
