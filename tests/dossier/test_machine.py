"""Whatever is asked in whatever order: the dossier stays within the portal's states, and its row in the lists agrees."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import create_engine, select

from motcua.dossier.events.v1 import events_pb2
from services.chassis.decider import Rejected, Sealed
from services.chassis.deciding.facts import message_class
from services.dossier import commands as c
from services.dossier import events as e
from services.dossier.codec import dossier_codec
from services.dossier.domain import dossier
from services.dossier.domain.state import Dossier
from services.dossier.values import Actor, Delivery, FeeItem, StopCause, Synchronisation, Terms
from services.dossier.views import dossiers, lists
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Term, Unit
from tests.dossier import world as w
from tests.support.facts import fact_of

S = Settlement
# domain.md, section 3; a declined withdrawal leads back to where it was.
TRANSITIONS = {
    S.ABSENT: {S.NEWLY_REGISTERED},
    S.NEWLY_REGISTERED: {
        S.RECEIVED,
        S.NOT_RECEIVED,
        S.SUPPLEMENT_REQUESTED,
        S.WITHDRAWAL_REQUESTED,
        S.PROCESSING_STOPPED,
    },
    S.RECEIVED: {S.BEING_PROCESSED},
    S.BEING_PROCESSED: {
        S.SUPPLEMENT_REQUESTED,
        S.FINANCIAL_OBLIGATION_REQUESTED,
        S.WITHDRAWAL_REQUESTED,
        S.PROCESSING_STOPPED,
        S.PROCESSED,
    },
    S.SUPPLEMENT_REQUESTED: {S.BEING_PROCESSED, S.PROCESSING_STOPPED},
    S.FINANCIAL_OBLIGATION_REQUESTED: {S.BEING_PROCESSED, S.PROCESSED},
    S.WITHDRAWAL_REQUESTED: {S.PROCESSING_STOPPED, S.NEWLY_REGISTERED, S.BEING_PROCESSED},
    S.PROCESSED: {S.RESULT_RETURNED},
    S.NOT_RECEIVED: set(),
    S.PROCESSING_STOPPED: set(),
    S.RESULT_RETURNED: set(),
}
HASTY = w.terms(pay_within=Term(2, Unit.WORKING_DAYS), stops_unpaid=True)
DIMENSIONS = {S.PROCESSED: Delivery.READY, S.RESULT_RETURNED: Delivery.DELIVERED}
KEYS = {w.APPLICANT.actor_id: bytes(32)}
AGENCIES = (w.COMMUNE, w.DEPARTMENT, w.ELSEWHERE)
ENGINE = create_engine("sqlite://")
LAWS = [
    w.terms(term=term, fee_items=fee_items, fee_condition=condition, steps=steps)
    for term in (None, Term(5, Unit.WORKING_DAYS), Term(0, Unit.SAME_DAY), Term(12, Unit.HOURS), Term(10, Unit.DAYS))
    for fee_items, condition in (
        ((), FeeCondition.RECEPTION),
        ((w.FEE,), FeeCondition.RECEPTION),
        ((w.FEE,), FeeCondition.RESULT),
    )
    for steps in (w.TERMS.steps[:1], w.TERMS.steps)
]
DB = ENGINE.connect()
lists.metadata.create_all(DB)
numbers = count(1)

# What is asked: of a state, by an official of its holder or of any agency, at a moment, under a law.
Ask = Callable[[Dossier, Any, datetime, Terms], c.Command]


def official(agency: str) -> Any:
    return Actor("official-1", w.OFFICIAL.roles, agency)


def fee_of(state: Dossier) -> str:
    return next((fee.fee_id for fee in state.fees if fee.finance is Finance.DUE), "fee-0")


def next_step(state: Dossier, law: Terms) -> str:
    return next((step.step_code for step in law.steps[len(state.done) :]), "none")


def _owing(state: Dossier, at: datetime, law: Terms, items: tuple[FeeItem, ...]) -> c.CorrectForm:
    owing, fee_id = replace(law, fee_items=items), f"{state.code}/{next(numbers)}"
    known = w.correction("people", version=state.corrections, law=owing, before=law.fee_items, fee_id=fee_id)
    return w.correct(known, when=at)


ASKS: dict[str, Ask] = {
    "receive": lambda _, by, at, law: w.receive(at, law, by),
    "refuse": lambda _, by, at, __: c.RefuseDossier(by=by, at=at, reason=w.REASON),
    "correct": lambda state, _, at, law: w.correct(
        w.correction("people", version=state.corrections, law=law, before=law.fee_items), when=at
    ),
    "correct to owe nothing": lambda state, _, at, law: _owing(state, at, law, ()),
    "correct to owe more": lambda state, _, at, law: _owing(state, at, law, (w.FEE, *law.fee_items)),
    "ask for a supplement": lambda _, by, at, __: w.request_supplement(at, by=by),
    "supply": lambda _, __, at, law: w.supply(at, terms=law, reception_terms=law),
    "supply at the counter": lambda _, by, at, law: w.supply(at, by, terms=law, reception_terms=law),
    "assign": lambda state, by, at, law: w.assign(next_step(state, law), by, when=at, law=law),
    "complete": lambda state, by, at, law: c.CompleteStep(
        by=by, at=at, step_code=state.step_code, note=Sealed(), terms=law
    ),
    "assess for processing": lambda state, by, at, _: w.assess(
        when=at, by=by, fee_id=f"{state.code}/{next(numbers)}", law=HASTY
    ),
    "assess for the result": lambda state, by, at, _: w.assess(
        FeeCondition.RESULT, by, at, f"{state.code}/{next(numbers)}"
    ),
    "pay": lambda state, _, at, law: c.PayFee(
        by=w.TREASURY, at=at, fee_id=fee_of(state), amount=20_000, payment_id="payment", terms=law
    ),
    "refund": lambda state, _, at, __: w.refund(state.fees[0].fee_id if state.fees else "none", when=at),
    "cancel the fee": lambda state, by, at, law: c.CancelFee(
        by=by, at=at, fee_id=fee_of(state), reason=w.REASON, terms=law
    ),
    "waive a part": lambda state, by, at, law: c.WaiveFee(
        by=by,
        at=at,
        fee_id=fee_of(state),
        left_id=f"{state.code}/{next(numbers)}",
        exemption_code="student",
        reason=w.REASON,
        terms=law,
    ),
    "waive": lambda state, by, at, law: c.WaiveFee(
        by=by, at=at, fee_id=fee_of(state), left_id="none", exemption_code="poor", reason=w.REASON, terms=law
    ),
    "lapse": lambda state, _, at, __: c.LapseFee(by=w.CLOCK, at=at, fee_id=fee_of(state), explanation=w.REASON),
    "ask to withdraw": lambda _, __, at, ___: w.withdraw(when=at),
    "grant": lambda _, by, at, __: c.GrantWithdrawal(by=by, at=at),
    "decline": lambda _, by, at, __: c.DeclineWithdrawal(by=by, at=at, explanation=w.REASON),
    "stop": lambda _, by, at, __: c.StopProcessing(by=by, at=at, cause=StopCause.NOT_SUPPLIED, explanation=w.REASON),
    "approve": lambda _, by, at, law: c.ApproveDossier(by=by, at=at, terms=law),
    "issue": lambda _, by, at, law: c.IssueResult(
        by=by, at=at, result_number="1", sha256=w.SCAN, uploaded=w.UPLOADED, terms=law
    ),
    "return": lambda _, by, at, __: w.hand_over(by, at),
    "note": lambda state, _, at, __: w.note(at, state.due_at or at),
    "note reception": lambda state, _, at, __: c.NoteReceptionDeadline(
        by=w.CLOCK, at=at, reception_due_at=state.reception_due_at or at
    ),
    "forward": lambda _, __, at, law: c.ForwardDossier(by=w.CLOCK, at=at, reason=w.REASON, calendar=law.calendar),
    "recount": lambda _, __, at, law: c.RecountDeadline(
        by=w.CLOCK, at=at, calendar=replace(law.calendar, version=next(numbers)), legal_basis=()
    ),
    "extend": lambda _, by, at, __: w.extend(at, at + timedelta(days=3), by),
    "rate": lambda _, __, ___, ____: w.rate(),
    "confirm": lambda state, _, __, ___: w.confirm(state.revision),
}
STRAIGHT = ("pay", "supply", "receive", "complete", "assign", "approve", "issue", "return")


class Life(RuleBasedStateMachine):
    @initialize(law=st.sampled_from(LAWS))
    def submit(self, law: Terms) -> None:
        self.law, self.now = law, w.SUBMITTED
        self.code = f"P56.22.336-20260301-{next(numbers):07d}"
        self.history: list[e.Event] = []
        self.state = dossier.initial
        waits = {"reception_term": Term(8, Unit.HOURS), "reception_calendar": law.calendar}
        self.send(w.submit(code=self.code, terms=law, fee_id=f"{self.code}/fee", **waits))
        assert self.state.settlement is S.NEWLY_REGISTERED

    @rule(ask=st.sampled_from(sorted(ASKS)))
    def someone_in_charge_asks(self, ask: str) -> None:
        self.send(ASKS[ask](self.state, official(self.state.holder), self.now, self.law))

    @rule()
    def it_goes_straight_on(self) -> None:
        for ask in STRAIGHT:
            reached = len(self.history)
            self.send(ASKS[ask](self.state, official(self.state.holder), self.now, self.law))
            if len(self.history) > reached:
                return

    @rule(ask=st.sampled_from(sorted(ASKS)), agency=st.sampled_from(AGENCIES))
    def anyone_asks(self, ask: str, agency: str) -> None:
        self.send(ASKS[ask](self.state, official(agency), self.now, self.law))

    @rule(to=st.sampled_from(AGENCIES))
    def transfer(self, to: str) -> None:
        self.send(w.transfer(to, official(self.state.holder), self.now))

    @rule(closed=st.sampled_from(AGENCIES), successor=st.sampled_from(AGENCIES))
    def close(self, closed: str, successor: str) -> None:
        if closed != successor:
            self.send(w.rehome(closed, successor))

    @rule(hours=st.integers(1, 200))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    def send(self, command: c.Command) -> None:
        try:
            events = dossier.decide(command, self.state)
        except Rejected:
            return
        for index, event in enumerate(events):
            self.happen(event, index)

    def happen(self, event: e.Event, index: int) -> None:
        before, self.state = self.state, dossier.evolve(self.state, event)
        self.history.append(event)
        moved = self.state.settlement is not before.settlement
        assert not moved or self.state.settlement in TRANSITIONS[before.settlement], (before.settlement, event)
        if before.settlement is S.WITHDRAWAL_REQUESTED and self.state.settlement is not S.PROCESSING_STOPPED:
            assert self.state.settlement is before.settlement or self.state.settlement is before.back_to
        if isinstance(event, e.DossierTransferred):
            clock = ("due_at", "received_at", "term", "paused_at", "passed", "settlement")
            assert [getattr(self.state, name) for name in clock] == [getattr(before, name) for name in clock]
        event_id, type_, data = dossier_codec.encode(event, uuid4(), index, KEYS)
        message = message_class(type_).FromString(data)
        fact = fact_of(message, stream=f"dossier-{self.code}", revision=self.state.revision, event_id=event_id)
        lists.folds[type_](DB, [fact])

    @invariant()
    def transfers_do_not_touch_the_clock(self) -> None:
        stayed = dossier.fold(event for event in self.history if not isinstance(event, e.DossierTransferred))
        assert (stayed.due_at, stayed.passed, stayed.settlement) == (
            self.state.due_at,
            self.state.passed,
            self.state.settlement,
        )

    @invariant()
    def the_dimensions_agree(self) -> None:
        state, due = self.state, [fee for fee in self.state.fees if fee.finance is Finance.DUE]
        assert state.delivery is DIMENSIONS.get(state.settlement, Delivery.NOT_READY)
        assert (state.finance is Finance.DUE) == bool(due)
        assert (state.settlement is S.FINANCIAL_OBLIGATION_REQUESTED) == any(
            fee.condition is FeeCondition.PROCESSING for fee in due
        )
        assert not state.paused or state.paused_at is not None
        assert (state.received_at is None) == (not any(isinstance(event, e.DossierReceived) for event in self.history))
        if state.settlement in (S.RECEIVED, S.BEING_PROCESSED, S.PROCESSED, S.RESULT_RETURNED):
            assert state.received_at is not None
            assert not any(fee.condition is FeeCondition.RECEPTION for fee in due)
        if state.settlement is S.RESULT_RETURNED:
            assert not due
        assert (state.synchronisation is Synchronisation.DONE) == (state.synchronised >= state.revision - 1)
        assert state.revision == len(self.history) - 1

    @invariant()
    def the_list_shows_the_same(self) -> None:
        row = DB.execute(select(dossiers).where(dossiers.c.code == self.code)).one()
        state = self.state
        due = row.due_at.replace(tzinfo=UTC) if row.due_at else None
        assert (row.settlement, row.finance) == (state.settlement.value, state.finance.value)
        assert (row.holder, row.competent_agency, row.reception_agency) == (
            state.holder,
            state.competent_agency,
            state.reception_agency,
        )
        assert (due, row.passed) == (state.due_at, state.passed is not None and state.passed == state.due_at)
        assert (row.calendar, row.provisional) == (state.calendar, state.provisional)
        reception_due = row.reception_due_at.replace(tzinfo=UTC) if row.reception_due_at else None
        assert (reception_due, row.reception_passed) == (state.reception_due_at, state.reception_passed is not None)
        assert row.reached is (state.competent_received_at is not None) or state.received_at is None
        assert (row.revision, row.assignee_id if state.step_code else "") == (state.revision, state.assignee_id)


Life.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestLife = Life.TestCase


def test_every_event_is_folded_into_the_lists() -> None:
    dossier_events = {kind.__name__ for kind in e.Event.__args__}
    folded = {name.rpartition(".")[2] for name in lists.folds if name.startswith("motcua.dossier.")}
    assert dossier_events <= folded
    assert dossier_events <= set(events_pb2.DESCRIPTOR.message_types_by_name)
