"""The course of a dossier: settlement, finance, pauses and due dates, folded from what everybody may know of its events.

What the dossier decides by, the rows of its lists and the public page extend `Course` and fold it here, each with details of its
own. Facts bear the names of the events that they are read from; an event that moves nothing of this stands in UNMOVED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum, Flag, auto
from operator import attrgetter
from typing import Any, TypeVar, assert_never, get_args

from services.chassis.decider import replace


class Stage(Flag):
    OPEN = auto()
    """Somebody may act, and time counts."""
    PAUSED = auto()
    """Time stands still."""
    SETTLED = auto()
    """With a result."""
    ENDED = auto()
    """Without one."""


_NONE = Stage(0)


class Settlement(Enum):
    """The national portal's states; ABSENT before submission. One that says no stage allows nothing."""

    _value_: int
    stage: Stage

    def __new__(cls, number: int, stage: Stage = _NONE) -> Settlement:
        self = object.__new__(cls)
        self._value_ = number
        self.stage = stage
        return self

    ABSENT = 0
    NEWLY_REGISTERED = 1, Stage.OPEN
    RECEIVED = 2, Stage.OPEN
    NOT_RECEIVED = 3, Stage.ENDED
    BEING_PROCESSED = 4, Stage.OPEN
    SUPPLEMENT_REQUESTED = 5, Stage.OPEN | Stage.PAUSED
    FINANCIAL_OBLIGATION_REQUESTED = 6, Stage.OPEN | Stage.PAUSED
    WITHDRAWAL_REQUESTED = 7, Stage.OPEN
    PROCESSING_STOPPED = 8, Stage.ENDED
    PROCESSED = 9, Stage.SETTLED
    RESULT_RETURNED = 10, Stage.SETTLED

    @property
    def open(self) -> bool:
        return Stage.OPEN in self.stage

    @property
    def paused(self) -> bool:
        return Stage.PAUSED in self.stage

    @property
    def settled(self) -> bool:
        return Stage.SETTLED in self.stage

    @property
    def ended(self) -> bool:
        return Stage.ENDED in self.stage


class Finance(Enum):
    NOTHING_DUE = 1
    DUE = 2
    PAID = 3
    REFUNDED = 4
    CANCELLED = 5


class FeeCondition(Enum):
    RECEPTION = 1
    PROCESSING = 2
    RESULT = 3


class PauseKind(Enum):
    SUPPLEMENT = "supplement"
    FEE = "fee"


@dataclass(frozen=True, slots=True)
class Fee:
    """`fee_id`: what its reader knows it by."""

    fee_id: str
    amount: int
    condition: FeeCondition
    finance: Finance = Finance.DUE

    @property
    def owed(self) -> bool:
        return self.finance is Finance.DUE


@dataclass(frozen=True, slots=True)
class Pause:
    kind: PauseKind
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Course:
    settlement: Settlement = Settlement.ABSENT
    back_to: Settlement = Settlement.ABSENT
    """Where a declined withdrawal leads."""
    procedure_version: int = 0
    reception_agency: str = ""
    competent_agency: str = ""
    holder: str = ""
    """The agency whose officials may act now."""
    received_at: datetime | None = None
    due_at: datetime | None = None
    calendar: str = ""
    """What the due date was counted by, with its version."""
    provisional: bool = False
    """The due date rests on days whose holidays are not announced."""
    passed: datetime | None = None
    """The due date that was noted as passed."""
    across_boundaries: bool = False
    """The time counts from when the competent agency gets it."""
    competent_received_at: datetime | None = None
    forward_by: datetime | None = None
    reception_due_at: datetime | None = None
    reception_passed: datetime | None = None
    """The moment that was noted as passed without a reception."""
    fees: tuple[Fee, ...] = ()
    pauses: tuple[Pause, ...] = ()
    counted: int = 0
    """So many of the pauses ended before the count began."""

    @property
    def pause(self) -> Pause | None:
        """The pause that lasts."""
        return self.pauses[-1] if self.pauses and self.pauses[-1].until is None else None


@dataclass(frozen=True, slots=True)
class DossierSubmitted:
    procedure_version: int
    reception_agency: str
    competent_agency: str
    reception_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeeAssessed:
    at: datetime
    fee_id: str
    amount: int
    condition: FeeCondition


@dataclass(frozen=True, slots=True)
class FeePaid:
    at: datetime
    fee_id: str
    due_at: datetime | None
    provisional: bool
    calendar: str
    reception_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeeCancelled:
    at: datetime
    fee_id: str
    due_at: datetime | None
    provisional: bool
    calendar: str
    reception_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeeRefunded:
    fee_id: str


@dataclass(frozen=True, slots=True)
class DossierReceived:
    at: datetime
    procedure_version: int
    due_at: datetime | None
    calendar: str
    provisional: bool
    forward_by: datetime | None
    counts_from: datetime | None


