"""The facts of dossiers, as domain.py decides them. Each has its protobuf twin in motcua.dossier.events.v1."""

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
    code: str
    at: datetime
    by: str
    applicant_id: str
    form: Sealed
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplementSupplied:
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
    code: str
    at: datetime
    by: str
    applicant_id: str
    due_at: datetime
    agency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRecounted:
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
    code: str
    at: datetime
    by: str
    applicant_id: str
    score: int
    comment: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierSynchronised:
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
