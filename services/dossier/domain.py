"""A dossier: one application, from submission to returned result.

Settlement moves only as the national portal's states allow (docs/architecture.md has the table). The clock starts at valid
reception, stands still in the two paused states, and never depends on a transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, assert_never, get_args

from services.chassis.decider import Decider, Sealed, replace
from services.dossier.charging import left, total
from services.dossier.commands import (
    ApproveDossier,
    AssessFee,
    AssignStep,
    CancelFee,
    Command,
    CompleteStep,
    ConfirmSynchronisation,
    CorrectForm,
    Correction,
    DeclineWithdrawal,
    ExtendDeadline,
    ForwardDossier,
    GrantWithdrawal,
    IssueResult,
    LapseFee,
    NoteDeadline,
    NoteReceptionDeadline,
    PayFee,
    RateDossier,
    ReceiveDossier,
    RecountDeadline,
    RefundFee,
    RefuseDossier,
    RehomeDossier,
    RequestSupplement,
    RequestWithdrawal,
    ReturnResult,
    StopProcessing,
    Submission,
    SubmitDossier,
    SupplySupplement,
    TransferDossier,
    WaiveFee,
)
from services.dossier.components import BY_HAND, component_missing, missing, require_result, supplied
from services.dossier.events import (
    DeadlineExtended,
    DeadlinePassed,
    DeadlineRecounted,
    DossierApproved,
    DossierRated,
    DossierReceived,
    DossierRefused,
    DossierSubmitted,
    DossierSynchronised,
    DossierTransferred,
    Event,
    FeeAssessed,
    FeeCancelled,
    FeePaid,
    FeeRefunded,
    FeeWaived,
    FormCorrected,
    ProcessingStarted,
    ProcessingStopped,
    ReceptionDeadlinePassed,
    ResultIssued,
    ResultReturned,
    Stamp,
    StepAssigned,
    StepCompleted,
    SupplementRequested,
    SupplementSupplied,
    WithdrawalDeclined,
    WithdrawalRequested,
)
from services.dossier.refusals import Refused
from services.dossier.states import wrong_state
from services.dossier.values import (
    Actor,
    Channel,
    Component,
    DataFault,
    Delivery,
    FeeItem,
    Requirement,
    Route,
    StepRule,
    StopCause,
    Synchronisation,
    Terms,
    require_reason,
)
from services.law import course
from services.law.course import FeeCondition, Finance, Settlement
from services.law.deadlines import Calendar, Term, counted, due_at, is_provisional, moved

Events = tuple[Event, ...]

OPEN = tuple(state for state in Settlement if state.open)
PAUSED = tuple(state for state in Settlement if state.paused)
LARGEST_FEE = 10**12
# Of one dossier's form: whoever reads the dossier is told what each changed.
MOST_CORRECTIONS = 10


@dataclass(frozen=True, slots=True)
class Fee(course.Fee):
    items: tuple[FeeItem, ...] = ()
    pay_by: datetime | None = None
    stops_unpaid: bool = False
    of_form: bool = False
    """It follows from the form's answers; an official assessed the others."""


@dataclass(frozen=True, slots=True)
class Dossier(course.Course):
    """Only what `decide` reads, and the dimensions that every reader asks for."""

    code: str = ""
    applicant_id: str = ""
    procedure_code: str = ""
    channel: Channel = Channel.COUNTER
    submitted_by: str = ""
    place_of_submission: str = ""
    components: tuple[Component, ...] = ()
    asked: tuple[str, ...] = ()
    asked_fields: tuple[str, ...] = ()
    corrections: int = 0
    """How often the form was corrected."""
    answered: bool = False
    """It was corrected since answers were asked for."""
    reuse_consent: bool = False
    submitted_at: datetime | None = None
    term: Term | None = None
    counts_from: datetime | None = None
    appointed: datetime | None = None
    """The due date of an apology, from which later pauses are counted."""
    reception_term: Term | None = None
    notified: frozenset[str] = frozenset()
    """What this stage's notice asked for."""
    data_faults: tuple[DataFault, ...] = ()
    done: tuple[str, ...] = ()
    step_code: str = ""
    assignee_id: str = ""
    approved: bool = False
    fees: tuple[Fee, ...] = ()
    rated: bool = False
    revision: int = -1
    synchronised: int = -1

    @property
    def finance(self) -> Finance:
        return course.finance(self.fees)

    @property
    def delivery(self) -> Delivery:
        match self.settlement:
            case Settlement.PROCESSED:
                return Delivery.READY
            case Settlement.RESULT_RETURNED:
                return Delivery.DELIVERED
            case _:
                return Delivery.NOT_READY

    @property
    def synchronisation(self) -> Synchronisation:
        """The confirmation itself is one event that the peer need not hold."""
        return Synchronisation.DONE if self.synchronised >= self.revision - 1 else Synchronisation.PENDING

    @property
    def paused(self) -> bool:
        return self.settlement.paused

    @property
    def paused_at(self) -> datetime | None:
        return self.pause.since if self.pause else None

    @property
    def ended_pauses(self) -> tuple[tuple[datetime, datetime], ...]:
        """Those that ended since the count began."""
        return tuple(_pause(each.since, each.until) for each in self.pauses[self.counted :] if each.until)

    def reception_overdue(self, at: datetime) -> bool:
        due = self.reception_due_at
        return self.settlement is Settlement.NEWLY_REGISTERED and due is not None and at > due

    def overdue(self, at: datetime) -> bool:
        return self.settlement.open and not self.paused and self.due_at is not None and at > self.due_at