@dataclass(frozen=True, slots=True)
class DossierRefused:
    at: datetime


@dataclass(frozen=True, slots=True)
class SupplementRequested:
    at: datetime


@dataclass(frozen=True, slots=True)
class SupplementSupplied:
    at: datetime
    due_at: datetime | None
    provisional: bool
    calendar: str


@dataclass(frozen=True, slots=True)
class ProcessingStarted:
    at: datetime


@dataclass(frozen=True, slots=True)
class DossierTransferred:
    at: datetime
    from_agency: str
    to_agency: str
    succession: bool
    due_at: datetime | None
    calendar: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class WithdrawalRequested:
    at: datetime


@dataclass(frozen=True, slots=True)
class WithdrawalDeclined:
    at: datetime


@dataclass(frozen=True, slots=True)
class ProcessingStopped:
    at: datetime


@dataclass(frozen=True, slots=True)
class ResultIssued:
    at: datetime


@dataclass(frozen=True, slots=True)
class ResultReturned:
    at: datetime


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadlineExtended:
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadlineRecounted:
    due_at: datetime
    calendar: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class ReceptionDeadlinePassed:
    reception_due_at: datetime


Fact = (
    DossierSubmitted
    | FeeAssessed
    | FeePaid
    | FeeCancelled
    | FeeRefunded
    | DossierReceived
    | DossierRefused
    | SupplementRequested
    | SupplementSupplied
    | ProcessingStarted
    | DossierTransferred
    | WithdrawalRequested
    | WithdrawalDeclined
    | ProcessingStopped
    | ResultIssued
    | ResultReturned
    | DeadlinePassed
    | DeadlineExtended
    | DeadlineRecounted
    | ReceptionDeadlinePassed
)
FACTS: dict[str, type[Any]] = {fact.__name__: fact for fact in get_args(Fact)}
# Of a dossier's events those that leave its course as it was.
UNMOVED = frozenset(
    {
        "FeeWaived",
        "FormCorrected",
        "StepAssigned",
        "StepCompleted",
        "DossierApproved",
        "DossierRated",
        "DossierSynchronised",
    }
)

C = TypeVar("C", bound=Course)


def fold(course: C, fact: Fact) -> C:
    """The course after one more fact of its dossier, in the order of the stream."""
    match fact:
        case DossierSubmitted():
            return replace(
                course,
                settlement=Settlement.NEWLY_REGISTERED,
                procedure_version=fact.procedure_version,
                reception_agency=fact.reception_agency,
                competent_agency=fact.competent_agency,
                holder=fact.reception_agency,
                reception_due_at=fact.reception_due_at,
            )
        case FeeAssessed():
            fees = (*course.fees, Fee(fact.fee_id, fact.amount, fact.condition))
            match fact.condition:
                case FeeCondition.RECEPTION:
                    return replace(course, fees=fees, reception_due_at=None)
                case FeeCondition.PROCESSING:
                    waiting = Settlement.FINANCIAL_OBLIGATION_REQUESTED
                    pauses = (*course.pauses, Pause(PauseKind.FEE, fact.at))
                    return replace(course, fees=fees, settlement=waiting, pauses=pauses)
                case FeeCondition.RESULT:
                    return replace(course, fees=fees)
        case FeePaid():
            return _settled(course, fact, Finance.PAID)
        case FeeCancelled():
            return _settled(course, fact, Finance.CANCELLED)
        case FeeRefunded():
            return replace(course, fees=_with_finance(course.fees, fact.fee_id, Finance.REFUNDED))
        case DossierReceived():
            # After a supplement that made the reception valid the dossier is being processed already.
            newly = course.settlement is Settlement.NEWLY_REGISTERED
            return replace(
                course,
                settlement=Settlement.RECEIVED if newly else course.settlement,
                procedure_version=fact.procedure_version,
                received_at=fact.at,
                due_at=fact.due_at,
                calendar=fact.calendar or course.calendar,
                provisional=fact.provisional,
                across_boundaries=fact.counts_from is not None,
                competent_received_at=fact.at if course.competent_agency == course.reception_agency else None,
                forward_by=fact.forward_by,
                counted=len(course.pauses),
            )
        case DossierRefused():
            return _closed(course, Settlement.NOT_RECEIVED, fact.at)
        case SupplementRequested():
            pauses = (*course.pauses, Pause(PauseKind.SUPPLEMENT, fact.at))
            return replace(course, settlement=Settlement.SUPPLEMENT_REQUESTED, pauses=pauses)
        case SupplementSupplied():
            return replace(
                course,
                settlement=Settlement.BEING_PROCESSED,
                pauses=_ended(course, fact.at),
                due_at=fact.due_at,
                calendar=fact.calendar or course.calendar,
                provisional=fact.provisional,
            )
        case ProcessingStarted():
            return replace(course, settlement=Settlement.BEING_PROCESSED)
        case DossierTransferred():
            return _succeeded(course, fact) if fact.succession else _transferred(course, fact)
        case WithdrawalRequested():
            return replace(course, settlement=Settlement.WITHDRAWAL_REQUESTED, back_to=course.settlement)
        case WithdrawalDeclined():
            return replace(course, settlement=course.back_to)
        case ProcessingStopped():
            return _closed(course, Settlement.PROCESSING_STOPPED, fact.at)
        case ResultIssued():
            return _closed(course, Settlement.PROCESSED, fact.at)
        case ResultReturned():
            return _closed(course, Settlement.RESULT_RETURNED, fact.at)
        case DeadlinePassed():
            return replace(course, passed=fact.due_at)
        case DeadlineExtended():
            return replace(course, due_at=fact.due_at, provisional=False, counted=len(course.pauses))
        case DeadlineRecounted():
            calendar = fact.calendar or course.calendar
            return replace(course, due_at=fact.due_at, calendar=calendar, provisional=fact.provisional)
        case ReceptionDeadlinePassed():
            return replace(course, reception_passed=fact.reception_due_at)
        case _:
            assert_never(fact)


