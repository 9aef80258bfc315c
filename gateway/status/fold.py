"""Public events into a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.status.model import (
    DossierPage,
    DueMove,
    Fee,
    Pause,
    PauseKind,
    Settlement,
    Step,
    StepKind,
    Term,
)
from motcua.dossier.events.v1 import events_pb2 as facts


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
    return _next(page, event)


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
    return DossierPage(
        code=event.code,
        procedure_code=event.procedure_code,
        procedure_version=event.procedure_version,
        channel=event.channel,
        place_of_submission=event.place_of_submission,
        reception_agency=event.reception_agency,
        competent_agency=event.competent_agency,
        province=event.province,
        delivery_method=event.delivery_method,
        submitted_at=at,
        changed_at=at,
        reception_due_at=_moment(event, "reception_due_at"),
        steps=(step,),
    )


def _next(page: DossierPage, event: Message) -> DossierPage:
    match event:
        case facts.FeeAssessed():
            return _fee_assessed(page, event)
        case facts.FeeWaived():
            # Whom the law exempts is for the parties.
            return page
        case facts.FeeCancelled():
            return _fee_cancelled(page, event)
        case facts.FeePaid():
            return _fee_paid(page, event)
        case facts.FeeRefunded():
            return _fee_refunded(page, event)
        case facts.DossierReceived():
            return _received(page, event)
        case facts.DossierRefused():
            return _add(_close(page, Settlement.NOT_RECEIVED, event.at), StepKind.REFUSED, event.at)
        case facts.SupplementRequested():
            return _supplement_requested(page, event)
        case facts.SupplementSupplied():
            return _supplement_supplied(page, event)
        case facts.FormCorrected():
            return _add(page, StepKind.FORM_CORRECTED, event.at)
        case facts.ProcessingStarted():
            page = replace(page, settlement=Settlement.BEING_PROCESSED)
            return _add(page, StepKind.PROCESSING_STARTED, event.at, agency=event.agency)
        case facts.StepAssigned():
            return _add(
                page, StepKind.ASSIGNED, event.at, agency=event.agency, step_code=event.step_code, role=event.role
            )
        case facts.StepCompleted():
            return _add(page, StepKind.COMPLETED, event.at, agency=event.agency, step_code=event.step_code)
        case facts.DossierTransferred():
            return _transferred(page, event)
        case facts.WithdrawalRequested():
            page = replace(page, resumes_as=page.settlement, settlement=Settlement.WITHDRAWAL_REQUESTED)
            return _add(page, StepKind.WITHDRAWAL_REQUESTED, event.at)
        case facts.WithdrawalDeclined():
            return _add(replace(page, settlement=page.resumes_as), StepKind.WITHDRAWAL_DECLINED, event.at)
        case facts.ProcessingStopped():
            page = replace(_close(page, Settlement.PROCESSING_STOPPED, event.at), stop_cause=event.cause)
            return _add(page, StepKind.STOPPED, event.at, cause=event.cause)
        case facts.DossierApproved():
            return _add(page, StepKind.APPROVED, event.at, agency=event.agency)
        case facts.ResultIssued():
            return _result_issued(page, event)
        case facts.ResultReturned():
            page = _close(page, Settlement.RESULT_RETURNED, event.at)
            return _add(page, StepKind.RESULT_RETURNED, event.at, delivery_method=event.delivery_method)
        case facts.DeadlinePassed():
            page = replace(page, passed_at=_time(event.due_at))
            due = DueMove(None, _time(event.due_at))
            return _add(page, StepKind.DEADLINE_PASSED, event.at, agency=event.agency, due=due)
        case facts.DeadlineExtended():
            return _deadline_extended(page, event)
        case facts.DeadlineRecounted():
            return _deadline_recounted(page, event)
        case facts.ReceptionDeadlinePassed():
            late = _time(event.reception_due_at)
            page = replace(page, reception_passed_at=late)
            return _add(page, StepKind.RECEPTION_LATE, event.at, agency=event.agency, due=DueMove(None, late))
        case facts.DossierRated():
            return _add(replace(page, score=event.score), StepKind.RATED, event.at, score=event.score)
        case _:
            raise TypeError(f"the page cannot show {event.DESCRIPTOR.full_name}")


def _fee_assessed(page: DossierPage, event: facts.FeeAssessed) -> DossierPage:
    at = _time(event.at)
    items = tuple((item.name, item.amount) for item in event.items)
    page = replace(page, fees=(*page.fees, Fee(event.amount, items, event.condition, at, **_to_pay(event))))
    if event.condition == facts.FEE_CONDITION_RECEPTION:
        page = replace(page, reception_due_at=None)
    if event.condition == facts.FEE_CONDITION_PROCESSING:
        page = _pause(replace(page, settlement=Settlement.FINANCIAL_OBLIGATION_REQUESTED), PauseKind.FEE, at)
    return _add(page, StepKind.FEE_ASSESSED, event.at, amount=event.amount, condition=event.condition)


def _to_pay(event: facts.FeeAssessed) -> dict[str, Any]:
    by = _time(event.pay_by) if event.HasField("pay_by") else None
    return {"pay_by": by, "stops_unpaid": event.stops_unpaid}


def _fee_cancelled(page: DossierPage, event: facts.FeeCancelled) -> DossierPage:
    standing = [index for index, fee in enumerate(page.fees) if not fee.cancelled_at and event.paid is not fee.owed]
    alike = [index for index in standing if page.fees[index].condition == event.condition]
    index = _of_amount(page, alike or standing, event.amount)
    page, due = _settled(page, event, index, cancelled_at=_time(event.at))
    return _add(page, StepKind.FEE_CANCELLED, event.at, amount=event.amount, due=due, provisional=event.provisional)


def _fee_paid(page: DossierPage, event: facts.FeePaid) -> DossierPage:
    page, due = _settled(page, event, _paid_fee(page, event), paid_at=_time(event.at))
    return _add(page, StepKind.FEE_PAID, event.at, amount=event.amount, due=due, provisional=event.provisional)


def _settled(
    page: DossierPage, event: facts.FeePaid | facts.FeeCancelled, index: int, **changes: datetime
) -> tuple[DossierPage, DueMove | None]:
    at = _time(event.at)
    due = _moved(page, event.due_at) if event.HasField("due_at") else None
    reception_due = _moment(event, "reception_due_at") or page.reception_due_at
    page = replace(page, fees=_with(page.fees, index, **changes), reception_due_at=reception_due)
    asked = any(fee.owed and fee.condition == facts.FEE_CONDITION_PROCESSING for fee in page.fees)
    if page.settlement is Settlement.FINANCIAL_OBLIGATION_REQUESTED and not asked:
        page = _resume(replace(page, settlement=Settlement.BEING_PROCESSED), at)
        page = _counted(page, event) if due else page
    return page, due


def _paid_fee(page: DossierPage, event: facts.FeePaid) -> int:
    """Which fee is not public. Where the clock stands, a new due date says that it is the one that was waited for.

    At most one such fee is owed at a time. Where no due date can say it, the amount has to.
    """
    owed = [index for index, fee in enumerate(page.fees) if fee.owed]
    waited_for = [index for index in owed if page.fees[index].condition == facts.FEE_CONDITION_PROCESSING]
    others = [index for index in owed if index not in waited_for]
    ends_pause = event.HasField("due_at") or page.due_at is None
    candidates = [*waited_for, *others] if ends_pause else [*others, *waited_for]
    if event.HasField("due_at"):
        return candidates[0]
    return _of_amount(page, candidates, event.amount)


def _of_amount(page: DossierPage, candidates: list[int], amount: int) -> int:
    return next((index for index in candidates if page.fees[index].amount == amount), candidates[0])


def _fee_refunded(page: DossierPage, event: facts.FeeRefunded) -> DossierPage:
    paid = [index for index, fee in enumerate(page.fees) if fee.paid_at and not fee.refunded_at]
    owed = [index for index, fee in enumerate(page.fees) if fee.owed]
    index = _of_amount(page, [*paid, *owed], event.amount)
    page = replace(page, fees=_with(page.fees, index, refunded_at=_time(event.at)))
    return _add(page, StepKind.FEE_REFUNDED, event.at, amount=event.amount)


def _received(page: DossierPage, event: facts.DossierReceived) -> DossierPage:
    """After a supplement that made the reception valid the dossier is being processed already."""
    newly = page.settlement is Settlement.NEWLY_REGISTERED
    term = Term(event.term.amount, event.term.unit) if event.HasField("term") else None
    due = DueMove(None, _time(event.due_at)) if event.HasField("due_at") else None
    page = replace(
        page,
        settlement=Settlement.RECEIVED if newly else page.settlement,
        procedure_version=event.procedure_version,
        received_at=_time(event.at),
        receipt_number=event.receipt_number,
        term=term,
        competent_received_at=_time(event.at) if page.competent_agency == page.reception_agency else None,
        across_boundaries=event.HasField("counts_from"),
        forward_by=_moment(event, "forward_by"),
    )
    page = _counted(page, event)
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


def _counted(page: DossierPage, event: Any) -> DossierPage:
    """With the event's due date; it names a calendar where that is another than before."""
    return replace(
        page,
        due_at=_moment(event, "due_at"),
        provisional=event.provisional,
        calendar=event.calendar or page.calendar,
    )


