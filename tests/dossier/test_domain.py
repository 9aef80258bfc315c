from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.chassis.decider import Sealed
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier.domain import dossier
from services.dossier.domain.fees import LARGEST_FEE
from services.dossier.values import (
    Component,
    ComponentSource,
    Delivery,
    DeliveryMethod,
    FeeItem,
    PaperDay,
    StopCause,
    Synchronisation,
)
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Term, Unit
from tests.dossier.world import (
    APPLICANT,
    APPROVED,
    CLOCK,
    CODE,
    COLLEAGUE,
    COMMUNE,
    DEPARTMENT,
    DUE,
    ELSEWHERE,
    EXPERT,
    FEE,
    ISSUED,
    NEW,
    OFFICIAL,
    OUTSIDER,
    PEER,
    PHOTO,
    PROCESSED_BY_COMMUNE,
    REASON,
    RECEIVED,
    REFUSED,
    RETURNED,
    SCAN,
    STEPS_DONE,
    STRANGER,
    SUBMISSION,
    SUBMITTED,
    TERMS,
    TREASURY,
    Told,
    approve,
    assess,
    assign,
    assigned,
    at,
    complete,
    completed,
    confirm,
    extend,
    hand_over,
    in_state,
    issue,
    issued,
    note,
    owing,
    pay,
    rate,
    receive,
    refund,
    rehome,
    request_supplement,
    stamp,
    stop,
    story,
    submit,
    supply,
    terms,
    transfer,
    withdraw,
)
from tests.dossier.world import (
    RECEPTION as RECEIPT,
)
from tests.support.given import Outcome, given

SHORT = Sealed("no")
LATE = DUE + timedelta(minutes=1)
LATER = DUE + timedelta(days=5)
PROCESSING, RECEPTION, RESULT = FeeCondition.PROCESSING, FeeCondition.RECEPTION, FeeCondition.RESULT


def after(*told: Told) -> Any:
    return given(dossier, *story(*told))


def state_after(*told: Told) -> Any:
    return dossier.fold(story(*told))


def refused(history: tuple[Told, ...], command: c.Command, reason: str, facts: dict[str, str]) -> None:
    outcome: Outcome = after(*history).when(command)
    outcome.then_rejected(reason, **facts)


def reception(
    when: datetime, due: datetime | None, term: Term | None = TERMS.term, by: Any = OFFICIAL
) -> e.DossierReceived:
    return e.DossierReceived(
        **stamp(by, when),
        receipt_number="TN-1",
        due_at=due,
        term=term,
        calendar="offices@3",
        agency=COMMUNE,
        procedure_version=2,
        next_step_code="check",
        next_role="processor",
    )


REFUSAL = c.RefuseDossier(by=OFFICIAL, at=RECEIVED, reason=REASON)


@pytest.mark.parametrize(
    ("before", "commands", "then"),
    [
        ((), (submit(),), NEW),
        (NEW, (receive(), assign()), PROCESSED_BY_COMMUNE),
        (PROCESSED_BY_COMMUNE, (complete(), assign("sign"), complete("sign")), STEPS_DONE),
        (STEPS_DONE, (approve(),), APPROVED),
        (APPROVED, (issue(),), ISSUED),
        (ISSUED, (hand_over(),), RETURNED),
        (NEW, (REFUSAL,), REFUSED),
    ],
)
def test_the_usual_way_is_what_the_commands_lead_to(before: Any, commands: Any, then: Any) -> None:
    """What is given elsewhere literally."""
    assert story(*before, *commands) == then


# Submission


def test_a_submission_holds_what_was_given_and_what_the_form_supplies() -> None:
    given(dossier).when(submit()).then(SUBMISSION)


@pytest.mark.parametrize("condition", [RECEPTION, RESULT])
def test_what_the_law_asks_for_is_owed_at_once(condition: FeeCondition) -> None:
    fee = e.FeeAssessed(
        **stamp(APPLICANT, SUBMITTED),
        fee_id="fee-0",
        amount=20_000,
        items=(FEE,),
        condition=condition,
        agency=COMMUNE,
        of_form=True,
    )
    given(dossier).when(submit(terms=owing(condition))).then(SUBMISSION, fee)


def test_what_is_owed_for_processing_is_assessed_while_processing() -> None:
    given(dossier).when(submit(terms=owing(PROCESSING))).then(SUBMISSION)


