"""What can be asked of a dossier. A command carries all that its decision needs: who, when, and the law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.chassis.decider import Sealed
from services.dossier.events import NOTHING
from services.dossier.values import (
    HERE,
    Actor,
    ApplicantKind,
    Channel,
    Component,
    DataFault,
    DeliveryMethod,
    FeeItem,
    File,
    PaperDay,
    Route,
    StopCause,
    Terms,
)
from services.law.course import FeeCondition
from services.law.deadlines import Calendar, Term


@dataclass(frozen=True, slots=True)
class Submission:
    """`uploaded`: the submitter's own files, by the hash that names them. `documents`: reusable document ids by kind;
    `others_documents`: those that the applicant holds as a guardian."""

    by: Actor
    at: datetime
    applicant_id: str
    applicant_kind: ApplicantKind
    applicant_name: Sealed
    email: Sealed
    phone: Sealed
    form: Sealed
    channel: Channel
    components: tuple[Component, ...]
    uploaded: Mapping[str, File]
    documents: Mapping[str, str]
    reuse_consent: bool
    place_of_submission: str
    reception_agency: str
    competent_agency: str
    province: str
    delivery_method: DeliveryMethod
    draft_id: str
    terms: Terms
    through: str = ""
    # Exemptions that an official has to decide about; and of those that one granted at the counter, why.
    claimed_exemptions: tuple[str, ...] = ()
    exemption_reason: Sealed = NOTHING
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Online: in what time it is to be received, by the calendar of the place of reception.
    reception_term: Term | None = None
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class SubmitDossier:
    """`code`: of the dossier. `fee_id`: of what it owes."""

    code: str
    fee_id: str
    submission: Submission

    @property
    def by(self) -> Actor:
        return self.submission.by

    @property
    def at(self) -> datetime:
        return self.submission.at


@dataclass(frozen=True, slots=True)
class ReceiveDossier:
    by: Actor
    at: datetime
    receipt_number: str
    terms: Terms
    route: Route = HERE
    paper_days: tuple[PaperDay, ...] = ()


@dataclass(frozen=True, slots=True)
class RefuseDossier:
    by: Actor
    at: datetime
    reason: Sealed


@dataclass(frozen=True, slots=True)
class Correction:
    """All of the form's answers, as they are now to be. Rules never read sealed text: what it changes is said beside it.

    `changed`: the paths of the answers that differ. `version`: how often the form that they were compared with had been corrected.
    `terms`: the law that the dossier keeps, for these answers. `before`: what the answers before owed by the same law.
    `fee_id`: of what they owe now. `reason`: why the fee before is cancelled. `documents`: as a submission has them.
    """

    form: Sealed
    changed: tuple[str, ...]
    version: int
    terms: Terms
    before: tuple[FeeItem, ...] = ()
    fee_id: str = ""
    reason: Sealed = NOTHING
    documents: Mapping[str, str] = field(default_factory=dict)
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class CorrectForm:
    """`components`: those that only these answers need."""

    by: Actor
    at: datetime
    correction: Correction
    components: tuple[Component, ...] = ()
    uploaded: Mapping[str, File] = field(default_factory=dict)
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestSupplement:
    """`unknown_fields`: those of the `form_fields` that the procedure's form does not have."""

    by: Actor
    at: datetime
    component_codes: tuple[str, ...]
    explanation: Sealed
    terms: Terms
    form_fields: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()
    data_faults: tuple[DataFault, ...] = ()
    # The law has one notice in each stage, which may name faults of data.
    one_notice: bool = False


@dataclass(frozen=True, slots=True)
class SupplySupplement:
    """`terms`: the law that the dossier keeps.

    Where the dossier was not received before, the supplement makes it complete: then `receipt_number` and `reception_terms`
    count, the law of this day.
    """

    by: Actor
    at: datetime
    components: tuple[Component, ...]
    uploaded: Mapping[str, File]
    documents: Mapping[str, str]
    receipt_number: str
    terms: Terms
    reception_terms: Terms
    correction: Correction | None = None
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    route: Route = HERE


@dataclass(frozen=True, slots=True)
class AssignStep:
    by: Actor
    at: datetime
    step_code: str
    assignee_id: str
    terms: Terms
    # Of the assignee, where it is somebody else, at the agency of who assigns.
    assignee_roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CompleteStep:
    by: Actor
    at: datetime
    step_code: str
    note: Sealed
    terms: Terms