def _settled(course: C, fact: FeePaid | FeeCancelled, settled_as: Finance) -> C:
    fees = _with_finance(course.fees, fact.fee_id, settled_as)
    reception_due_at = fact.reception_due_at or course.reception_due_at
    owed = any(fee.owed and fee.condition is FeeCondition.PROCESSING for fee in fees)
    if course.settlement is not Settlement.FINANCIAL_OBLIGATION_REQUESTED or owed:
        return replace(course, fees=fees, reception_due_at=reception_due_at)
    return replace(
        course,
        fees=fees,
        reception_due_at=reception_due_at,
        settlement=Settlement.BEING_PROCESSED,
        pauses=_ended(course, fact.at),
        due_at=fact.due_at or course.due_at,
        calendar=fact.calendar or course.calendar,
        provisional=fact.provisional if fact.due_at else course.provisional,
    )


def _with_finance(fees: tuple[Fee, ...], fee_id: str, settled_as: Finance) -> tuple[Fee, ...]:
    return tuple(replace(fee, finance=settled_as) if fee.fee_id == fee_id else fee for fee in fees)


def _transferred(course: C, fact: DossierTransferred) -> C:
    course = replace(
        course,
        holder=fact.to_agency,
        competent_agency=fact.to_agency,
        competent_received_at=course.competent_received_at or fact.at,
    )
    if fact.due_at is None:
        return course
    return replace(
        course,
        due_at=fact.due_at,
        calendar=fact.calendar or course.calendar,
        provisional=fact.provisional,
        counted=len(course.pauses),
    )


def _succeeded(course: C, fact: DossierTransferred) -> C:
    """The successor takes the closed agency's place wherever it was named."""

    def now(agency: str) -> str:
        return fact.to_agency if agency == fact.from_agency else agency

    return replace(
        course,
        reception_agency=now(course.reception_agency),
        competent_agency=now(course.competent_agency),
        holder=now(course.holder),
    )


def _closed(course: C, settlement: Settlement, at: datetime) -> C:
    return replace(course, settlement=settlement, pauses=_ended(course, at))


def _ended(course: Course, at: datetime) -> tuple[Pause, ...]:
    return (*course.pauses[:-1], replace(course.pause, until=at)) if course.pause else course.pauses


def finance(fees: Iterable[Fee]) -> Finance:
    """The dossier's, as its fee that has come least."""
    held = {fee.finance for fee in fees}
    order = (Finance.DUE, Finance.PAID, Finance.REFUNDED)
    return next((one for one in order if one in held), Finance.NOTHING_DUE)


def reader(events: Iterable[type[Any]]) -> Callable[[Any], Fact | None]:
    """Reads the facts off objects of these types, by name and by fields. Raises TypeError where a type is not thought of."""
    readers: dict[type[Any], Callable[[Any], Fact] | None] = {}
    for event in events:
        fact = FACTS.get(event.__name__)
        if (fact is None) != (event.__name__ in UNMOVED):
            raise TypeError(f"{event.__name__} is no fact of a dossier's course, and none that leaves it as it was")
        readers[event] = _read(fact) if fact else None

    def read(event: Any) -> Fact | None:
        of = readers[type(event)]
        return of(event) if of else None

    return read


def _read(fact: type[Any]) -> Callable[[Any], Fact]:
    names = [field.name for field in fields(fact)]
    values = attrgetter(*names)
    if len(names) == 1:
        return lambda event: fact(values(event))
    return lambda event: fact(*values(event))