@pytest.mark.parametrize(
    ("command", "reason", "facts"),
    [
        (submit(applicant_id=""), "APPLICANT_REQUIRED", {}),
        (submit(applicant_name=Sealed()), "APPLICANT_REQUIRED", {}),
        (submit(components=()), "COMPONENT_MISSING", {"components": "housing"}),
        (submit(components=(Component("cat", ComponentSource.FORM),)), "COMPONENT_UNKNOWN", {"components": "cat"}),
        (
            submit(components=(Component("housing", ComponentSource.PAPER),)),
            "COMPONENT_SOURCE_REFUSED",
            {"components": "housing"},
        ),
        (submit(uploaded={}), "ATTACHMENT_UNKNOWN", {"sha256": SCAN, "component": "housing"}),
        (
            submit(components=(Component("housing", ComponentSource.WAREHOUSE, document_id="house-1"),)),
            "DOCUMENT_NOT_REUSABLE",
            {"document_id": "house-1", "component": "housing"},
        ),
        (submit(terms=terms(fee_items=(FeeItem("Lệ phí", 0),))), "FEE_INVALID", {}),
    ],
)
def test_a_submission_is_refused(command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused((), command, reason, facts)


def test_a_code_begins_one_dossier() -> None:
    refused(NEW, submit(), "ALREADY_SUBMITTED", {"code": CODE})


# Reception and its due date: domain.md, section 7


@pytest.mark.parametrize(
    ("received", "days", "due"),
    [
        ("2026-02-13T09:00", 1, "2026-02-23T17:00"),
        ("2026-02-13T09:00", 3, "2026-02-25T17:00"),
        ("2026-04-29T09:00", 1, "2026-05-04T17:00"),
        ("2026-11-23T09:00", 1, "2026-11-25T17:00"),
        ("2026-03-02T09:00", 5, "2026-03-09T17:00"),
    ],
)
def test_the_clock_starts_at_reception(received: str, days: int, due: str) -> None:
    law = terms(term=Term(days, Unit.WORKING_DAYS))
    when = at(received)
    given(dossier, *NEW).when(receive(when, law)).then(reception(when, at(due), law.term))


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-03-02T15:00", "2026-03-02T17:00"),
        ("2026-03-02T15:01", "2026-03-03T17:00"),
        ("2026-04-29T16:00", "2026-05-04T17:00"),
    ],
)
def test_the_rule_of_three_o_clock(received: str, due: str) -> None:
    law = terms(term=Term(0, Unit.SAME_DAY))
    when = at(received)
    given(dossier, *NEW).when(receive(when, law)).then(reception(when, at(due), law.term))


def test_where_the_law_lists_no_time_nothing_is_due() -> None:
    given(dossier, *NEW).when(receive(law=terms(term=None))).then(reception(RECEIVED, None, None))


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((), receive(), "WRONG_STATE", in_state("ABSENT")),
        ((*NEW, receive()), receive(), "WRONG_STATE", in_state("RECEIVED")),
        (NEW, receive(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        ((submit(terms=owing(RECEPTION)),), receive(), "FEE_UNPAID", {"amount": "20000"}),
        ((), c.RefuseDossier(by=OFFICIAL, at=RECEIVED, reason=REASON), "WRONG_STATE", in_state("ABSENT")),
        (NEW, c.RefuseDossier(by=OUTSIDER, at=RECEIVED, reason=REASON), "WRONG_AGENCY", {"agency": COMMUNE}),
        (NEW, c.RefuseDossier(by=OFFICIAL, at=RECEIVED, reason=SHORT), "REASON_REQUIRED", {"length": "10"}),
        (
            NEW,
            c.RefuseDossier(by=OFFICIAL, at=RECEIVED, reason=Sealed("ERR_0815_CODE")),
            "REASON_REQUIRED",
            {"length": "10"},
        ),
    ],
)
def test_a_reception_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


def test_a_paid_fee_lets_the_dossier_be_received() -> None:
    after(submit(terms=owing(RECEPTION)), pay("fee-0")).when(receive()).then(reception(RECEIVED, DUE))


def test_a_dossier_is_refused_with_a_reason_in_words() -> None:
    refusal = c.RefuseDossier(by=OFFICIAL, at=RECEIVED, reason=REASON)
    given(dossier, *NEW).when(refusal).then(e.DossierRefused(**stamp(OFFICIAL), reason=REASON))