def decide(command: Command, dossier: Dossier) -> Sequence[Event]:
    match command:
        case SubmitDossier():
            return _submit(command, dossier)
        case ReceiveDossier():
            return _receive(command, dossier)
        case RefuseDossier():
            return _refuse(command, dossier)
        case CorrectForm():
            return _correct(command, dossier)
        case RequestSupplement():
            return _request_supplement(command, dossier)
        case SupplySupplement():
            return _supply(command, dossier)
        case AssignStep():
            return _assign(command, dossier)
        case CompleteStep():
            return _complete(command, dossier)
        case TransferDossier():
            return _transfer(command, dossier)
        case ForwardDossier():
            return _forward(command, dossier)
        case RehomeDossier():
            return _rehome(command, dossier)
        case AssessFee():
            return _assess(command, dossier)
        case WaiveFee():
            return _waive(command, dossier)
        case CancelFee():
            return _cancel_fee(command, dossier)
        case LapseFee():
            return _lapse(command, dossier)
        case PayFee():
            return _pay(command, dossier)
        case RefundFee():
            return _refund(command, dossier)
        case RequestWithdrawal():
            return _request_withdrawal(command, dossier)
        case GrantWithdrawal():
            _require_state(dossier, Settlement.WITHDRAWAL_REQUESTED)
            _require_holder(command.by, dossier)
            return (ProcessingStopped(**_stamp(command, dossier), cause=StopCause.WITHDRAWN, explanation=Sealed()),)
        case DeclineWithdrawal():
            _require_state(dossier, Settlement.WITHDRAWAL_REQUESTED)
            _require_holder(command.by, dossier)
            require_reason(command.explanation)
            return (WithdrawalDeclined(**_stamp(command, dossier), explanation=command.explanation),)
        case StopProcessing():
            return _stop(command, dossier)
        case ApproveDossier():
            return _approve(command, dossier)
        case IssueResult():
            return _issue(command, dossier)
        case ReturnResult():
            return _return(command, dossier)
        case NoteDeadline():
            return _note_deadline(command, dossier)
        case NoteReceptionDeadline():
            return _late_reception(command, dossier) if command.reception_due_at == dossier.reception_due_at else ()
        case RecountDeadline():
            return _recount(command, dossier)
        case ExtendDeadline():
            return _extend(command, dossier)
        case RateDossier():
            return _rate(command, dossier)
        case ConfirmSynchronisation():
            return _confirm(command, dossier)
        case _:
            assert_never(command)


def _stamp(command: Command, dossier: Dossier) -> Stamp:
    return Stamp(code=dossier.code, at=command.at, by=command.by.actor_id, applicant_id=dossier.applicant_id)


def _require_exists(dossier: Dossier) -> None:
    if dossier.settlement is Settlement.ABSENT:
        raise wrong_state(Settlement.ABSENT)


def _require_state(dossier: Dossier, *allowed: Settlement) -> None:
    if dossier.settlement not in allowed:
        raise wrong_state(dossier.settlement)


def _require_holder(by: Actor, dossier: Dossier) -> None:
    if by.agency != dossier.holder:
        raise Refused("WRONG_AGENCY", agency=dossier.holder)


def _require_applicant(by: Actor, dossier: Dossier) -> None:
    if by.actor_id != dossier.applicant_id:
        raise Refused("NOT_APPLICANT")


def _require_on_behalf(by: Actor, dossier: Dossier) -> None:
    """The applicant, who submitted for them, or a receptionist of the holder for whom stands at the counter."""
    if "receptionist" in by.roles:
        _require_holder(by, dossier)
    elif by.actor_id != dossier.submitted_by:
        _require_applicant(by, dossier)


def _require_paid(dossier: Dossier, *conditions: FeeCondition) -> None:
    owed = sum(fee.amount for fee in dossier.fees if fee.finance is Finance.DUE and fee.condition in conditions)
    if owed:
        raise Refused("FEE_UNPAID", amount=str(owed))


def _submit(command: SubmitDossier, dossier: Dossier) -> Events:
    if dossier.settlement is not Settlement.ABSENT:
        raise Refused("ALREADY_SUBMITTED", code=dossier.code)
    return _submitted(command.submission, command.code, command.fee_id)


def require_acceptable(submission: Submission) -> None:
    """Raises Rejected as SubmitDossier is refused, whatever its code: what is refused takes none."""
    _submitted(submission, code="", fee_id="")


def _submitted(submission: Submission, code: str, fee_id: str) -> Events:
    if not submission.applicant_id or not submission.applicant_name:
        raise Refused("APPLICANT_REQUIRED")
    terms = submission.terms
    components = supplied(
        submission.components,
        terms.requirements,
        submission.channel,
        submission.uploaded,
        submission.documents,
        submission.reuse_consent,
        submission.others_documents,
    )
    if lacking := missing(components, terms.requirements):
        raise component_missing(lacking, terms.requirements)
    # What must be paid first is nobody's delay until it is.
    waits = bool(terms.fee_items) and terms.fee_condition is FeeCondition.RECEPTION
    reception_due = (
        None if waits else _reception_due(submission.reception_term, submission.reception_calendar, submission.at)
    )
    submitted = DossierSubmitted(
        code=code,
        applicant_id=submission.applicant_id,
        at=submission.at,
        by=submission.by.actor_id,
        procedure_code=terms.procedure_code,
        procedure_version=terms.procedure_version,
        channel=submission.channel,
        applicant_kind=submission.applicant_kind,
        applicant_name=submission.applicant_name,
        email=submission.email,
        phone=submission.phone,
        form=submission.form,
        components=components,
        place_of_submission=submission.place_of_submission,
        reception_agency=submission.reception_agency,
        competent_agency=submission.competent_agency,
        province=submission.province,
        delivery_method=submission.delivery_method,
        draft_id=submission.draft_id,
        reuse_consent=submission.reuse_consent,
        through=submission.through,
        claimed_exemptions=Sealed(",".join(submission.claimed_exemptions)),
        reception_due_at=reception_due,
        reception_term=submission.reception_term,
    )
    # What is owed for processing is assessed by an official while processing.
    if not terms.fee_items or terms.fee_condition is FeeCondition.PROCESSING:
        return (submitted,)
    stamp = Stamp(code=code, at=submission.at, by=submission.by.actor_id, applicant_id=submission.applicant_id)
    owed = tuple(item for item in terms.fee_items if item.amount or not item.waived)
    events: list[Event] = [submitted]
    if waived := sum(item.waived for item in terms.fee_items):
        codes, kinds = Sealed(",".join(terms.waiver.exemption_codes)), terms.waiver.document_kinds
        proofs = tuple(submission.documents[kind] for kind in kinds)
        events.append(
            FeeWaived(
                **stamp,
                fee_id=fee_id,
                amount=waived,
                exemptions=codes,
                reason=submission.exemption_reason,
                document_ids=proofs,
            )
        )
    if owed:
        fee = _fee(stamp, fee_id, owed, terms.fee_condition, submission.competent_agency, terms)
        events.append(replace(fee, of_form=True))
    return tuple(events)


