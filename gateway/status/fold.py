"""Public events into a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.status.model import (
    DossierPage,
    DueMove,
    Fee,
    Step,
    StepKind,
    Term,
)
from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.decider import replace
from services.chassis.following.course import fact_of
from services.law import course
from services.law.course import FeeCondition


def fold(page: DossierPage | None, event: Message) -> DossierPage:
    """The page after one more public event of its dossier, in the order of the stream."""
    if isinstance(event, facts.DossierSubmitted):
        assert page is None, f"{event.code} was submitted before"
        return _submitted(event)
    assert page is not None, f"{event.DESCRIPTOR.full_name} before DossierSubmitted"
    page = replace(page, revision=page.revision + 1)
    if isinstance(event, facts.DossierSynchronised):
        peers = {**dict(page.peers), event.peer: event.peer_revision}
        return replace(page, peers=tuple(sorted(peers.items())))
    page = replace(page, content_revision=page.revision, changed_at=_time(event.at))  # type: ignore[attr-defined]
    fact, fee_id = fact_of(event), _fee_meant(page, event)
    if isinstance(fact, course.FeeAssessed | course.FeePaid | course.FeeCancelled | course.FeeRefunded):
        fact = replace(fact, fee_id=fee_id)
    return _detailed(course.fold(page, fact) if fact else page, page.due_at, fee_id, event)


def _fee_meant(page: DossierPage, event: Message) -> str:
    """Which fee is meant is not public: here a fee's id is its place."""
    match event:
        case facts.FeeAssessed():
            return str(len(page.fees))
        case facts.FeePaid():
            return str(_paid_fee(page, event))
        case facts.FeeCancelled():
            return str(_cancelled_fee(page, event))
        case facts.FeeRefunded():
            return str(_refunded_fee(page, event))
        case _:
            return ""


def folded(events: Iterable[Message]) -> DossierPage | None:
    page: DossierPage | None = None
    for event in events:
        page = fold(page, event)
    return page


def _submitted(event: facts.DossierSubmitted) -> DossierPage:
    at = _time(event.at)
    step = Step(
        revision=0,
        kind=StepKind.SUBMITTED,
        at=at,
        agency=event.reception_agency,
        component_codes=tuple(component.component_code for component in event.components),
    )
    page = DossierPage(
        code=event.code,
        procedure_code=event.procedure_code,
        channel=event.channel,
        place_of_submission=event.place_of_submission,
        province=event.province,
        delivery_method=event.delivery_method,
        submitted_at=at,
        changed_at=at,
        steps=(step,),
    )
    fact = fact_of(event)
    assert fact is not None
    return course.fold(page, fact)


def _detailed(page: DossierPage, due_before: datetime | None, fee_id: str, event: Message) -> DossierPage:
    match event:
        case facts.FeeAssessed():
            return _fee_assessed(page, event)
        case facts.FeeWaived():
            # Whom the law exempts is for the parties.
            return page
        case facts.FeeCancelled():
            return _fee_cancelled(page, due_before, fee_id, event)
        case facts.FeePaid():
            return _fee_paid(page, due_before, fee_id, event)
        case facts.FeeRefunded():
            return _fee_refunded(page, fee_id, event)
        case facts.DossierReceived():
            return _received(page, event)
        case facts.DossierRefused():
            return _add(replace(page, closed_at=_time(event.at)), StepKind.REFUSED, event.at)
        case facts.SupplementRequested():
            return _supplement_requested(page, event)
        case facts.SupplementSupplied():
            return _supplement_supplied(page, due_before, event)
        case facts.FormCorrected():
            return _add(page, StepKind.FORM_CORRECTED, event.at)
        case facts.ProcessingStarted():
            return _add(page, StepKind.PROCESSING_STARTED, event.at, agency=event.agency)
        case facts.StepAssigned():
            return _add(
                page, StepKind.ASSIGNED, event.at, agency=event.agency, step_code=event.step_code, role=event.role
            )
        case facts.StepCompleted():
            return _add(page, StepKind.COMPLETED, event.at, agency=event.agency, step_code=event.step_code)
        case facts.DossierTransferred():
            return _transferred(page, due_before, event)
        case facts.WithdrawalRequested():
            return _add(page, StepKind.WITHDRAWAL_REQUESTED, event.at)
        case facts.WithdrawalDeclined():
            return _add(page, StepKind.WITHDRAWAL_DECLINED, event.at)
        case facts.ProcessingStopped():
            page = replace(page, closed_at=_time(event.at), stop_cause=event.cause)
            return _add(page, StepKind.STOPPED, event.at, cause=event.cause)
        case facts.DossierApproved():
            return _add(page, StepKind.APPROVED, event.at, agency=event.agency)
        case facts.ResultIssued():
            return _result_issued(page, event)
        case facts.ResultReturned():
            page = replace(page, closed_at=_time(event.at))
            return _add(page, StepKind.RESULT_RETURNED, event.at, delivery_method=event.delivery_method)
        case facts.DeadlinePassed():
            due = DueMove(None, _time(event.due_at))
            return _add(page, StepKind.DEADLINE_PASSED, event.at, agency=event.agency, due=due)
        case facts.DeadlineExtended():
            return _deadline_extended(page, event)
        case facts.DeadlineRecounted():
            return _deadline_recounted(page, event)
        case facts.ReceptionDeadlinePassed():
            late = _time(event.reception_due_at)
            return _add(page, StepKind.RECEPTION_LATE, event.at, agency=event.agency, due=DueMove(None, late))
        case facts.DossierRated():
            return _add(replace(page, score=event.score), StepKind.RATED, event.at, score=event.score)
        case _:
            raise TypeError(f"the page cannot show {event.DESCRIPTOR.full_name}")


