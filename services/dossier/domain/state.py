"""A dossier as its rules see it, folded from its facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never, get_args

from services.chassis.decider import replace
from services.dossier.domain.components import with_replaced
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
    StepAssigned,
    StepCompleted,
    SupplementRequested,
    SupplementSupplied,
    WithdrawalDeclined,
    WithdrawalRequested,
)
from services.dossier.values import Channel, Component, DataFault, Delivery, FeeItem, Synchronisation
from services.law import course
from services.law.course import Finance, Settlement
from services.law.deadlines import Term

OPEN = tuple(state for state in Settlement if state.open)
PAUSED = tuple(state for state in Settlement if state.paused)


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
    """Components that the last supplement request named; empty once supplied."""
    asked_fields: tuple[str, ...] = ()
    """The same of answers, as paths ("children.0.name")."""
    corrections: int = 0
    """How often the form was corrected."""
    answered: bool = False
    """It was corrected since answers were asked for."""
    reuse_consent: bool = False
    submitted_at: datetime | None = None
    term: Term | None = None
    counts_from: datetime | None = None
    """The moment from which `term` is counted."""
    appointed: datetime | None = None
    """The due date of an apology, from which later pauses are counted."""
    reception_term: Term | None = None
    notified: frozenset[str] = frozenset()
    """All that was asked for since submission, or since reception: component codes, form paths, databases. Under the rule of one
    notice nothing may be added."""
    data_faults: tuple[DataFault, ...] = ()
    done: tuple[str, ...] = ()
    """Codes of completed steps; the next is terms.steps[len(done)]."""
    step_code: str = ""
    """The step that is assigned now; empty between steps."""
    assignee_id: str = ""
    approved: bool = False
    fees: tuple[Fee, ...] = ()
    rated: bool = False
    revision: int = -1
    """Of the last event folded; -1 before the first."""
    synchronised: int = -1
    """Our newest revision that the peer confirmed; -1 for none."""

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
            case (
                Settlement.ABSENT
                | Settlement.NEWLY_REGISTERED
                | Settlement.RECEIVED
                | Settlement.NOT_RECEIVED
                | Settlement.BEING_PROCESSED
                | Settlement.SUPPLEMENT_REQUESTED
                | Settlement.FINANCIAL_OBLIGATION_REQUESTED
                | Settlement.WITHDRAWAL_REQUESTED
                | Settlement.PROCESSING_STOPPED
            ):
                return Delivery.NOT_READY
            case _:
                assert_never(self.settlement)

    @property
    def synchronisation(self) -> Synchronisation:
        """PENDING while the peer lacks an event.

        Our note that it confirmed (DossierSynchronised) is an event too, which it need not have: hence the - 1.
        """
        return Synchronisation.DONE if self.synchronised >= self.revision - 1 else Synchronisation.PENDING

    @property
    def paused(self) -> bool:
        return self.settlement.paused

    @property
    def paused_at(self) -> datetime | None:
        return self.pause.since if self.pause else None

    @property
    def ended_pauses(self) -> tuple[tuple[datetime, datetime], ...]:
        """The pauses that ended since the count began."""
        return tuple(span(each.since, each.until) for each in self.pauses[self.counted :] if each.until)

    def reception_overdue(self, at: datetime) -> bool:
        due = self.reception_due_at
        return self.settlement is Settlement.NEWLY_REGISTERED and due is not None and at > due

    def overdue(self, at: datetime) -> bool:
        return self.settlement.open and not self.paused and self.due_at is not None and at > self.due_at


def span(paused_at: datetime, resumed_at: datetime) -> tuple[datetime, datetime]:
    # Clocks of two machines differ.
    return paused_at, max(resumed_at, paused_at)


def notice_of(codes: tuple[str, ...], fields: tuple[str, ...], faults: tuple[DataFault, ...]) -> frozenset[str]:
    """All that a notice asks for: a stage has one, and it is not asked for more later."""
    return frozenset(codes) | frozenset(fields) | {fault.database for fault in faults}


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
                notified=dossier.notified | notice_of(event.component_codes, event.form_fields, event.data_faults),
            )
        case FormCorrected():
            components = with_replaced(dossier.components, event.components)
            return replace(dossier, corrections=dossier.corrections + 1, answered=True, components=components)
        case SupplementSupplied():
            components = with_replaced(dossier.components, event.components)
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
