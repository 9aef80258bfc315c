"""What can be asked of a dossier. A command carries all that its decision needs: who, when, and the law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.chassis.decider import Sealed
from services.dossier.events import NO_TEXT
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is submitted, with what the law says of it.

    `uploaded`: the submitter's own files, by the hash that names them. `documents`: reusable document ids by kind;
    `others_documents`: those that the applicant holds as a guardian.
    """

    at: datetime
    by: Actor
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
    exemption_reason: Sealed = NO_TEXT
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Online: in what time it is to be received, by the calendar of the place of reception.
    reception_term: Term | None = None
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitDossier:
    """Submits a dossier under `code`. `fee_id`: of the fee that it may owe."""

    code: str
    fee_id: str
    submission: Submission

    @property
    def by(self) -> Actor:
        return self.submission.by

    @property
    def at(self) -> datetime:
        return self.submission.at


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveDossier:
    at: datetime
    by: Actor
    receipt_number: str
    terms: Terms
    route: Route = HERE
    paper_days: tuple[PaperDay, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseDossier:
    at: datetime
    by: Actor
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """New answers to the whole form. Rules cannot read sealed text, so what they need to know of the answers stands beside it.

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
    reason: Sealed = NO_TEXT
    documents: Mapping[str, str] = field(default_factory=dict)
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectForm:
    """New answers take the place of those before. `components`: those that only the new answers need."""

    at: datetime
    by: Actor
    correction: Correction
    components: tuple[Component, ...] = ()
    uploaded: Mapping[str, File] = field(default_factory=dict)
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSupplement:
    """Asks for components and answers. `unknown_fields`: those of the `form_fields` that the procedure's form does not have."""

    at: datetime
    by: Actor
    component_codes: tuple[str, ...]
    explanation: Sealed
    terms: Terms
    form_fields: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()
    data_faults: tuple[DataFault, ...] = ()
    # The law has one notice in each stage, which may name faults of data.
    one_notice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplySupplement:
    """Supplies what was asked for. `terms`: the law that the dossier keeps.

    Where the dossier was not received before, the supplement makes it complete: then `receipt_number` and `reception_terms`
    count, the law of this day.
    """

    at: datetime
    by: Actor
    components: tuple[Component, ...]
    uploaded: Mapping[str, File]
    documents: Mapping[str, str]
    receipt_number: str
    terms: Terms
    reception_terms: Terms
    correction: Correction | None = None
    others_documents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    route: Route = HERE


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignStep:
    at: datetime
    by: Actor
    step_code: str
    assignee_id: str
    terms: Terms
    # Of the assignee, where it is somebody else, at the agency of who assigns.
    assignee_roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteStep:
    at: datetime
    by: Actor
    step_code: str
    note: Sealed
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferDossier:
    at: datetime
    by: Actor
    to_agency: str
    reason: Sealed
    # Of the agency that it goes to.
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardDossier:
    """Passes what was received elsewhere to the competent agency, whether or not an official came round to it."""

    at: datetime
    by: Actor
    reason: Sealed
    calendar: Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class RehomeDossier:
    """Puts `successor` in the place of the agency `closed`, which was closed."""

    at: datetime
    by: Actor
    closed: str
    successor: str
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessFee:
    at: datetime
    by: Actor
    fee_id: str
    items: tuple[FeeItem, ...]
    condition: FeeCondition
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiveFee:
    """Grants an exemption from a fee. `left_id`: the id of the fee that is left."""

    at: datetime
    by: Actor
    fee_id: str
    left_id: str
    exemption_code: str
    reason: Sealed
    terms: Terms
    # By which the time to receive an online dossier counts, once nothing is to be paid before.
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFee:
    at: datetime
    by: Actor
    fee_id: str
    reason: Sealed
    terms: Terms
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LapseFee:
    """The clock found that the time to pay is over."""

    at: datetime
    by: Actor
    fee_id: str
    explanation: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class PayFee:
    """The payment service confirmed that the fee was paid."""

    at: datetime
    by: Actor
    fee_id: str
    amount: int
    payment_id: str
    terms: Terms
    reception_calendar: Calendar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFee:
    at: datetime
    by: Actor
    fee_id: str
    amount: int
    payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWithdrawal:
    at: datetime
    by: Actor
    reason: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantWithdrawal:
    at: datetime
    by: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineWithdrawal:
    at: datetime
    by: Actor
    explanation: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class StopProcessing:
    at: datetime
    by: Actor
    cause: StopCause
    explanation: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveDossier:
    at: datetime
    by: Actor
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueResult:
    at: datetime
    by: Actor
    result_number: str
    sha256: str
    uploaded: Mapping[str, File]
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnResult:
    at: datetime
    by: Actor
    delivery_method: DeliveryMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteDeadline:
    """The clock found the due date in the past."""

    at: datetime
    by: Actor
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteReceptionDeadline:
    at: datetime
    by: Actor
    reception_due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountDeadline:
    """Another version of the calendar was published."""

    at: datetime
    by: Actor
    calendar: Calendar
    legal_basis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendDeadline:
    at: datetime
    by: Actor
    due_at: datetime
    reason: Sealed
    signer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateDossier:
    at: datetime
    by: Actor
    score: int
    comment: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSynchronisation:
    at: datetime
    by: Actor
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