def _transferred(page: DossierPage, event: facts.DossierTransferred) -> DossierPage:
    starts_clock = event.HasField("due_at")
    due = _moved(page, event.due_at) if starts_clock else None
    page = _handed_over(page, event)
    if not event.succession:
        page = replace(page, competent_received_at=page.competent_received_at or _time(event.at))
    page = _counted(page, event) if starts_clock else page
    return _add(
        page,
        StepKind.TRANSFERRED,
        event.at,
        agency=event.from_agency,
        to_agency=event.to_agency,
        due=due,
        provisional=event.provisional,
        starts_clock=starts_clock,
    )


def _supplement_requested(page: DossierPage, event: facts.SupplementRequested) -> DossierPage:
    missing = tuple(event.component_codes)
    page = replace(page, settlement=Settlement.SUPPLEMENT_REQUESTED, missing=missing)
    page = _pause(page, PauseKind.SUPPLEMENT, _time(event.at))
    faults = tuple(sorted({fault.kind for fault in event.data_faults}))
    return _add(page, StepKind.SUPPLEMENT_REQUESTED, event.at, component_codes=missing, data_faults=faults)


def _supplement_supplied(page: DossierPage, event: facts.SupplementSupplied) -> DossierPage:
    supplied = tuple(component.component_code for component in event.components)
    due = _moved(page, event.due_at) if event.HasField("due_at") else None
    page = replace(
        _resume(page, _time(event.at)),
        settlement=Settlement.BEING_PROCESSED,
        missing=(),
    )
    page = _counted(page, event)
    kind, provisional = StepKind.SUPPLEMENT_SUPPLIED, event.provisional
    return _add(page, kind, event.at, component_codes=supplied, due=due, provisional=provisional)


