"""What is owed, waived, cancelled, and what happens to a dossier whose fee is not paid in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from services.chassis.decider import Sealed
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier import values as v
from services.dossier.domain import dossier
from services.dossier.events import Event
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Term, Unit
from tests.dossier import world as w
from tests.support.given import given

WHY = Sealed("Xuất trình giấy chứng nhận hộ nghèo.")
COPY = v.FeeItem("Bản sao", 8_000, "copy")
CHARGE = v.FeeItem("Lệ phí", 20_000, "fee")
HASTY = w.terms(pay_within=Term(2, Unit.WORKING_DAYS), stops_unpaid=True)
ASSESSED, LATER, OVER = w.at("2026-03-04T10:00"), w.at("2026-03-05T10:00"), w.at("2026-03-06T17:01")
PAY_BY, DUE_WHEN_RESUMED = w.at("2026-03-06T17:00"), w.at("2026-03-10T17:00")


def waiting(*items: v.FeeItem, **terms: Any) -> tuple[Event, ...]:
    """Received on 2 March, due on the 9th, and since the 4th it waits for money."""
    asked = replace(assessed(items or (CHARGE,), "fee-1"), at=ASSESSED, **terms)
    return (*w.PROCESSED_BY_COMMUNE, asked)


def waive(code: str, fee_id: str = "fee-1", **changes: Any) -> c.WaiveFee:
    return replace(
        c.WaiveFee(
            by=w.OFFICIAL, at=LATER, fee_id=fee_id, left_id="fee-2", exemption_code=code, reason=WHY, terms=w.TERMS
        ),
        **changes,
    )


def cancel(fee_id: str = "fee-1") -> c.CancelFee:
    return c.CancelFee(by=w.OFFICIAL, at=LATER, fee_id=fee_id, reason=w.REASON, terms=w.TERMS)


def stamp(when: datetime = LATER, by: v.Actor = w.OFFICIAL) -> e.Stamp:
    return e.Stamp(code=w.CODE, at=when, by=by.actor_id, applicant_id=w.APPLICANT.actor_id)


def ended(amount: int, reason: Sealed = WHY) -> e.FeeCancelled:
    return e.FeeCancelled(
        **stamp(),
        fee_id="fee-1",
        amount=amount,
        condition=FeeCondition.PROCESSING,
        reason=reason,
        due_at=DUE_WHEN_RESUMED,
    )


def granted(amount: int, code: str) -> e.FeeWaived:
    return e.FeeWaived(**stamp(), fee_id="fee-1", amount=amount, exemptions=Sealed(code), reason=WHY)


def assessed(items: tuple[v.FeeItem, ...], fee_id: str = "fee-2") -> e.FeeAssessed:
    total = sum(item.amount for item in items)
    return e.FeeAssessed(
        **stamp(), fee_id=fee_id, amount=total, items=items, condition=FeeCondition.PROCESSING, agency=w.COMMUNE
    )


def test_what_follows_at_submission_is_not_owed_and_says_why() -> None:
    half = replace(CHARGE, amount=10_000, waived=10_000)
    law = w.terms(fee_items=(half,), waiver=v.Waiver(("student",), ("student-card",)))
    events = dossier.decide(w.submit(terms=law, documents={"student-card": "doc-1"}), dossier.initial)
    by = stamp(w.SUBMITTED, w.APPLICANT)
    assert events[1:] == (
        e.FeeWaived(
            **by, fee_id="fee-0", amount=10_000, exemptions=Sealed("student"), reason=Sealed(), document_ids=("doc-1",)
        ),
        e.FeeAssessed(
            **by,
            fee_id="fee-0",
            amount=10_000,
            items=(half,),
            condition=FeeCondition.RECEPTION,
            agency=w.COMMUNE,
            of_form=True,
        ),
    )
    free = w.terms(fee_items=(replace(CHARGE, amount=0, waived=20_000),), waiver=v.Waiver(("poor",)))
    command = w.submit(terms=free, exemption_reason=WHY, claimed_exemptions=("student", "copies"))
    events = dossier.decide(command, dossier.initial)
    assert events[1:] == (e.FeeWaived(**by, fee_id="fee-0", amount=20_000, exemptions=Sealed("poor"), reason=WHY),)
    assert isinstance(events[0], e.DossierSubmitted)
    assert events[0].claimed_exemptions == Sealed("student,copies")
    given(dossier, *events).when(w.receive()).then(*dossier.decide(w.receive(), dossier.fold(events)))


def test_an_official_waives_a_fee_with_a_reason() -> None:
    given(dossier, *w.PROCESSED_BY_COMMUNE).when(w.assess(when=ASSESSED, items=(CHARGE,))).then(waiting()[-1])
    given(dossier, *waiting()).when(waive("poor")).then(granted(20_000, "poor"), ended(20_000))
    half = (replace(CHARGE, amount=10_000, waived=10_000),)
    given(dossier, *waiting()).when(waive("student")).then(granted(10_000, "student"), ended(20_000), assessed(half))
    left = (CHARGE,)
    given(dossier, *waiting(CHARGE, COPY)).when(waive("copies")).then(
        granted(8_000, "copies"), ended(28_000), assessed(left)
    )


def test_exemptions_never_add_up() -> None:
    half = (replace(CHARGE, amount=10_000, waived=10_000),)
    after = (*waiting(), granted(10_000, "student"), ended(20_000), assessed(half))
    given(dossier, *after).when(waive("student", "fee-2")).then_rejected(
        "EXEMPTION_WITHOUT_GAIN", exemption="student", fee_id="fee-2"
    )
    given(dossier, *after).when(waive("poor", "fee-2", left_id="fee-3")).then(
        replace(granted(10_000, "poor"), fee_id="fee-2"),
        replace(ended(10_000), fee_id="fee-2"),
    )
    assert dossier.fold(after).fees[-1].items == half


def test_what_is_no_waiver() -> None:
    given(dossier, *waiting()).when(waive("vip")).then_rejected(
        "EXEMPTION_UNKNOWN", procedure_code="1.004222", exemption="vip"
    )
    given(dossier, *waiting()).when(waive("copies")).then_rejected(
        "EXEMPTION_WITHOUT_GAIN", exemption="copies", fee_id="fee-1"
    )
    given(dossier, *waiting()).when(waive("poor", reason=Sealed("HN"))).then_rejected("REASON_REQUIRED", length="10")
    given(dossier, *waiting()).when(w.pay(when=LATER)).then(PAID)
    for command in (waive("poor"), cancel()):
        given(dossier, *waiting(), PAID).when(command).then_rejected("FEE_SETTLED", fee_id="fee-1")
        outside = replace(command, by=w.OUTSIDER)
        given(dossier, *waiting()).when(outside).then_rejected("WRONG_AGENCY", agency=w.COMMUNE)
        given(dossier, *waiting()).when(replace(command, fee_id="fee-9")).then_rejected("FEE_UNKNOWN", fee_id="fee-9")


PAID = e.FeePaid(**stamp(by=w.TREASURY), fee_id="fee-1", amount=20_000, payment_id="payment-1", due_at=DUE_WHEN_RESUMED)


def test_a_fee_that_was_assessed_wrongly_is_cancelled_and_the_work_goes_on() -> None:
    events = [*waiting(), ended(20_000, w.REASON)]
    given(dossier, *waiting()).when(cancel()).then(ended(20_000, w.REASON))
    state = dossier.fold(events)
    assert (state.settlement, state.finance, state.due_at) == (
        Settlement.BEING_PROCESSED,
        Finance.NOTHING_DUE,
        DUE_WHEN_RESUMED,
    )
    given(dossier, *events).when(cancel()).then_rejected("FEE_CANCELLED", fee_id="fee-1")
    # It was being paid, or given back, meanwhile.
    given(dossier, *events).when(w.pay()).then_nothing()
    given(dossier, *events).when(w.refund()).then_nothing()


def test_once_nothing_is_to_be_paid_the_time_to_receive_counts_by_the_calendar_of_who_receives() -> None:
    """The agency that settles may keep other days."""
    police = replace(w.CALENDAR, calendar_id="police", worked=w.CALENDAR.worked | {date(2026, 3, 7)})
    online = w.submit(
        terms=w.owing(FeeCondition.RECEPTION),
        reception_term=Term(1, Unit.WORKING_DAYS),
        reception_calendar=w.CALENDAR,
    )
    friday = w.at("2026-03-06T10:00")
    for law, calendar, due in (
        (w.terms(calendar=police), w.CALENDAR, w.at("2026-03-09T17:00")),
        (w.TERMS, police, w.at("2026-03-07T17:00")),
    ):
        changes: dict[str, Any] = {"at": friday, "fee_id": "fee-0", "terms": law, "reception_calendar": calendar}
        for command in (replace(cancel(), **changes), waive("poor", **changes)):
            state = dossier.fold(w.story(online, command))
            assert (state.reception_due_at, state.finance) == (due, Finance.NOTHING_DUE)
        # What is left is to be paid first.
        assert dossier.fold(w.story(online, waive("student", **changes))).reception_due_at is None


def test_a_dossier_that_waits_for_money_can_be_stopped() -> None:
    stop = c.StopProcessing(by=w.OFFICIAL, at=LATER, cause=v.StopCause.CONDITIONS_NOT_MET, explanation=w.REASON)
    given(dossier, *waiting()).when(stop).then(
        replace(ended(20_000, w.REASON), due_at=None),
        e.ProcessingStopped(**stamp(), cause=v.StopCause.CONDITIONS_NOT_MET, explanation=w.REASON),
    )


def test_an_unpaid_fee_has_the_consequence_that_the_definition_states() -> None:
    unpaid = waiting(pay_by=PAY_BY, stops_unpaid=True)
    given(dossier, *w.PROCESSED_BY_COMMUNE).when(w.assess(when=ASSESSED, items=(CHARGE,), law=HASTY)).then(unpaid[-1])
    lapse = c.LapseFee(by=w.CLOCK, at=OVER, fee_id="fee-1", explanation=w.REASON)
    fee = dossier.fold(unpaid).fees[0]
    assert (fee.pay_by, fee.stops_unpaid) == (PAY_BY, True)
    given(dossier, *unpaid).when(lapse).then(
        e.FeeCancelled(
            **stamp(OVER, w.CLOCK),
            fee_id="fee-1",
            amount=20_000,
            condition=FeeCondition.PROCESSING,
            reason=w.REASON,
            due_at=None,
        ),
        e.ProcessingStopped(**stamp(OVER, w.CLOCK), cause=v.StopCause.NOT_PAID, explanation=w.REASON),
    )
    given(dossier, *unpaid).when(replace(lapse, at=PAY_BY)).then_nothing()
    given(dossier, *unpaid, PAID).when(lapse).then_nothing()
    given(dossier, *waiting()).when(lapse).then_nothing()
    # What is left of a waived fee is to be paid by the same day.
    left = dossier.decide(waive("student"), dossier.fold(unpaid))[-1]
    assert isinstance(left, e.FeeAssessed)
    assert (left.pay_by, left.stops_unpaid) == (PAY_BY, True)


def test_what_reception_waits_for_stops_too_and_what_the_result_waits_for_does_not() -> None:
    def submitted(condition: FeeCondition) -> tuple[Event, ...]:
        return w.story(w.submit(terms=replace(HASTY, fee_items=(CHARGE,), fee_condition=condition)))

    when = w.at("2026-04-01T09:00")
    lapse = c.LapseFee(by=w.CLOCK, at=when, fee_id="fee-0", explanation=w.REASON)
    stopped = e.ProcessingStopped(**stamp(when, w.CLOCK), cause=v.StopCause.NOT_PAID, explanation=w.REASON)
    given(dossier, *submitted(FeeCondition.RECEPTION)).when(lapse).then(stopped)
    given(dossier, *submitted(FeeCondition.RESULT)).when(lapse).then_nothing()


def test_a_charge_that_is_named_is_one_of_the_procedure_s() -> None:
    wrong = w.assess(items=(replace(CHARGE, charge_code="fees"),))
    given(dossier, *w.PROCESSED_BY_COMMUNE).when(wrong).then_rejected(
        "CHARGE_UNKNOWN", procedure_code="1.004222", charge="fees"
    )