@dataclass(frozen=True, slots=True)
class TransferDossier:
    by: Actor
    at: datetime
    to_agency: str
    reason: Sealed
    # Of the agency that it goes to.
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class ForwardDossier:
    """What was received elsewhere passes to the competent agency, whether or not an official came round to it."""

    by: Actor
    at: datetime
    reason: Sealed
    calendar: Calendar


@dataclass(frozen=True, slots=True)
class RehomeDossier:
    """`closed` was closed, and `successor` takes its place."""

    by: Actor
    at: datetime
    closed: str
    successor: str
    reason: Sealed


@dataclass(frozen=True, slots=True)
class AssessFee:
    by: Actor
    at: datetime
    fee_id: str
    items: tuple[FeeItem, ...]
    condition: FeeCondition
    terms: Terms


@dataclass(frozen=True, slots=True)
class WaiveFee:
    """`left_id`: of the fee that is left."""

    by: Actor
    at: datetime
    fee_id: str
    left_id: str
    exemption_code: str
    reason: Sealed
    terms: Terms
    # By which the time to receive an online dossier counts, once nothing is to be paid before.
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class CancelFee:
    by: Actor
    at: datetime
    fee_id: str
    reason: Sealed
    terms: Terms
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class LapseFee:
    """The clock found that the time to pay is over."""

    by: Actor
    at: datetime
    fee_id: str
    explanation: Sealed


@dataclass(frozen=True, slots=True)
class PayFee:
    """The payment service confirmed it."""

    by: Actor
    at: datetime
    fee_id: str
    amount: int
    payment_id: str
    terms: Terms
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class RefundFee:
    by: Actor
    at: datetime
    fee_id: str
    amount: int
    payment_id: str


@dataclass(frozen=True, slots=True)
class RequestWithdrawal:
    by: Actor
    at: datetime
    reason: Sealed


@dataclass(frozen=True, slots=True)
class GrantWithdrawal:
    by: Actor
    at: datetime


@dataclass(frozen=True, slots=True)
class DeclineWithdrawal:
    by: Actor
    at: datetime
    explanation: Sealed


@dataclass(frozen=True, slots=True)
class StopProcessing:
    by: Actor
    at: datetime
    cause: StopCause
    explanation: Sealed


@dataclass(frozen=True, slots=True)
class ApproveDossier:
    by: Actor
    at: datetime
    terms: Terms


@dataclass(frozen=True, slots=True)
class IssueResult:
    by: Actor
    at: datetime
    result_number: str
    sha256: str
    uploaded: Mapping[str, File]
    terms: Terms


@dataclass(frozen=True, slots=True)
class ReturnResult:
    by: Actor
    at: datetime
    delivery_method: DeliveryMethod


@dataclass(frozen=True, slots=True)
class NoteDeadline:
    """The clock found the due date in the past."""

    by: Actor
    at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class NoteReceptionDeadline:
    by: Actor
    at: datetime
    reception_due_at: datetime


@dataclass(frozen=True, slots=True)
class RecountDeadline:
    """Another version of the calendar was published."""

    by: Actor
    at: datetime
    calendar: Calendar
    legal_basis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtendDeadline:
    by: Actor
    at: datetime
    due_at: datetime
    reason: Sealed
    signer: str


@dataclass(frozen=True, slots=True)
class RateDossier:
    by: Actor
    at: datetime
    score: int
    comment: Sealed


@dataclass(frozen=True, slots=True)
class ConfirmSynchronisation:
    by: Actor
    at: datetime
    peer_revision: int


Command = (
    SubmitDossier
    | ReceiveDossier
    | RefuseDossier
    | CorrectForm
    | RequestSupplement
    | SupplySupplement
    | AssignStep
    | CompleteStep
    | TransferDossier
    | ForwardDossier
    | RehomeDossier
    | AssessFee
    | WaiveFee
    | CancelFee
    | LapseFee
    | PayFee
    | RefundFee
    | RequestWithdrawal
    | GrantWithdrawal
    | DeclineWithdrawal
    | StopProcessing
    | ApproveDossier
    | IssueResult
    | ReturnResult
    | NoteDeadline
    | ExtendDeadline
    | NoteReceptionDeadline
    | RecountDeadline
    | RateDossier
    | ConfirmSynchronisation
)