def _result_issued(page: DossierPage, event: facts.ResultIssued) -> DossierPage:
    at = _time(event.at)
    page = replace(_resume(page, at), settlement=Settlement.PROCESSED, settled_at=at, on_time=event.on_time)
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
    page = replace(
        page,
        due_at=due.after,
        provisional=False,
        promised_at=page.promised_at or due.before,
        apology_signer=event.signer,
    )
    return _add(page, StepKind.DEADLINE_EXTENDED, event.at, signer=event.signer, due=due)


def _deadline_recounted(page: DossierPage, event: facts.DeadlineRecounted) -> DossierPage:
    due = DueMove(_time(event.original_due_at), _time(event.due_at))
    basis = tuple(event.legal_basis)
    return _add(
        _counted(page, event),
        StepKind.DEADLINE_RECOUNTED,
        event.at,
        agency=event.agency,
        due=due,
        provisional=event.provisional,
        legal_basis=basis,
    )


def _moment(event: Any, name: str) -> datetime | None:
    return _time(getattr(event, name)) if event.HasField(name) else None


def _moved(page: DossierPage, due_at: Timestamp) -> DueMove:
    return DueMove(page.due_at, _time(due_at))


def _pause(page: DossierPage, kind: PauseKind, at: datetime) -> DossierPage:
    return replace(page, pauses=(*page.pauses, Pause(kind, at)))


def _resume(page: DossierPage, at: datetime) -> DossierPage:
    return replace(page, pauses=(*page.pauses[:-1], replace(page.pause, until=at))) if page.pause else page


def _close(page: DossierPage, settlement: Settlement, at: Timestamp) -> DossierPage:
    closed_at = _time(at)
    return replace(_resume(page, closed_at), settlement=settlement, closed_at=closed_at)


def _with(fees: tuple[Fee, ...], index: int, **changes: Any) -> tuple[Fee, ...]:
    return (*fees[:index], replace(fees[index], **changes), *fees[index + 1 :])


def _add(page: DossierPage, kind: StepKind, at: Timestamp, **said: Any) -> DossierPage:
    return replace(page, steps=(*page.steps, Step(page.revision, kind, _time(at), **said)))


def _handed_over(page: DossierPage, event: facts.DossierTransferred) -> DossierPage:
    """A succession takes the closed agency's place wherever it was named; a transfer makes competent."""
    if not event.succession:
        return replace(page, competent_agency=event.to_agency)
    old, new = event.from_agency, event.to_agency
    return replace(
        page,
        reception_agency=new if page.reception_agency == old else page.reception_agency,
        competent_agency=new if page.competent_agency == old else page.competent_agency,
    )


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