def _reception_due(term: Term | None, calendar: Calendar | None, since: datetime) -> datetime | None:
    return due_at(calendar, term, since) if term and calendar else None


def _late_reception(command: Command, dossier: Dossier) -> Events:
    """The lateness is a fact of its own, once, whether or not the clock came by before the office answered."""
    due = dossier.reception_due_at
    if due is None or dossier.reception_passed is not None or not dossier.reception_overdue(command.at):
        return ()
    return (ReceptionDeadlinePassed(**_stamp(command, dossier), reception_due_at=due, agency=dossier.holder),)


def _fee(
    stamp: Stamp,
    fee_id: str,
    items: tuple[FeeItem, ...],
    condition: FeeCondition,
    agency: str,
    terms: Terms,
) -> FeeAssessed:
    total = sum(item.amount for item in items)
    if not items or any(item.amount <= 0 for item in items) or total > LARGEST_FEE:
        raise Refused("FEE_INVALID")
    if unknown := [item.charge_code for item in items if item.charge_code not in {"", *terms.charge_codes}]:
        raise Refused("CHARGE_UNKNOWN", procedure_code=terms.procedure_code, charge=", ".join(unknown))
    by = due_at(terms.calendar, terms.pay_within, stamp["at"]) if terms.pay_within else None
    # A result that waits for its fee is handed over when it is paid: there is nothing to stop.
    stops = by is not None and terms.stops_unpaid and condition is not FeeCondition.RESULT
    return FeeAssessed(
        **stamp,
        fee_id=fee_id,
        amount=total,
        items=items,
        condition=condition,
        agency=agency,
        pay_by=by,
        stops_unpaid=stops,
    )


def _receive(command: ReceiveDossier, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.NEWLY_REGISTERED)
    _require_holder(command.by, dossier)
    _require_paid(dossier, FeeCondition.RECEPTION)
    papers = {component.component_code for component in dossier.components if component.source in BY_HAND}
    if unknown := [each.component_code for each in command.paper_days if each.component_code not in papers]:
        raise Refused("COMPONENT_UNKNOWN", components=", ".join(unknown))
    received = _received(
        _stamp(command, dossier), command.receipt_number, command.by.agency, command.terms, command.route
    )
    received = replace(received, paper_days=command.paper_days)
    return (*_late_reception(command, dossier), received)


def _received(stamp: Stamp, receipt: str, agency: str, terms: Terms, route: Route) -> DossierReceived:
    due = due_at(terms.calendar, terms.term, route.counts_from or stamp["at"]) if terms.term else None
    return DossierReceived(
        **stamp,
        receipt_number=receipt,
        due_at=due,
        term=terms.term,
        calendar=terms.calendar.name,
        agency=agency,
        procedure_version=terms.procedure_version,
        **_step_after(0, terms),
        provisional=due is not None and is_provisional(terms.calendar, due),
        forward_by=route.forward_by,
        counts_from=route.counts_from,
    )


def _refuse(command: RefuseDossier, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.NEWLY_REGISTERED)
    _require_holder(command.by, dossier)
    require_reason(command.reason)
    return (*_late_reception(command, dossier), DossierRefused(**_stamp(command, dossier), reason=command.reason))


def _correct(command: CorrectForm, dossier: Dossier) -> Events:
    _require_author(command.by, dossier)
    if dossier.received_at is not None:
        raise wrong_state(dossier.settlement)
    _require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.SUPPLEMENT_REQUESTED)
    correction = command.correction
    new = supplied(
        command.components,
        _needed(correction, dossier),
        dossier.channel,
        command.uploaded,
        correction.documents,
        dossier.reuse_consent,
        command.others_documents,
    )
    corrected = _corrected(command, correction, dossier, _replaced(dossier.components, new))
    owed = _owed_anew(command, correction, dossier)
    # A fee that is assessed now hides no lateness of before.
    return (*(_late_reception(command, dossier) if owed else ()), replace(corrected, components=new), *owed)


def _needed(correction: Correction, dossier: Dossier) -> list[Requirement]:
    """What these answers ask for and the dossier does not hold."""
    lacking = missing(dossier.components, correction.terms.requirements)
    return [rule for rule in correction.terms.requirements if rule.component_code in lacking]


def _require_author(by: Actor, dossier: Dossier) -> None:
    """The applicant; or who wrote the form down for the applicant, at the counter an official of that agency."""
    at_counter = dossier.channel is not Channel.ONLINE and by.agency == dossier.place_of_submission
    if not (at_counter and "receptionist" in by.roles) and by.actor_id != dossier.submitted_by:
        _require_applicant(by, dossier)


def _corrected(
    command: CorrectForm | SupplySupplement, correction: Correction, dossier: Dossier, held: Sequence[Component]
) -> FormCorrected:
    if correction.version != dossier.corrections:
        raise Refused("OVERLOADED")  # it was compared with a form that was corrected meanwhile
    if not correction.changed:
        raise Refused("NOTHING_CORRECTED")
    if dossier.corrections >= MOST_CORRECTIONS:
        raise Refused("TOO_MANY_CORRECTIONS", limit=str(MOST_CORRECTIONS))
    if lacking := missing(held, correction.terms.requirements):
        raise component_missing(lacking, correction.terms.requirements)
    return FormCorrected(**_stamp(command, dossier), form=correction.form)