def _fee_assessed(page: DossierPage, event: facts.FeeAssessed) -> DossierPage:
    known = page.fees[-1]
    fee = Fee(
        fee_id=known.fee_id,
        amount=known.amount,
        condition=known.condition,
        items=tuple((item.name, item.amount) for item in event.items),
        assessed_at=_time(event.at),
        pay_by=_moment(event, "pay_by"),
        stops_unpaid=event.stops_unpaid,
    )
    page = replace(page, fees=(*page.fees[:-1], fee))
    return _add(page, StepKind.FEE_ASSESSED, event.at, amount=event.amount, condition=event.condition)


def _fee_cancelled(
    page: DossierPage, due_before: datetime | None, fee_id: str, event: facts.FeeCancelled
) -> DossierPage:
    page = _with_fee(page, fee_id, cancelled_at=_time(event.at))
    due = _moved(due_before, event)
    return _add(page, StepKind.FEE_CANCELLED, event.at, amount=event.amount, due=due, provisional=event.provisional)


def _cancelled_fee(page: DossierPage, event: facts.FeeCancelled) -> int:
    standing = [index for index, fee in enumerate(page.fees) if not fee.cancelled_at and event.paid is not fee.owed]
    alike = [index for index in standing if page.fees[index].condition.value == event.condition]
    return _of_amount(page, alike or standing, event.amount)


def _fee_paid(page: DossierPage, due_before: datetime | None, fee_id: str, event: facts.FeePaid) -> DossierPage:
    page = _with_fee(page, fee_id, paid_at=_time(event.at))
    due = _moved(due_before, event)
    return _add(page, StepKind.FEE_PAID, event.at, amount=event.amount, due=due, provisional=event.provisional)


def _paid_fee(page: DossierPage, event: facts.FeePaid) -> int:
    """Which fee is not public. Where the clock stands, a new due date says that it is the one that was waited for.

    At most one such fee is owed at a time. Where no due date can say it, the amount has to.
    """
    owed = [index for index, fee in enumerate(page.fees) if fee.owed]
    waited_for = [index for index in owed if page.fees[index].condition is FeeCondition.PROCESSING]
    others = [index for index in owed if index not in waited_for]
    ends_pause = event.HasField("due_at") or page.due_at is None
    candidates = [*waited_for, *others] if ends_pause else [*others, *waited_for]
    if event.HasField("due_at"):
        return candidates[0]
    return _of_amount(page, candidates, event.amount)


def _of_amount(page: DossierPage, candidates: list[int], amount: int) -> int:
    return next((index for index in candidates if page.fees[index].amount == amount), candidates[0])


