"""What happened to dossiers, as the rules in domain/ decide it.

Each class has its message in protos/motcua/dossier/events/v1/events.proto, which says more of every field. Everywhere: `code` the
dossier, `at` and `by` when and who, `applicant_id` whose dossier it is, `agency` the office that acts, or that owes what is spoken
of. `due_at`, `provisional`, `calendar`: the new due date, whether it rests on days whose holidays are not announced, and the
calendar's version by which it was counted, empty where that is as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from services.chassis.decider import Sealed
from services.dossier.values import (
    ApplicantKind,
    Channel,
    Component,
    DataFault,
    DeliveryMethod,
    FeeItem,
    PaperDay,
    StopCause,
)
from services.law.course import FeeCondition
from services.law.deadlines import Term

NO_TEXT = Sealed()


class Stamp(TypedDict):
    """What every fact of a dossier says: of which dossier it is, when it happened, by whom, and whose dossier it is."""

    code: str
    at: datetime
    by: str
    applicant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierSubmitted:
    """`place_of_submission`: where it was handed in, an agency's code or "online".

    `through`: the system that handed it in, or by which the applicant came; empty for none. `claimed_exemptions`: codes with a
    comma between, for an official to confirm. `reception_due_at`: online, by when it is to be received; None while a fee is to be
    paid before.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    procedure_code: str
    procedure_version: int
    channel: Channel
    applicant_kind: ApplicantKind
    applicant_name: Sealed
    email: Sealed
    phone: Sealed
    form: Sealed
    components: tuple[Component, ...]
    place_of_submission: str
    reception_agency: str
    competent_agency: str
    province: str
    delivery_method: DeliveryMethod
    draft_id: str
    reuse_consent: bool
    through: str = ""
    claimed_exemptions: Sealed = NO_TEXT
    reception_due_at: datetime | None = None
    reception_term: Term | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeAssessed:
    """`amount`: in đồng, the sum of the items.

    `agency`: the competent one, whose account receives the money. `stops_unpaid`: the dossier stops if the fee is not paid by
    `pay_by`. `of_form`: follows from the form's answers and changes with them.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    fee_id: str
    amount: int
    items: tuple[FeeItem, ...]
    condition: FeeCondition
    agency: str
    pay_by: datetime | None = None
    stops_unpaid: bool = False
    of_form: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeWaived:
    """`fee_id`: the fee that `amount` is not owed of.

    `exemptions`: codes with a comma between. `document_ids`: the warehouse's documents that it follows from.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    fee_id: str
    amount: int
    exemptions: Sealed
    reason: Sealed
    document_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeCancelled:
    """`due_at`: the dossier's new due date where this ends a pause, else None. `reception_due_at`: where this was the last fee that
    reception waited for. `paid`: it had been paid, the money goes back."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    fee_id: str
    amount: int
    condition: FeeCondition
    reason: Sealed
    due_at: datetime | None
    provisional: bool = False
    calendar: str = ""
    reception_due_at: datetime | None = None
    paid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePaid:
    """`due_at`: the dossier's new due date where this ends a pause, else None. `reception_due_at`: where this was the last fee that
    reception waited for."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    fee_id: str
    amount: int
    payment_id: str
    due_at: datetime | None
    provisional: bool = False
    calendar: str = ""
    reception_due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRefunded:
    code: str
    at: datetime
    by: str
    applicant_id: str
    fee_id: str
    amount: int
    payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierReceived:
    """`procedure_version`: of the law of this day, which the dossier keeps.

    `next_step_code`, `next_role`: the first internal step. `forward_by`: until when it passes to the competent agency, where that
    is another one. `counts_from`: taken across boundaries, when the competent agency is expected to get it; the time counts from
    then. `paper_days`: of papers that the official looked at.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    receipt_number: str
    due_at: datetime | None
    term: Term | None
    calendar: str
    agency: str
    procedure_version: int
    next_step_code: str
    next_role: str
    provisional: bool = False
    forward_by: datetime | None = None
    counts_from: datetime | None = None
    paper_days: tuple[PaperDay, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierRefused:
    code: str
    at: datetime
    by: str
    applicant_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplementRequested:
    """`form_fields`: answers that are to be corrected, as paths ("children.0.name").

    `data_faults`: what could not be taken from the state's own databases.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    component_codes: tuple[str, ...]
    explanation: Sealed
    form_fields: tuple[str, ...] = ()
    data_faults: tuple[DataFault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormCorrected:
    """`form`: all answers, in place of those before. `components`: those that the answers need in addition."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    form: Sealed
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplementSupplied:
    """`due_at`: the new due date where the clock was running before, else None."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    components: tuple[Component, ...]
    due_at: datetime | None
    provisional: bool = False
    calendar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStarted:
    code: str
    at: datetime
    by: str
    applicant_id: str
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAssigned:
    code: str
    at: datetime
    by: str
    applicant_id: str
    step_code: str
    role: str
    assignee_id: str
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted:
    """`next_step_code`, `next_role`: empty after the last step."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    step_code: str
    note: Sealed
    agency: str
    next_step_code: str
    next_role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierTransferred:
    """`succession`: the agency closed, `to_agency` takes its place wherever the dossier names it.

    `reached`: the competent agency got it for the first time. `due_at`: where it was taken across boundaries and is reached, the
    due date: the time counts from now on.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    from_agency: str
    to_agency: str
    reason: Sealed
    succession: bool = False
    reached: bool = False
    due_at: datetime | None = None
    calendar: str = ""
    provisional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRequested:
    code: str
    at: datetime
    by: str
    applicant_id: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalDeclined:
    code: str
    at: datetime
    by: str
    applicant_id: str
    explanation: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStopped:
    code: str
    at: datetime
    by: str
    applicant_id: str
    cause: StopCause
    explanation: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierApproved:
    code: str
    at: datetime
    by: str
    applicant_id: str
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultIssued:
    """`document_kind`: what the result is, as the procedure names it ("birth-certificate").

    `on_time`: no due date had passed; an apology does not make a late result timely.
    """

    code: str
    at: datetime
    by: str
    applicant_id: str
    result_number: str
    document_kind: str
    sha256: str
    media_type: str
    size: int
    on_time: bool
    agency: str
    procedure_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultReturned:
    code: str
    at: datetime
    by: str
    applicant_id: str
    delivery_method: DeliveryMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """`due_at`: the due date that passed; once for each."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    due_at: datetime
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRecounted:
    """Another version of the calendar counts another due date, or makes a provisional one certain. `legal_basis`: what the calendar
    follows from."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    original_due_at: datetime
    due_at: datetime
    calendar: str
    original_calendar: str
    provisional: bool
    legal_basis: tuple[str, ...]
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptionDeadlinePassed:
    code: str
    at: datetime
    by: str
    applicant_id: str
    reception_due_at: datetime
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineExtended:
    """The apology and new appointment, form 04. `signer`: the office that signs it."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    original_due_at: datetime
    due_at: datetime
    reason: Sealed
    signer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierRated:
    """`score`: 1 (poor) to 5 (excellent)."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    score: int
    comment: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierSynchronised:
    """`peer` holds the dossier up to `peer_revision`."""

    code: str
    at: datetime
    by: str
    applicant_id: str
    peer: str
    peer_revision: int


Event = (
    DossierSubmitted
    | FeeAssessed
    | FeeWaived
    | FeeCancelled
    | FeePaid
    | FeeRefunded
    | DossierReceived
    | DossierRefused
    | SupplementRequested
    | FormCorrected
    | SupplementSupplied
    | ProcessingStarted
    | StepAssigned
    | StepCompleted
    | DossierTransferred
    | WithdrawalRequested
    | WithdrawalDeclined
    | ProcessingStopped
    | DossierApproved
    | ResultIssued
    | ResultReturned
    | DeadlinePassed
    | DeadlineExtended
    | DeadlineRecounted
    | ReceptionDeadlinePassed
    | DossierRated
    | DossierSynchronised
)
Events = tuple[Event, ...]