def _owed_anew(command: CorrectForm | SupplySupplement, correction: Correction, dossier: Dossier) -> Events:
    """What the answers owe takes the place of what those before owed. What an official decided about the fee stands."""
    terms, now = correction.terms, correction.terms.fee_items
    if now == correction.before or terms.fee_condition is FeeCondition.PROCESSING:
        return ()
    standing = [fee for fee in dossier.fees if fee.of_form and fee.finance in (Finance.DUE, Finance.PAID)]
    if not standing and total(correction.before):
        return ()
    kept, ended = _kept(standing, total(now))
    items = left(now, [item for fee in kept for item in fee.items])
    stamp, agency = _stamp(command, dossier), dossier.competent_agency
    cancelled = [_ended(command, correction, fee, dossier, again=bool(items)) for fee in ended]
    waived = _waived(stamp, correction)
    if not items:
        return *waived, *cancelled
    received = dossier.received_at is not None
    condition = FeeCondition.RESULT if received else terms.fee_condition
    fee = replace(_fee(stamp, correction.fee_id, items, condition, agency, terms), of_form=True)
    before = next((one for one in ended if one.finance is Finance.DUE and one.condition is condition), None)
    # The time to pay does not begin anew.
    return *waived, *cancelled, replace(fee, pay_by=before.pay_by, stops_unpaid=before.stops_unpaid) if before else fee


def _kept(standing: Sequence[Fee], owed: int) -> tuple[list[Fee], list[Fee]]:
    """Of what was paid as much as is still owed: money goes back only whole, fee by fee. What is not paid is assessed anew."""
    kept: list[Fee] = []
    for fee in standing:
        if fee.finance is Finance.PAID and fee.amount + sum(one.amount for one in kept) <= owed:
            kept.append(fee)
    return kept, [fee for fee in standing if fee not in kept]


def _ended(
    command: CorrectForm | SupplySupplement, correction: Correction, fee: Fee, dossier: Dossier, *, again: bool
) -> FeeCancelled:
    waited = fee.finance is Finance.DUE and not again
    calendar = correction.reception_calendar if waited else None
    return _fee_cancelled(command, correction.reason, fee, dossier, reception_calendar=calendar)


def _waived(stamp: Stamp, correction: Correction) -> Events:
    terms = correction.terms
    off = sum(item.waived for item in terms.fee_items)
    if not off:
        return ()
    proofs = tuple(correction.documents[kind] for kind in terms.waiver.document_kinds)
    return (
        FeeWaived(
            **stamp,
            fee_id=correction.fee_id,
            amount=off,
            exemptions=Sealed(",".join(terms.waiver.exemption_codes)),
            reason=Sealed(),
            document_ids=proofs,
        ),
    )