def _fee_refunded(page: DossierPage, fee_id: str, event: facts.FeeRefunded) -> DossierPage:
    page = _with_fee(page, fee_id, refunded_at=_time(event.at))
    return _add(page, StepKind.FEE_REFUNDED, event.at, amount=event.amount)


def _refunded_fee(page: DossierPage, event: facts.FeeRefunded) -> int:
    paid = [index for index, fee in enumerate(page.fees) if fee.paid_at and not fee.refunded_at]
    owed = [index for index, fee in enumerate(page.fees) if fee.owed]
    return _of_amount(page, [*paid, *owed], event.amount)


def _received(page: DossierPage, event: facts.DossierReceived) -> DossierPage:
    term = Term(event.term.amount, event.term.unit) if event.HasField("term") else None
    due = DueMove(None, _time(event.due_at)) if event.HasField("due_at") else None
    page = replace(page, receipt_number=event.receipt_number, term=term)
    return _add(
        page,
        StepKind.RECEIVED,
        event.at,
        agency=event.agency,
        receipt_number=event.receipt_number,
        term=term,
        due=due,
        provisional=event.provisional,
    )


def _transferred(page: DossierPage, due_before: datetime | None, event: facts.DossierTransferred) -> DossierPage:
    return _add(
        page,
        StepKind.TRANSFERRED,
        event.at,
        agency=event.from_agency,
        to_agency=event.to_agency,
        due=_moved(due_before, event),
        provisional=event.provisional,
        starts_clock=event.HasField("due_at"),
    )


def _supplement_requested(page: DossierPage, event: facts.SupplementRequested) -> DossierPage:
    missing = tuple(event.component_codes)
    page = replace(page, missing=missing)
    faults = tuple(sorted({fault.kind for fault in event.data_faults}))
    return _add(page, StepKind.SUPPLEMENT_REQUESTED, event.at, component_codes=missing, data_faults=faults)


def _supplement_supplied(
    page: DossierPage, due_before: datetime | None, event: facts.SupplementSupplied
) -> DossierPage:
    supplied = tuple(component.component_code for component in event.components)
    due, kind, provisional = _moved(due_before, event), StepKind.SUPPLEMENT_SUPPLIED, event.provisional
    page = replace(page, missing=())
    return _add(page, kind, event.at, component_codes=supplied, due=due, provisional=provisional)


def _result_issued(page: DossierPage, event: facts.ResultIssued) -> DossierPage:
    at = _time(event.at)
    page = replace(page, settled_at=at, on_time=event.on_time)
    return _add(
        page,
        StepKind.RESULT_ISSUED,
        event.at,
        agency=event.agency,
        document_kind=event.document_kind,
        on_time=event.on_time,
    )


def _deadline_extended(page: DossierPage, event: facts.DeadlineExtended) -> DossierPage:
    due = DueMove(_time(event.original_due_at), _time(event.due_at))
    page = replace(page, promised_at=page.promised_at or due.before, apology_signer=event.signer)
    return _add(page, StepKind.DEADLINE_EXTENDED, event.at, signer=event.signer, due=due)


def _deadline_recounted(page: DossierPage, event: facts.DeadlineRecounted) -> DossierPage:
    due = DueMove(_time(event.original_due_at), _time(event.due_at))
    basis = tuple(event.legal_basis)
    return _add(
        page,
        StepKind.DEADLINE_RECOUNTED,
        event.at,
        agency=event.agency,
        due=due,
        provisional=event.provisional,
        legal_basis=basis,
    )


def _moment(event: Any, name: str) -> datetime | None:
    return _time(getattr(event, name)) if event.HasField(name) else None


def _moved(before: datetime | None, event: Any) -> DueMove | None:
    return DueMove(before, _time(event.due_at)) if event.HasField("due_at") else None


def _with_fee(page: DossierPage, fee_id: str, **changes: Any) -> DossierPage:
    fees = (replace(fee, **changes) if fee.fee_id == fee_id else fee for fee in page.fees)
    return replace(page, fees=tuple(fees))


def _add(page: DossierPage, kind: StepKind, at: Timestamp, **said: Any) -> DossierPage:
    return replace(page, steps=(*page.steps, Step(page.revision, kind, _time(at), **said)))


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