# Supplements


@pytest.mark.parametrize("history", [NEW, PROCESSED_BY_COMMUNE])
def test_a_supplement_is_requested(history: tuple[Told, ...]) -> None:
    asked = e.SupplementRequested(**stamp(OFFICIAL), component_codes=("housing", "photo"), explanation=REASON)
    after(*history).when(request_supplement(codes=("housing", "photo", "housing"))).then(asked)


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((*NEW, receive()), request_supplement(), "WRONG_STATE", in_state("RECEIVED")),
        (NEW, request_supplement(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (NEW, request_supplement(why=SHORT), "REASON_REQUIRED", {"length": "10"}),
        (NEW, request_supplement(codes=()), "NO_COMPONENTS", {}),
        (NEW, request_supplement(codes=("cat", "dog")), "COMPONENT_UNKNOWN", {"components": "cat, dog"}),
    ],
)
def test_a_supplement_is_not_requested(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


SUPPLIED = Component("housing", ComponentSource.ATTACHMENT, PHOTO, "image/png", 7)


def test_a_pause_moves_the_due_date() -> None:
    """Received 2 March with 5 working days, asked on the 4th, supplied on the 10th: due on the 13th."""
    asked, given_at = at("2026-03-04T10:00"), at("2026-03-10T10:00")
    supplied = e.SupplementSupplied(**stamp(APPLICANT, given_at), components=(SUPPLIED,), due_at=at("2026-03-13T17:00"))
    after(*PROCESSED_BY_COMMUNE, request_supplement(asked)).when(supply(given_at)).then(supplied)


def test_a_clock_that_is_behind_resumes_at_the_pause() -> None:
    asked, given_at = at("2026-03-04T10:00"), at("2026-03-04T09:59")
    supplied = e.SupplementSupplied(**stamp(APPLICANT, given_at), components=(SUPPLIED,), due_at=DUE)
    after(*PROCESSED_BY_COMMUNE, request_supplement(asked)).when(supply(given_at)).then(supplied)


def test_a_supplement_before_reception_makes_it_valid_under_the_law_of_that_day() -> None:
    newer = terms(procedure_version=3, term=Term(1, Unit.WORKING_DAYS))
    supplied = e.SupplementSupplied(**stamp(APPLICANT), components=(SUPPLIED,), due_at=None)
    received = replace(reception(RECEIVED, at("2026-03-03T17:00"), newer.term, APPLICANT), procedure_version=3)
    after(*NEW, request_supplement(SUBMITTED)).when(supply(reception_terms=newer)).then(supplied, received)
    assert state_after(*NEW, request_supplement(SUBMITTED), supply()).settlement is Settlement.BEING_PROCESSED


def test_who_submitted_for_another_may_supply() -> None:
    history = (submit(by=PEER), request_supplement(SUBMITTED))
    outcome = after(*history).when(supply(by=PEER))
    assert [type(event) for event in outcome.events] == [e.SupplementSupplied, e.DossierReceived]


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (NEW, supply(), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        ((*NEW, request_supplement()), supply(by=STRANGER), "NOT_APPLICANT", {}),
        (NEW, supply(by=STRANGER), "NOT_APPLICANT", {}),
        ((*NEW, request_supplement()), supply(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        ((*NEW, request_supplement()), supply(components=()), "COMPONENT_MISSING", {"components": "housing"}),
        (
            (*NEW, request_supplement()),
            supply(components=(Component("photo", ComponentSource.ATTACHMENT, PHOTO),)),
            "COMPONENT_UNKNOWN",
            {"components": "photo"},
        ),
        (
            (*NEW, request_supplement()),
            supply(uploaded={}),
            "ATTACHMENT_UNKNOWN",
            {"sha256": PHOTO, "component": "housing"},
        ),
        (
            (submit(terms=owing(RECEPTION)), request_supplement()),
            supply(),
            "FEE_UNPAID",
            {"amount": "20000"},
        ),
    ],
)
def test_a_supplement_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# Steps


def test_the_first_assignment_starts_processing() -> None:
    started = e.ProcessingStarted(**stamp(OFFICIAL), agency=COMMUNE)
    given(dossier, *NEW, RECEIPT).when(assign()).then(started, assigned("check", "processor"))


def test_a_step_is_assigned_to_another_and_again() -> None:
    appointed = replace(assign(to=COLLEAGUE.actor_id), assignee_roles=frozenset({"receptionist", "processor"}))
    given(dossier, *PROCESSED_BY_COMMUNE).when(appointed).then(assigned("check", "processor", COLLEAGUE))


def test_a_step_is_assigned_to_who_is_appointed_for_it_and_not_the_applicant() -> None:
    history = given(dossier, *PROCESSED_BY_COMMUNE)
    for roles in ((), ("receptionist",)):
        stranger = replace(assign(to="nobody"), assignee_roles=frozenset(roles))
        history.when(stranger).then_rejected("ASSIGNEE_UNKNOWN", assignee_id="nobody", role="processor", agency=COMMUNE)
    applicant = replace(assign(to=APPLICANT.actor_id), assignee_roles=frozenset({"processor"}))
    history.when(applicant).then_rejected("OWN_AFFAIR")


@pytest.mark.parametrize(
    ("step", "history", "following"),
    [
        ("check", PROCESSED_BY_COMMUNE, ("sign", "approver")),
        ("sign", STEPS_DONE[:-1], ("", "")),
    ],
)
def test_a_completed_step_names_the_next(step: str, history: Any, following: tuple[str, str]) -> None:
    after(*history).when(complete(step)).then(completed(step, following))


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (NEW, assign(), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        ((*NEW, receive()), assign(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        ((*NEW, receive()), assign("sign"), "STEP_UNKNOWN", {"step": "sign", "next": "check"}),
        (STEPS_DONE, assign("sign"), "STEP_UNKNOWN", {"step": "sign", "next": "-"}),
        (
            (*PROCESSED_BY_COMMUNE, complete()),
            assign("sign", by=COLLEAGUE),
            "STEP_ROLE_MISSING",
            {"step": "sign", "role": "approver"},
        ),
        ((*NEW, receive()), complete(), "WRONG_STATE", in_state("RECEIVED")),
        (PROCESSED_BY_COMMUNE, complete(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (PROCESSED_BY_COMMUNE, complete("sign"), "STEP_UNKNOWN", {"step": "sign", "next": "check"}),
        (PROCESSED_BY_COMMUNE, complete(by=COLLEAGUE), "STEP_NOT_YOURS", {"step": "check"}),
        ((*PROCESSED_BY_COMMUNE, complete()), complete("sign"), "STEP_NOT_YOURS", {"step": "sign"}),
        (
            (*PROCESSED_BY_COMMUNE, complete(), assign("sign")),
            complete("sign", by=COLLEAGUE),
            "STEP_ROLE_MISSING",
            {"step": "sign", "role": "approver"},
        ),
    ],
)
def test_a_step_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


def test_the_receiving_official_says_which_day_a_paper_bears() -> None:
    read = (PaperDay("housing", "2026-01-15"),)
    told = given(dossier, *NEW).when(replace(receive(), paper_days=read))
    told.then(replace(reception(RECEIVED, DUE), paper_days=read))
    for code in ("cat", "ct01"):  # of the form there is no paper
        unknown = (PaperDay(code, "2026-01-15"),)
        given(dossier, *NEW).when(replace(receive(), paper_days=unknown)).then_rejected(
            "COMPONENT_UNKNOWN", components=code
        )


# Transfers and successions


@pytest.mark.parametrize("history", [(*NEW, receive()), PROCESSED_BY_COMMUNE])
def test_a_transfer_changes_the_holder_and_not_the_clock(history: tuple[Told, ...]) -> None:
    after(*history).when(transfer()).then(
        e.DossierTransferred(**stamp(OFFICIAL), from_agency=COMMUNE, to_agency=DEPARTMENT, reason=REASON)
    )
    before, now = state_after(*history), state_after(*history, transfer())
    assert (now.holder, now.competent_agency, now.reception_agency) == (DEPARTMENT, DEPARTMENT, COMMUNE)
    assert (now.due_at, now.received_at, now.term) == (before.due_at, before.received_at, before.term)
    assert (now.step_code, now.assignee_id) == ("", "")


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (NEW, transfer(), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        (PROCESSED_BY_COMMUNE, transfer(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (PROCESSED_BY_COMMUNE, transfer(why=SHORT), "REASON_REQUIRED", {"length": "10"}),
        (PROCESSED_BY_COMMUNE, transfer(COMMUNE), "SAME_AGENCY", {"agency": COMMUNE}),
        (APPROVED, transfer(), "ALREADY_APPROVED", {}),
    ],
)
def test_a_transfer_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


@pytest.mark.parametrize("history", [NEW, (*NEW, receive()), APPROVED, (*PROCESSED_BY_COMMUNE, transfer())])
def test_a_closed_agency_s_successor_takes_its_place_and_nothing_else_changes(history: tuple[Told, ...]) -> None:
    passed_on = e.DossierTransferred(
        **stamp(CLOCK), from_agency=COMMUNE, to_agency=ELSEWHERE, reason=REASON, succession=True
    )
    after(*history).when(rehome()).then(passed_on)
    before, now = state_after(*history), state_after(*history, rehome())
    homes = ("reception_agency", "competent_agency", "holder")
    for home in homes:
        was = getattr(before, home)
        assert getattr(now, home) == (ELSEWHERE if was == COMMUNE else was)
    unchanged = {home: getattr(before, home) for home in homes} | {"revision": before.revision}
    assert replace(now, **unchanged) == before


@pytest.mark.parametrize(
    ("history", "command"),
    [(ISSUED, rehome()), (REFUSED, rehome()), ((), rehome()), (NEW, rehome(DEPARTMENT)), ((*NEW, rehome()), rehome())],
)
def test_a_dossier_that_is_done_or_elsewhere_is_not_passed_on(history: Any, command: c.Command) -> None:
    after(*history).when(command).then_nothing()


# Fees


def test_a_fee_assessed_while_processing_stops_the_clock() -> None:
    asked = at("2026-03-04T10:00")
    assessed = e.FeeAssessed(
        **stamp(OFFICIAL, asked), fee_id="fee-1", amount=20_000, items=(FEE,), condition=PROCESSING, agency=COMMUNE
    )
    given(dossier, *PROCESSED_BY_COMMUNE).when(assess(when=asked)).then(assessed)
    state = state_after(*PROCESSED_BY_COMMUNE, assess(when=asked))
    assert state.settlement is Settlement.FINANCIAL_OBLIGATION_REQUESTED
    assert state.paused
    assert not state.overdue(LATE)


def test_paying_the_last_fee_resumes_the_clock() -> None:
    asked, paid_at = at("2026-03-04T10:00"), at("2026-03-10T10:00")
    paid = e.FeePaid(
        **stamp(TREASURY, paid_at), fee_id="fee-1", amount=20_000, payment_id="payment-1", due_at=at("2026-03-13T17:00")
    )
    after(*PROCESSED_BY_COMMUNE, assess(when=asked)).when(pay(when=paid_at)).then(paid)
    state = state_after(*PROCESSED_BY_COMMUNE, assess(when=asked), pay(when=paid_at))
    assert (state.settlement, state.finance) == (Settlement.BEING_PROCESSED, Finance.PAID)


def test_more_than_the_fee_may_be_paid() -> None:
    paid = e.FeePaid(**stamp(TREASURY), fee_id="fee-0", amount=30_000, payment_id="payment-1", due_at=None)
    after(submit(terms=owing(RECEPTION))).when(pay("fee-0", 30_000)).then(paid)


@pytest.mark.parametrize("condition", [PROCESSING, RESULT])
def test_a_fee_may_be_assessed_while_processing(condition: FeeCondition) -> None:
    assessed = e.FeeAssessed(
        **stamp(OFFICIAL), fee_id="fee-1", amount=20_000, items=(FEE,), condition=condition, agency=COMMUNE
    )
    given(dossier, *PROCESSED_BY_COMMUNE).when(assess(condition)).then(assessed)


def test_the_largest_fee() -> None:
    items = (FeeItem("x", LARGEST_FEE),)
    assessed = e.FeeAssessed(
        **stamp(OFFICIAL), fee_id="fee-1", amount=LARGEST_FEE, items=items, condition=RECEPTION, agency=COMMUNE
    )
    given(dossier, *NEW).when(assess(RECEPTION, items=items)).then(assessed)


def test_a_fee_may_be_assessed_before_reception() -> None:
    assessed = e.FeeAssessed(
        **stamp(OFFICIAL), fee_id="fee-1", amount=20_000, items=(FEE,), condition=RECEPTION, agency=COMMUNE
    )
    given(dossier, *NEW).when(assess(RECEPTION)).then(assessed)


def test_a_paid_fee_is_given_back() -> None:
    history = (submit(terms=owing(RECEPTION)), pay("fee-0"))
    after(*history).when(refund("fee-0")).then(
        e.FeeRefunded(**stamp(TREASURY), fee_id="fee-0", amount=20_000, payment_id="payment-1")
    )
    assert state_after(*history, refund("fee-0")).finance is Finance.REFUNDED


OWING = (submit(terms=owing(RECEPTION)),)


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((*NEW, receive()), assess(RECEPTION), "WRONG_STATE", in_state("RECEIVED")),
        (NEW, assess(PROCESSING), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        (PROCESSED_BY_COMMUNE, assess(by=OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (PROCESSED_BY_COMMUNE, assess(items=()), "FEE_INVALID", {}),
        (PROCESSED_BY_COMMUNE, assess(items=(FEE, FeeItem("x", -1))), "FEE_INVALID", {}),
        (PROCESSED_BY_COMMUNE, assess(items=(FeeItem("x", LARGEST_FEE), FeeItem("y", 1))), "FEE_INVALID", {}),
        (NEW, pay(), "FEE_UNKNOWN", {"fee_id": "fee-1"}),
        (OWING, pay("fee-0", 19_999), "FEE_AMOUNT_WRONG", {"fee_id": "fee-0", "amount": "20000"}),
        ((*OWING, pay("fee-0")), pay("fee-0"), "FEE_SETTLED", {"fee_id": "fee-0"}),
        (NEW, refund(), "FEE_UNKNOWN", {"fee_id": "fee-1"}),
        (OWING, refund("fee-0"), "FEE_UNPAID", {"amount": "20000"}),
        ((*OWING, pay("fee-0"), refund("fee-0")), refund("fee-0"), "FEE_REFUNDED", {"fee_id": "fee-0"}),
    ],
)
def test_money_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# Withdrawal and stopping


@pytest.mark.parametrize("history", [NEW, PROCESSED_BY_COMMUNE])
def test_a_withdrawal_is_granted_or_leads_back_to_where_it_was(history: tuple[Told, ...]) -> None:
    after(*history).when(withdraw()).then(e.WithdrawalRequested(**stamp(APPLICANT), reason=Sealed("")))
    grant, decline = (
        c.GrantWithdrawal(by=OFFICIAL, at=RECEIVED),
        c.DeclineWithdrawal(by=OFFICIAL, at=RECEIVED, explanation=REASON),
    )
    stopped = e.ProcessingStopped(**stamp(OFFICIAL), cause=StopCause.WITHDRAWN, explanation=Sealed())
    after(*history, withdraw()).when(grant).then(stopped)
    after(*history, withdraw()).when(decline).then(e.WithdrawalDeclined(**stamp(OFFICIAL), explanation=REASON))
    assert state_after(*history, withdraw(), grant).settlement is Settlement.PROCESSING_STOPPED
    assert state_after(*history, withdraw(), decline).settlement is state_after(*history).settlement


def test_who_stands_at_the_counter_withdraws_there() -> None:
    at_counter, elsewhere = replace(OFFICIAL, roles=frozenset({"receptionist"})), OUTSIDER
    given(dossier, *NEW).when(withdraw(at_counter)).then(e.WithdrawalRequested(**stamp(at_counter), reason=Sealed("")))
    given(dossier, *NEW).when(withdraw(elsewhere)).then_rejected("WRONG_AGENCY", agency=OFFICIAL.agency)


@pytest.mark.parametrize("history", [NEW, PROCESSED_BY_COMMUNE, (*NEW, request_supplement())])
def test_processing_is_stopped_with_a_reason(history: tuple[Told, ...]) -> None:
    after(*history).when(stop()).then(
        e.ProcessingStopped(**stamp(OFFICIAL), cause=StopCause.CONDITIONS_NOT_MET, explanation=REASON)
    )


ASKED_BACK = (*NEW, withdraw())


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((), withdraw(), "WRONG_STATE", in_state("ABSENT")),
        (NEW, withdraw(STRANGER), "NOT_APPLICANT", {}),
        (RETURNED, withdraw(STRANGER), "NOT_APPLICANT", {}),
        ((*NEW, receive()), withdraw(), "WRONG_STATE", in_state("RECEIVED")),
        (NEW, c.GrantWithdrawal(by=OFFICIAL, at=RECEIVED), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        (ASKED_BACK, c.GrantWithdrawal(by=OUTSIDER, at=RECEIVED), "WRONG_AGENCY", {"agency": COMMUNE}),
        (
            NEW,
            c.DeclineWithdrawal(by=OFFICIAL, at=RECEIVED, explanation=REASON),
            "WRONG_STATE",
            in_state("NEWLY_REGISTERED"),
        ),
        (
            ASKED_BACK,
            c.DeclineWithdrawal(by=OUTSIDER, at=RECEIVED, explanation=REASON),
            "WRONG_AGENCY",
            {"agency": COMMUNE},
        ),
        (
            ASKED_BACK,
            c.DeclineWithdrawal(by=OFFICIAL, at=RECEIVED, explanation=SHORT),
            "REASON_REQUIRED",
            {"length": "10"},
        ),
        ((*NEW, receive()), stop(), "WRONG_STATE", in_state("RECEIVED")),
        (NEW, stop(OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (NEW, stop(why=SHORT), "REASON_REQUIRED", {"length": "10"}),
        (NEW, stop(cause=StopCause.WITHDRAWN), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
    ],
)
def test_an_ending_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# Approval, result, return


def test_a_dossier_is_approved_when_its_steps_are_done() -> None:
    given(dossier, *STEPS_DONE).when(approve()).then(e.DossierApproved(**stamp(OFFICIAL), agency=COMMUNE))


def test_an_approval_ends_with_what_it_approved() -> None:
    supplemented = (*APPROVED, request_supplement(), supply())
    after(*supplemented).when(issue()).then_rejected("NOT_APPROVED")
    after(*supplemented, approve()).when(issue()).then(issued(RECEIVED, True))


@pytest.mark.parametrize(("when", "on_time"), [(DUE, True), (LATE, False)])
def test_a_result_is_on_time_until_the_due_date(when: datetime, on_time: bool) -> None:
    given(dossier, *APPROVED).when(issue(when=when)).then(issued(when, on_time))


def test_an_apology_does_not_make_a_result_timely() -> None:
    after(*APPROVED, extend(LATE, LATER)).when(issue(when=LATE)).then(issued(LATE, False))


@pytest.mark.parametrize("by", [OFFICIAL, replace(EXPERT, agency=COMMUNE)])
def test_a_result_is_returned(by: Any) -> None:
    given(dossier, *ISSUED).when(hand_over(by)).then(
        e.ResultReturned(**stamp(by), delivery_method=DeliveryMethod.COUNTER)
    )


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((*NEW, receive()), approve(), "WRONG_STATE", in_state("RECEIVED")),
        (STEPS_DONE, approve(OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (PROCESSED_BY_COMMUNE, approve(), "STEPS_INCOMPLETE", {"step": "check"}),
        (APPROVED, approve(), "ALREADY_APPROVED", {}),
        ((*NEW, receive()), issue(), "WRONG_STATE", in_state("RECEIVED")),
        (APPROVED, issue(OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (STEPS_DONE, issue(), "NOT_APPROVED", {}),
        (APPROVED, issue(sha256="ef" * 32), "ATTACHMENT_UNKNOWN", {"sha256": "ef" * 32, "component": "result"}),
        (APPROVED, hand_over(), "NO_RESULT", {}),
        (RETURNED, hand_over(), "WRONG_STATE", in_state("RESULT_RETURNED")),
        (REFUSED, hand_over(), "WRONG_STATE", in_state("NOT_RECEIVED")),
        (ISSUED, hand_over(OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        ((*STEPS_DONE, assess(RESULT), approve(), issue()), hand_over(), "FEE_UNPAID", {"amount": "20000"}),
    ],
)
def test_a_result_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# Deadlines


def test_a_passed_due_date_is_noted_once() -> None:
    passed = e.DeadlinePassed(**stamp(CLOCK, LATE), due_at=DUE, agency=COMMUNE)
    given(dossier, *PROCESSED_BY_COMMUNE).when(note(LATE)).then(passed)
    after(*PROCESSED_BY_COMMUNE, note(LATE)).when(note(LATER)).then_nothing()


@pytest.mark.parametrize(
    ("history", "command"),
    [
        (PROCESSED_BY_COMMUNE, note(DUE)),
        (PROCESSED_BY_COMMUNE, note(LATE, DUE - timedelta(days=1))),
        ((*PROCESSED_BY_COMMUNE, request_supplement()), note(LATE)),
        (ISSUED, note(LATE)),
        (NEW, note(LATE)),
    ],
)
def test_a_due_date_that_did_not_pass_is_not_noted(history: Any, command: c.Command) -> None:
    after(*history).when(command).then_nothing()


def test_an_apology_states_the_lateness_and_the_new_appointment() -> None:
    passed = e.DeadlinePassed(**stamp(OFFICIAL, LATE), due_at=DUE, agency=COMMUNE)
    extended = e.DeadlineExtended(
        **stamp(OFFICIAL, LATE), original_due_at=DUE, due_at=LATER, reason=REASON, signer="Chủ tịch"
    )
    given(dossier, *PROCESSED_BY_COMMUNE).when(extend(LATE, LATER)).then(passed, extended)
    after(*PROCESSED_BY_COMMUNE, note(LATE)).when(extend(LATE, LATER)).then(extended)


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        (ISSUED, extend(LATE, LATER), "WRONG_STATE", in_state("PROCESSED")),
        (PROCESSED_BY_COMMUNE, extend(LATE, LATER, OUTSIDER), "WRONG_AGENCY", {"agency": COMMUNE}),
        (PROCESSED_BY_COMMUNE, extend(LATE, LATER, why=SHORT), "REASON_REQUIRED", {"length": "10"}),
        (PROCESSED_BY_COMMUNE, extend(DUE, LATER), "NOT_OVERDUE", {"due_at": DUE.isoformat()}),
        (NEW, extend(LATE, LATER), "NOT_OVERDUE", {"due_at": "-"}),
        (PROCESSED_BY_COMMUNE, extend(LATE, LATE), "DUE_DATE_PAST", {}),
    ],
)
def test_an_apology_is_refused(history: Any, command: c.Command, reason: str, facts: dict[str, str]) -> None:
    refused(history, command, reason, facts)


# Rating and synchronisation


@pytest.mark.parametrize("history", [REFUSED, ISSUED, RETURNED, (*NEW, stop())])
def test_a_dossier_that_is_done_is_rated_by_its_applicant(history: tuple[Told, ...]) -> None:
    after(*history).when(rate()).then(e.DossierRated(**stamp(APPLICANT), score=5, comment=Sealed("nhanh")))


def test_the_peer_confirms_how_far_it_is() -> None:
    revision = dossier.fold(PROCESSED_BY_COMMUNE).revision
    confirmed = e.DossierSynchronised(**stamp(PEER), peer="system:vn", peer_revision=revision)
    given(dossier, *PROCESSED_BY_COMMUNE).when(confirm(revision)).then(confirmed)
    history = (*PROCESSED_BY_COMMUNE, confirm(revision))
    assert state_after(*history).synchronisation is Synchronisation.DONE
    assert state_after(*history, confirm(0)).synchronised == revision
    assert state_after(*PROCESSED_BY_COMMUNE, confirm(0)).synchronisation is Synchronisation.PENDING


@pytest.mark.parametrize(
    ("history", "command", "reason", "facts"),
    [
        ((), rate(), "WRONG_STATE", in_state("ABSENT")),
        (ISSUED, rate(by=STRANGER), "NOT_APPLICANT", {}),
        (NEW, rate(), "WRONG_STATE", in_state("NEWLY_REGISTERED")),
        ((*ISSUED, rate()), rate(), "ALREADY_RATED", {}),
        (ISSUED, rate(0), "SCORE_INVALID", {}),
        (ISSUED, rate(6), "SCORE_INVALID", {}),
        ((), confirm(0), "WRONG_STATE", in_state("ABSENT")),
        (NEW, confirm(1), "REVISION_CONFLICT", {"revision": "0", "expected": "1"}),
        (NEW, confirm(-1), "REVISION_CONFLICT", {"revision": "0", "expected": "-1"}),
    ],
)
def test_a_rating_or_confirmation_is_refused(
    history: Any, command: c.Command, reason: str, facts: dict[str, str]
) -> None:
    refused(history, command, reason, facts)


@pytest.mark.parametrize(
    ("history", "delivery"),
    [
        (NEW, Delivery.NOT_READY),
        (ISSUED, Delivery.READY),
        (RETURNED, Delivery.DELIVERED),
        (REFUSED, Delivery.NOT_READY),
    ],
)
def test_the_delivery_follows_the_result(history: tuple[Told, ...], delivery: Delivery) -> None:
    assert state_after(*history).delivery is delivery