def _request_supplement(command: RequestSupplement, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    require_reason(command.explanation)
    faults = command.data_faults
    if faults and not command.one_notice:
        raise Refused("NOTICE_NOT_IN_FORCE")
    instead = (fault.component_code for fault in faults if fault.component_code)
    codes = tuple(dict.fromkeys((*command.component_codes, *instead)))
    if not codes and not faults and not command.form_fields:
        raise Refused("NO_COMPONENTS")
    known = {rule.component_code for rule in command.terms.requirements}
    if unknown := [code for code in codes if code not in known]:
        raise Refused("COMPONENT_UNKNOWN", components=", ".join(unknown))
    if command.unknown_fields:
        raise Refused("FORM_FIELD_UNKNOWN", fields=", ".join(command.unknown_fields))
    fields = tuple(dict.fromkeys(command.form_fields))
    more = sorted(_asked(codes, fields, faults) - dossier.notified)
    if command.one_notice and dossier.notified and more:
        raise Refused("ALREADY_NOTIFIED", more=", ".join(more))
    requested = SupplementRequested(
        **_stamp(command, dossier),
        component_codes=codes,
        explanation=command.explanation,
        form_fields=fields,
        data_faults=faults,
    )
    return (*_late_reception(command, dossier), requested)


def _asked(codes: tuple[str, ...], fields: tuple[str, ...], faults: tuple[DataFault, ...]) -> frozenset[str]:
    return frozenset(codes) | frozenset(fields) | {fault.database for fault in faults}


def _supply(command: SupplySupplement, dossier: Dossier) -> Events:
    _require_on_behalf(command.by, dossier)
    _require_state(dossier, Settlement.SUPPLEMENT_REQUESTED)
    if dossier.received_at is None:
        _require_paid(dossier, FeeCondition.RECEPTION)
    needed = _needed(command.correction, dossier) if command.correction else []
    asked = [rule for rule in command.terms.requirements if rule.component_code in dossier.asked]
    more = [rule for rule in needed if rule.component_code not in dossier.asked]
    # Asked for again means that what is there, a reused document too, does not do: nothing is filled in by itself.
    components = supplied(
        command.components,
        [*asked, *more],
        dossier.channel,
        command.uploaded,
        command.documents,
        False,
        command.others_documents,
    )
    given = {component.component_code for component in command.components}
    if lacking := [code for code in dossier.asked if code not in given]:
        raise component_missing(lacking, command.terms.requirements)
    given |= {rule.component_code for rule in more}
    new = tuple(component for component in components if component.component_code in given)
    corrected = _corrections_asked(command, dossier, new)
    stamp = _stamp(command, dossier)
    supply = SupplementSupplied(**stamp, components=new, **_resumed(dossier, command.at, command.terms))
    if dossier.received_at is not None:
        return *corrected, supply
    # The portal leads from "supplement requested" to "being processed" only: the supplement makes the reception valid.
    received = _received(
        stamp, command.receipt_number, dossier.reception_agency, command.reception_terms, command.route
    )
    return *corrected, supply, received


def _corrections_asked(command: SupplySupplement, dossier: Dossier, new: Sequence[Component]) -> Events:
    correction, asked = command.correction, dossier.asked_fields
    if correction is None:
        if asked and not dossier.answered:
            raise Refused("FORM_MISSING", fields=", ".join(asked))
        return ()
    if beyond := [path for path in correction.changed if not any(_within(path, field) for field in asked)]:
        raise Refused("FORM_FIELD_NOT_ASKED", fields=", ".join(beyond), asked=", ".join(asked) or "-")
    corrected = _corrected(command, correction, dossier, _replaced(dossier.components, new))
    owed = _owed_anew(command, correction, dossier)
    if any(isinstance(event, FeeAssessed) and event.condition is FeeCondition.RECEPTION for event in owed):
        before, after = total(correction.before), total(correction.terms.fee_items)
        raise Refused("CORRECTION_CHANGES_FEE", before=str(before), after=str(after))
    return corrected, *owed


def _within(path: str, field: str) -> bool:
    """Whether the one answer is the other, or part of it."""
    return f"{path}.".startswith(f"{field}.")


def _replaced(held: Sequence[Component], new: Sequence[Component]) -> tuple[Component, ...]:
    codes = {component.component_code for component in new}
    return (*(component for component in held if component.component_code not in codes), *new)


class Resumed(TypedDict):
    """When it is due once time counts again. `calendar`: where it is another version than before."""

    due_at: datetime | None
    provisional: bool
    calendar: str


NOT_RESUMED = Resumed(due_at=None, provisional=False, calendar="")


def _resumed(dossier: Dossier, at: datetime, terms: Terms) -> Resumed:
    if dossier.due_at is None or dossier.paused_at is None:
        return NOT_RESUMED
    calendar = terms.calendar
    due = _counted(dossier, calendar, (*dossier.ended_pauses, _pause(dossier.paused_at, at)))
    name = calendar.name if calendar.name != dossier.calendar else ""
    return Resumed(due_at=due, provisional=is_provisional(calendar, due), calendar=name)


def _pause(paused_at: datetime, resumed_at: datetime) -> tuple[datetime, datetime]:
    # Clocks of two machines differ.
    return paused_at, max(resumed_at, paused_at)


def _counted(dossier: Dossier, calendar: Calendar, pauses: tuple[tuple[datetime, datetime], ...]) -> datetime:
    """From the beginning by this version: what was counted by another may have counted other days."""
    assert dossier.term is not None
    assert dossier.counts_from is not None
    if dossier.appointed is not None:
        return moved(calendar, dossier.term, dossier.appointed, pauses)
    return counted(calendar, dossier.term, dossier.counts_from, pauses)


class NextStep(TypedDict):
    """Both empty after the last."""

    next_step_code: str
    next_role: str


def _step_after(done: int, terms: Terms) -> NextStep:
    if done == len(terms.steps):
        return NextStep(next_step_code="", next_role="")
    return NextStep(next_step_code=terms.steps[done].step_code, next_role=terms.steps[done].role)


def _next_step(dossier: Dossier, terms: Terms) -> StepRule | None:
    return terms.steps[len(dossier.done)] if len(dossier.done) < len(terms.steps) else None


def _require_step(step_code: str, dossier: Dossier, terms: Terms) -> StepRule:
    following = _next_step(dossier, terms)
    if following is None or following.step_code != step_code:
        raise Refused("STEP_UNKNOWN", step=step_code, next=following.step_code if following else "-")
    return following


def _assign(command: AssignStep, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.RECEIVED, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    step = _require_step(command.step_code, dossier, command.terms)
    assignee = command.assignee_id or command.by.actor_id
    if assignee == command.by.actor_id and step.role not in command.by.roles:
        raise Refused("STEP_ROLE_MISSING", step=step.step_code, role=step.role)
    if assignee != command.by.actor_id and step.role not in command.assignee_roles:
        raise Refused("ASSIGNEE_UNKNOWN", assignee_id=assignee, role=step.role, agency=command.by.agency)
    if assignee == dossier.applicant_id:
        raise Refused("OWN_AFFAIR")
    stamp = _stamp(command, dossier)
    assigned = StepAssigned(
        **stamp, step_code=step.step_code, role=step.role, assignee_id=assignee, agency=command.by.agency
    )
    if dossier.settlement is Settlement.RECEIVED:
        return ProcessingStarted(**stamp, agency=command.by.agency), assigned
    return (assigned,)


def _complete(command: CompleteStep, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    step = _require_step(command.step_code, dossier, command.terms)
    if step.role not in command.by.roles:
        raise Refused("STEP_ROLE_MISSING", step=step.step_code, role=step.role)
    if dossier.step_code != step.step_code or dossier.assignee_id != command.by.actor_id:
        raise Refused("STEP_NOT_YOURS", step=step.step_code)
    following = _step_after(len(dossier.done) + 1, command.terms)
    stamp = _stamp(command, dossier)
    return (StepCompleted(**stamp, step_code=step.step_code, note=command.note, agency=command.by.agency, **following),)


def _transfer(command: TransferDossier, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.RECEIVED, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    require_reason(command.reason)
    if command.to_agency == dossier.holder:
        raise Refused("SAME_AGENCY", agency=dossier.holder)
    if dossier.approved:
        raise Refused("ALREADY_APPROVED")
    return (_transferred(command, dossier, command.to_agency, command.calendar),)


def _forward(command: ForwardDossier, dossier: Dossier) -> Events:
    """Nothing to say if it is there, or went elsewhere, or waits for somebody."""
    here = dossier.holder == dossier.reception_agency and dossier.competent_received_at is None
    if dossier.settlement not in (Settlement.RECEIVED, Settlement.BEING_PROCESSED) or not here:
        return ()
    return (_transferred(command, dossier, dossier.competent_agency, command.calendar),)


def _transferred(
    command: TransferDossier | ForwardDossier, dossier: Dossier, to: str, calendar: Calendar | None
) -> DossierTransferred:
    """The first one says that the competent agency got it; none restarts the clock."""
    reached = dossier.competent_received_at is None
    transferred = DossierTransferred(
        **_stamp(command, dossier),
        from_agency=dossier.holder,
        to_agency=to,
        reason=command.reason,
        reached=reached,
    )
    if not (reached and dossier.across_boundaries and dossier.term and calendar):
        return transferred
    due = due_at(calendar, dossier.term, command.at)
    return replace(transferred, due_at=due, calendar=calendar.name, provisional=is_provisional(calendar, due))


def _rehome(command: RehomeDossier, dossier: Dossier) -> Events:
    """Nothing to say if the dossier is done, or names the closed agency nowhere."""
    homes = (dossier.reception_agency, dossier.competent_agency, dossier.holder)
    if not dossier.settlement.open or command.closed not in homes:
        return ()
    stamp = _stamp(command, dossier)
    return (
        DossierTransferred(
            **stamp, from_agency=command.closed, to_agency=command.successor, reason=command.reason, succession=True
        ),
    )


def _assess(command: AssessFee, dossier: Dossier) -> Events:
    if command.condition is FeeCondition.RECEPTION:
        _require_state(dossier, Settlement.NEWLY_REGISTERED)
    else:
        _require_state(dossier, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    agency = dossier.competent_agency
    fee = _fee(_stamp(command, dossier), command.fee_id, command.items, command.condition, agency, command.terms)
    return (*_late_reception(command, dossier), fee)


def _known_fee(fee_id: str, dossier: Dossier) -> Fee:
    for fee in dossier.fees:
        if fee.fee_id == fee_id:
            return fee
    raise Refused("FEE_UNKNOWN", fee_id=fee_id)


def _unpaid_fee(command: WaiveFee | CancelFee, dossier: Dossier) -> Fee:
    _require_state(dossier, *OPEN, Settlement.PROCESSED)
    _require_holder(command.by, dossier)
    require_reason(command.reason)
    fee = _known_fee(command.fee_id, dossier)
    _require_due(fee)
    return fee


def _require_due(fee: Fee) -> None:
    match fee.finance:
        case Finance.CANCELLED:
            raise Refused("FEE_CANCELLED", fee_id=fee.fee_id)
        case Finance.REFUNDED:
            raise Refused("FEE_REFUNDED", fee_id=fee.fee_id)
        case Finance.PAID:
            raise Refused("FEE_SETTLED", fee_id=fee.fee_id)


def _waive(command: WaiveFee, dossier: Dossier) -> Events:
    fee = _unpaid_fee(command, dossier)
    exempt = next((known for known in command.terms.exemptions if known.code == command.exemption_code), None)
    if exempt is None:
        raise Refused("EXEMPTION_UNKNOWN", procedure_code=dossier.procedure_code, exemption=command.exemption_code)
    items = tuple(exempt.of(item) for item in fee.items)
    owed = tuple(item for item in items if item.amount)
    waived = fee.amount - sum(item.amount for item in owed)
    if not waived:
        raise Refused("EXEMPTION_WITHOUT_GAIN", exemption=exempt.code, fee_id=fee.fee_id)
    stamp = _stamp(command, dossier)
    granted = FeeWaived(
        **stamp, fee_id=fee.fee_id, amount=waived, exemptions=Sealed(exempt.code), reason=command.reason
    )
    calendar = None if owed else command.reception_calendar
    ended = _fee_cancelled(command, command.reason, fee, dossier, command.terms, calendar)
    if not owed:
        return granted, ended
    rest = _fee(stamp, command.left_id, owed, fee.condition, dossier.competent_agency, command.terms)
    # The time to pay does not begin anew.
    return granted, ended, replace(rest, pay_by=fee.pay_by, stops_unpaid=fee.stops_unpaid, of_form=fee.of_form)


def _cancel_fee(command: CancelFee, dossier: Dossier) -> Events:
    fee = _unpaid_fee(command, dossier)
    return (_fee_cancelled(command, command.reason, fee, dossier, command.terms, command.reception_calendar),)


def _fee_cancelled(
    command: Command,
    reason: Sealed,
    fee: Fee,
    dossier: Dossier,
    terms: Terms | None = None,
    reception_calendar: Calendar | None = None,
) -> FeeCancelled:
    resumed = _resumed(dossier, command.at, terms) if terms and _ends_pause(fee, dossier) else NOT_RESUMED
    return FeeCancelled(
        **_stamp(command, dossier),
        fee_id=fee.fee_id,
        amount=fee.amount,
        condition=fee.condition,
        reason=reason,
        **resumed,
        reception_due_at=_lets_receive(fee, dossier, reception_calendar, command.at),
        paid=fee.finance is Finance.PAID,
    )


def _lapse(command: LapseFee, dossier: Dossier) -> Events:
    """Nothing to say if it was paid or cancelled meanwhile, or the dossier waits for something else."""
    fee = _known_fee(command.fee_id, dossier)
    waiting = dossier.settlement in (
        Settlement.NEWLY_REGISTERED,
        Settlement.SUPPLEMENT_REQUESTED,
        Settlement.FINANCIAL_OBLIGATION_REQUESTED,
    )
    over = fee.pay_by is not None and command.at > fee.pay_by
    if fee.finance is not Finance.DUE or not (waiting and over and fee.stops_unpaid):
        return ()
    return _stopped(command, StopCause.NOT_PAID, command.explanation, dossier)


def _stopped(command: StopProcessing | LapseFee, cause: StopCause, explanation: Sealed, dossier: Dossier) -> Events:
    """The portal leads from "financial obligation requested" to "being processed" only: what is asked for ends before."""
    asked = [
        _fee_cancelled(command, explanation, fee, dossier)
        for fee in dossier.fees
        if fee.finance is Finance.DUE and fee.condition is FeeCondition.PROCESSING
    ]
    return *asked, ProcessingStopped(**_stamp(command, dossier), cause=cause, explanation=explanation)


def _pay(command: PayFee, dossier: Dossier) -> Events:
    fee = _known_fee(command.fee_id, dossier)
    if fee.finance is Finance.CANCELLED:
        return ()  # it was being paid meanwhile: the payment service gives the money back
    _require_due(fee)
    if command.amount < fee.amount:
        raise Refused("FEE_AMOUNT_WRONG", fee_id=fee.fee_id, amount=str(fee.amount))
    resumed = _resumed(dossier, command.at, command.terms) if _ends_pause(fee, dossier) else NOT_RESUMED
    paid = FeePaid(
        **_stamp(command, dossier),
        fee_id=fee.fee_id,
        amount=command.amount,
        payment_id=command.payment_id,
        **resumed,
        reception_due_at=_lets_receive(fee, dossier, command.reception_calendar, command.at),
    )
    return (paid,)


def _lets_receive(fee: Fee, dossier: Dossier, calendar: Calendar | None, at: datetime) -> datetime | None:
    """By when it is to be received, where nothing else must be paid before."""
    waited = dossier.settlement is Settlement.NEWLY_REGISTERED and fee.condition is FeeCondition.RECEPTION
    lets = waited and not _others_due(fee, dossier, FeeCondition.RECEPTION)
    return _reception_due(dossier.reception_term, calendar, at) if lets else None


def _ends_pause(fee: Fee, dossier: Dossier) -> bool:
    waits = dossier.settlement is Settlement.FINANCIAL_OBLIGATION_REQUESTED
    return waits and not _others_due(fee, dossier, FeeCondition.PROCESSING)


def _others_due(fee: Fee, dossier: Dossier, condition: FeeCondition) -> bool:
    return any(
        other.finance is Finance.DUE and other.condition is condition and other.fee_id != fee.fee_id
        for other in dossier.fees
    )


def _refund(command: RefundFee, dossier: Dossier) -> Events:
    fee = _known_fee(command.fee_id, dossier)
    if fee.finance is Finance.CANCELLED:
        return ()
    if fee.finance is Finance.REFUNDED:
        raise Refused("FEE_REFUNDED", fee_id=fee.fee_id)
    if fee.finance is not Finance.PAID:
        raise Refused("FEE_UNPAID", amount=str(fee.amount))
    return (
        FeeRefunded(
            **_stamp(command, dossier), fee_id=fee.fee_id, amount=command.amount, payment_id=command.payment_id
        ),
    )


def _request_withdrawal(command: RequestWithdrawal, dossier: Dossier) -> Events:
    _require_exists(dossier)
    _require_on_behalf(command.by, dossier)
    _require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED)
    return (WithdrawalRequested(**_stamp(command, dossier), reason=command.reason),)


def _stop(command: StopProcessing, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.NEWLY_REGISTERED, Settlement.BEING_PROCESSED, *PAUSED)
    _require_holder(command.by, dossier)
    require_reason(command.explanation)
    if command.cause is StopCause.WITHDRAWN:
        raise wrong_state(dossier.settlement)
    stopped = _stopped(command, command.cause, command.explanation, dossier)
    return (*_late_reception(command, dossier), *stopped)


def _approve(command: ApproveDossier, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.BEING_PROCESSED)
    if command.by.agency != dossier.competent_agency or dossier.holder != dossier.competent_agency:
        raise Refused("WRONG_AGENCY", agency=dossier.competent_agency)
    if step := _next_step(dossier, command.terms):
        raise Refused("STEPS_INCOMPLETE", step=step.step_code)
    if dossier.approved:
        raise Refused("ALREADY_APPROVED")
    return (DossierApproved(**_stamp(command, dossier), agency=command.by.agency),)


def _issue(command: IssueResult, dossier: Dossier) -> Events:
    _require_state(dossier, Settlement.BEING_PROCESSED)
    _require_holder(command.by, dossier)
    if not dossier.approved:
        raise Refused("NOT_APPROVED")
    if command.sha256 not in command.uploaded:
        raise Refused("ATTACHMENT_UNKNOWN", sha256=command.sha256, component="result")
    file = command.uploaded[command.sha256]
    require_result(file)
    return (
        ResultIssued(
            **_stamp(command, dossier),
            result_number=command.result_number,
            document_kind=command.terms.document_kind,
            sha256=file.sha256,
            media_type=file.media_type,
            size=file.size,
            # An apology sets a new appointment; it does not make a late result timely.
            on_time=dossier.passed is None and (dossier.due_at is None or command.at <= dossier.due_at),
            agency=command.by.agency,
            procedure_code=dossier.procedure_code,
        ),
    )


def _return(command: ReturnResult, dossier: Dossier) -> Events:
    if dossier.settlement.open:
        raise Refused("NO_RESULT")
    _require_state(dossier, Settlement.PROCESSED)
    # Handed over where it was handed in, or where it was settled.
    if command.by.agency not in (dossier.reception_agency, dossier.holder):
        raise Refused("WRONG_AGENCY", agency=dossier.reception_agency)
    _require_paid(dossier, *FeeCondition)
    return (ResultReturned(**_stamp(command, dossier), delivery_method=command.delivery_method),)


def _note_deadline(command: NoteDeadline, dossier: Dossier) -> Events:
    """Nothing to say if the due date moved, was noted before or does not count any more."""
    if command.due_at != dossier.due_at or dossier.passed == dossier.due_at or not dossier.overdue(command.at):
        return ()
    return (DeadlinePassed(**_stamp(command, dossier), due_at=command.due_at, agency=dossier.holder),)


def _recount(command: RecountDeadline, dossier: Dossier) -> Events:
    """Nothing to say if no time runs any more, or if it was counted so before."""
    due, name = dossier.due_at, command.calendar.name
    if not dossier.settlement.open or due is None or name == dossier.calendar:
        return ()
    if not dossier.paused and due <= command.at:
        return ()
    again = _counted(dossier, command.calendar, dossier.ended_pauses)
    if again <= command.at < due:
        # Nobody is late because a holiday was given up.
        again = due
    return (
        DeadlineRecounted(
            **_stamp(command, dossier),
            original_due_at=due,
            due_at=again,
            calendar=name,
            original_calendar=dossier.calendar,
            provisional=is_provisional(command.calendar, again),
            legal_basis=command.legal_basis,
            agency=dossier.holder,
        ),
    )


def _extend(command: ExtendDeadline, dossier: Dossier) -> Events:
    _require_state(dossier, *OPEN)
    _require_holder(command.by, dossier)
    require_reason(command.reason)
    if dossier.due_at is None or not dossier.overdue(command.at):
        raise Refused("NOT_OVERDUE", due_at=dossier.due_at.isoformat() if dossier.due_at else "-")
    if command.due_at <= command.at:
        raise Refused("DUE_DATE_PAST")
    stamp = _stamp(command, dossier)
    # The lateness is a fact of its own, whether or not the clock came by before the apology.
    passed = (
        ()
        if dossier.passed == dossier.due_at
        else (DeadlinePassed(**stamp, due_at=dossier.due_at, agency=dossier.holder),)
    )
    return (
        *passed,
        DeadlineExtended(
            **stamp, original_due_at=dossier.due_at, due_at=command.due_at, reason=command.reason, signer=command.signer
        ),
    )


def _rate(command: RateDossier, dossier: Dossier) -> Events:
    _require_exists(dossier)
    _require_applicant(command.by, dossier)
    if dossier.settlement.open:
        raise wrong_state(dossier.settlement)
    if dossier.rated:
        raise Refused("ALREADY_RATED")
    if not 1 <= command.score <= 5:
        raise Refused("SCORE_INVALID")
    return (DossierRated(**_stamp(command, dossier), score=command.score, comment=command.comment),)


def _confirm(command: ConfirmSynchronisation, dossier: Dossier) -> Events:
    _require_exists(dossier)
    if not 0 <= command.peer_revision <= dossier.revision:
        raise Refused("REVISION_CONFLICT", revision=str(dossier.revision), expected=str(command.peer_revision))
    return (
        DossierSynchronised(**_stamp(command, dossier), peer=command.by.actor_id, peer_revision=command.peer_revision),
    )


_fact_of = course.reader(get_args(Event))


def evolve(dossier: Dossier, event: Event) -> Dossier:
    dossier = replace(dossier, revision=dossier.revision + 1)
    fact = _fact_of(event)
    return _detailed(course.fold(dossier, fact) if fact else dossier, event)


def _detailed(dossier: Dossier, event: Event) -> Dossier:
    """What the public course does not tell."""
    match event:
        case DossierSubmitted():
            return replace(
                dossier,
                code=event.code,
                applicant_id=event.applicant_id,
                procedure_code=event.procedure_code,
                channel=event.channel,
                submitted_by=event.by,
                submitted_at=event.at,
                place_of_submission=event.place_of_submission,
                components=event.components,
                reception_term=event.reception_term,
                reuse_consent=event.reuse_consent,
            )
        case FeeAssessed():
            of_form = event.of_form or (event.at, event.by) == (dossier.submitted_at, dossier.submitted_by)
            fee = Fee(
                event.fee_id,
                event.amount,
                event.condition,
                items=event.items,
                pay_by=event.pay_by,
                stops_unpaid=event.stops_unpaid,
                of_form=of_form,
            )
            return replace(dossier, fees=(*dossier.fees[:-1], fee))
        case DossierReceived():
            begin = event.counts_from or event.at
            return replace(dossier, term=event.term, counts_from=begin, notified=frozenset())
        case SupplementRequested():
            return replace(
                dossier,
                asked=event.component_codes,
                asked_fields=event.form_fields,
                answered=False,
                data_faults=event.data_faults,
                notified=dossier.notified | _asked(event.component_codes, event.form_fields, event.data_faults),
            )
        case FormCorrected():
            components = _replaced(dossier.components, event.components)
            return replace(dossier, corrections=dossier.corrections + 1, answered=True, components=components)
        case SupplementSupplied():
            components = _replaced(dossier.components, event.components)
            return replace(dossier, components=components, asked=(), asked_fields=(), data_faults=(), approved=False)
        case StepAssigned():
            return replace(dossier, step_code=event.step_code, assignee_id=event.assignee_id)
        case StepCompleted():
            return replace(dossier, done=(*dossier.done, event.step_code), step_code="", assignee_id="")
        case DossierTransferred():
            if event.succession:
                return dossier
            counts_from = event.at if event.due_at else dossier.counts_from
            return replace(dossier, counts_from=counts_from, step_code="", assignee_id="", approved=False)
        case DossierApproved():
            return replace(dossier, approved=True)
        case DeadlineExtended():
            return replace(dossier, appointed=event.due_at)
        case DossierRated():
            return replace(dossier, rated=True)
        case DossierSynchronised():
            return replace(dossier, synchronised=max(dossier.synchronised, event.peer_revision))
        case (
            FeeWaived()
            | FeeCancelled()
            | FeePaid()
            | FeeRefunded()
            | DossierRefused()
            | ProcessingStarted()
            | WithdrawalRequested()
            | WithdrawalDeclined()
            | ProcessingStopped()
            | ResultIssued()
            | ResultReturned()
            | DeadlinePassed()
            | DeadlineRecounted()
            | ReceptionDeadlinePassed()
        ):
            return dossier
        case _:
            assert_never(event)


dossier = Decider(Dossier(), decide, evolve)
