"""What the page shows after a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from google.protobuf.message import Message

from gateway.status.fold import fold, folded
from gateway.status.model import (
    Delivery,
    DossierPage,
    DueMove,
    Figures,
    Finance,
    Standing,
    StepKind,
    Synchronisation,
    Term,
    Timing,
    figures,
    standing,
)
from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.privacy.public_view import is_public, public_view
from services.law.course import Pause, PauseKind, Settlement
from tests.status import samples
from tests.status.samples import CODES, FINANCE, HISTORIES, NOW, POLICE, WARD, fact, local


@dataclass(frozen=True)
class given:  # noqa: N801 - reads as a sentence
    history: list[Message]

    @property
    def page(self) -> DossierPage:
        page = folded(map(public_view, self.history))
        assert page
        return page

    def then(self, **shown: Any) -> None:
        assert {name: getattr(self.page, name) for name in shown} == shown

    def then_standing(self, now: datetime, timing: Timing, days: int = 0) -> None:
        assert standing(self.page, now) == Standing(timing, days)

    def then_last_step(self, kind: StepKind, **said: Any) -> None:
        step = self.page.steps[-1]
        assert {"kind": step.kind} | {name: getattr(step, name) for name in said} == {"kind": kind} | said


C = "P56.22.336-20261109-0000001"


@pytest.mark.parametrize(
    ("sample", "settlement", "finance", "delivery", "timing", "days"),
    [
        ("new", Settlement.NEWLY_REGISTERED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.NOT_STARTED, 0),
        ("in_progress", Settlement.BEING_PROCESSED, Finance.PAID, Delivery.NOT_READY, Timing.RUNNING, 5),
        (
            "paused_for_supplement",
            Settlement.SUPPLEMENT_REQUESTED,
            Finance.NOTHING_DUE,
            Delivery.NOT_READY,
            Timing.PAUSED,
            7,
        ),
        ("supplemented", Settlement.BEING_PROCESSED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.RUNNING, 4),
        ("fee_asked", Settlement.FINANCIAL_OBLIGATION_REQUESTED, Finance.DUE, Delivery.NOT_READY, Timing.PAUSED, 7),
        ("overdue", Settlement.BEING_PROCESSED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.OVERDUE, 4),
        ("apologised", Settlement.BEING_PROCESSED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.POSTPONED, 5),
        ("overdue_again", Settlement.BEING_PROCESSED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.OVERDUE, 1),
        ("late", Settlement.PROCESSED, Finance.NOTHING_DUE, Delivery.READY, Timing.LATE, 3),
        ("returned", Settlement.RESULT_RETURNED, Finance.NOTHING_DUE, Delivery.DELIVERED, Timing.ON_TIME, 0),
        ("refused", Settlement.NOT_RECEIVED, Finance.NOTHING_DUE, Delivery.NONE, Timing.CLOSED, 0),
        (
            "withdrawal_asked",
            Settlement.WITHDRAWAL_REQUESTED,
            Finance.NOTHING_DUE,
            Delivery.NOT_READY,
            Timing.RUNNING,
            6,
        ),
        ("withdrawn", Settlement.PROCESSING_STOPPED, Finance.NOTHING_DUE, Delivery.NONE, Timing.CLOSED, 0),
        ("withdrawal_declined", Settlement.BEING_PROCESSED, Finance.NOTHING_DUE, Delivery.NOT_READY, Timing.RUNNING, 6),
        ("refunded", Settlement.PROCESSING_STOPPED, Finance.REFUNDED, Delivery.NONE, Timing.CLOSED, 0),
    ],
)
def test_where_each_history_stands(
    sample: str, settlement: Settlement, finance: Finance, delivery: Delivery, timing: Timing, days: int
) -> None:
    history = given(HISTORIES[CODES[sample]])
    history.then(settlement=settlement, finance=finance, delivery=delivery)
    history.then_standing(NOW, timing, days)


def test_every_settlement_but_reception_is_in_a_sample() -> None:
    assert {given(history).page.settlement for history in HISTORIES.values()} == set(Settlement) - {
        Settlement.ABSENT,
        Settlement.RECEIVED,
    }


def test_reception_starts_the_clock() -> None:
    given([samples.submitted(C, local(11, 9)), samples.received(C, local(11, 9, 10), local(11, 19, 17))]).then(
        settlement=Settlement.RECEIVED,
        submitted_at=local(11, 9),
        received_at=local(11, 9, 10),
        due_at=local(11, 19, 17),
        term=Term(8, facts.TERM_UNIT_WORKING_DAYS),
        receipt_number="0000001/TNHS",
    )


def test_a_supplement_pauses_the_clock_and_moves_the_due_date() -> None:
    paused = given(samples.paused_for_supplement(C))
    paused.then(missing=("photo", "guardian-consent"), pause=Pause(PauseKind.SUPPLEMENT, local(11, 13, 15)))
    supplied = given(samples.supplemented(C))
    supplied.then(
        pause=None,
        pauses=(Pause(PauseKind.SUPPLEMENT, local(11, 13, 15), local(11, 18, 11)),),
        missing=(),
        due_at=local(11, 24, 17),
    )
    supplied.then_last_step(StepKind.SUPPLEMENT_SUPPLIED, due=DueMove(local(11, 19, 17), local(11, 24, 17)))


def test_a_supplement_before_reception_makes_it_valid() -> None:
    asked = fact(facts.SupplementRequested, C, local(11, 9), component_codes=["photo"])
    supplied = fact(facts.SupplementSupplied, C, local(11, 10))
    received = samples.received(C, local(11, 10), local(11, 20, 17))
    given([samples.submitted(C, local(11, 8)), asked, supplied, received]).then(
        settlement=Settlement.BEING_PROCESSED, received_at=local(11, 10), due_at=local(11, 20, 17), pause=None
    )


def test_a_dossier_without_a_term_has_no_due_date() -> None:
    received = fact(facts.DossierReceived, C, local(11, 9, 10), receipt_number="1", calendar="vn@1", agency=WARD)
    history = given([samples.submitted(C, local(11, 9)), received])
    history.then(settlement=Settlement.RECEIVED, due_at=None, term=None)
    history.then_standing(NOW, Timing.NO_TERM)
    history.then_last_step(StepKind.RECEIVED, due=None, term=None)


def test_a_payment_that_ends_no_pause_is_another_fees() -> None:
    other = samples.fee(C, local(11, 12), condition=facts.FEE_CONDITION_RESULT)
    asked = samples.fee_asked(C)
    paid = fact(facts.FeePaid, C, local(11, 16), amount=160_000)
    given([*asked[:3], other, asked[3], paid]).then(
        settlement=Settlement.FINANCIAL_OBLIGATION_REQUESTED, finance=Finance.DUE, due_at=local(11, 20, 17)
    )


def test_a_paid_fee_ends_its_pause() -> None:
    paid = fact(facts.FeePaid, C, local(11, 16), amount=160_000, due_at=local(11, 23, 17))
    given([*samples.fee_asked(C), paid]).then(
        settlement=Settlement.BEING_PROCESSED,
        finance=Finance.PAID,
        owed=0,
        due_at=local(11, 23, 17),
        pauses=(Pause(PauseKind.FEE, local(11, 13, 9), local(11, 16)),),
    )


def test_a_fee_for_reception_pauses_nothing() -> None:
    asked = samples.fee(C, local(11, 8), condition=facts.FEE_CONDITION_RECEPTION)
    given([samples.submitted(C, local(11, 8)), asked]).then(
        settlement=Settlement.NEWLY_REGISTERED, owed=160_000, pauses=(), fee_first=facts.FEE_CONDITION_RECEPTION
    )


def test_two_fees_of_one_amount_are_paid_one_after_the_other() -> None:
    asked = [samples.fee(C, local(11, 8), condition=facts.FEE_CONDITION_RESULT) for _ in range(2)]
    paid = [fact(facts.FeePaid, C, local(11, 9), amount=160_000) for _ in range(2)]
    once, twice = (given([samples.submitted(C, local(11, 8)), *asked, *paid[:count]]) for count in (1, 2))
    once.then(owed=160_000, finance=Finance.DUE)
    twice.then(owed=0, finance=Finance.PAID)


def test_a_transfer_is_a_line_and_leaves_the_due_date() -> None:
    history = given(samples.in_progress(C)[:8])
    history.then(competent_agency=FINANCE, due_at=local(11, 25, 17))
    history.then_last_step(StepKind.TRANSFERRED, agency=POLICE, to_agency=FINANCE, due=None)


def test_an_apology_keeps_the_first_promise() -> None:
    second = fact(
        facts.DeadlineExtended,
        C,
        local(11, 25),
        original_due_at=local(11, 25, 17),
        due_at=local(11, 30, 17),
        signer="B",
    )
    given([*samples.apologised(C), second]).then(
        promised_at=local(11, 16, 17), due_at=local(11, 30, 17), apology_signer="B"
    )


def test_lateness_needs_no_event() -> None:
    history = given(samples.overdue(C)[:3])
    history.then_standing(local(11, 16, 16), Timing.DUE_TODAY)
    history.then_standing(local(11, 16, 18), Timing.OVERDUE)
    history.then_standing(local(11, 17, 0), Timing.OVERDUE, 1)


def test_a_closed_dossier_has_no_open_pause() -> None:
    stopped = fact(facts.ProcessingStopped, C, local(11, 20), cause=facts.STOP_CAUSE_NOT_SUPPLIED)
    given([*samples.paused_for_supplement(C), stopped]).then(pause=None, stop_cause=facts.STOP_CAUSE_NOT_SUPPLIED)


def test_a_peer_is_level_until_something_happens() -> None:
    history = samples.in_progress(C)
    given(history).then(synchronisation=Synchronisation.DONE, peers=(("vn", 8),), revision=9, content_revision=8)
    given([*history, samples.issued(C, local(11, 19))]).then(synchronisation=Synchronisation.PENDING)


def test_the_page_needs_only_what_is_public() -> None:
    for history in HISTORIES.values():
        assert folded(history) == folded(map(public_view, history))


def test_every_public_fact_of_a_dossier_is_shown() -> None:
    start = folded([samples.submitted(C, local(11, 9)), samples.received(C, local(11, 9), local(11, 19))])
    for name, descriptor in facts.DESCRIPTOR.message_types_by_name.items():
        by_name = descriptor.fields_by_name
        if name == "DossierSubmitted" or not ("code" in by_name and is_public(by_name["code"]) and "at" in by_name):
            continue
        before = start
        if name in {"FeePaid", "FeeCancelled", "FeeRefunded"}:
            before = fold(before, facts.FeeAssessed(code=C, condition=facts.FEE_CONDITION_RESULT))
        if name == "FeeRefunded":
            before = fold(before, facts.FeePaid(code=C))
        said = {"condition": facts.FEE_CONDITION_RESULT} if "condition" in by_name else {}
        assert fold(before, getattr(facts, name)(code=C, **said)) != before


def test_what_is_not_of_a_dossier_is_refused() -> None:
    with pytest.raises(TypeError):
        fold(folded([samples.submitted(C, local(11, 9))]), facts.DraftDiscarded(at=samples.stamp(NOW)))
    with pytest.raises(AssertionError):
        fold(None, facts.DossierRefused(code=C))


def test_figures_count_as_the_reports_do() -> None:
    total = sum((figures(given(history).page, NOW) for history in HISTORIES.values()), Figures())
    assert total == Figures(waiting=1, received=13, in_progress=9, paused=2, overdue=2, settled=3, on_time=1, late=1)
    assert total.on_time_share == 50.0
    assert Figures().on_time_share is None


def test_the_place_of_submission_reception_and_competence_are_three() -> None:
    given([samples.submitted(C, local(11, 9))]).then(
        place_of_submission="online", reception_agency=WARD, competent_agency=POLICE
    )
