"""What the pages show. Pure: no clock, no texts, no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.dossier.events.v1 import events_pb2 as facts
from services.law import course
from services.law.course import Course, FeeCondition, Pause, Settlement
from services.law.days import local_date


class Finance(Enum):
    NOTHING_DUE = "nothing-due"
    DUE = "due"
    PAID = "paid"
    REFUNDED = "refunded"


class Delivery(Enum):
    NOT_READY = "not-ready"
    READY = "ready"
    DELIVERED = "delivered"
    NONE = "none"


class Synchronisation(Enum):
    PENDING = "pending"
    DONE = "done"


class StepKind(Enum):
    SUBMITTED = "submitted"
    FEE_ASSESSED = "fee-assessed"
    FEE_PAID = "fee-paid"
    FEE_CANCELLED = "fee-cancelled"
    FEE_REFUNDED = "fee-refunded"
    RECEIVED = "received"
    REFUSED = "refused"
    SUPPLEMENT_REQUESTED = "supplement-requested"
    SUPPLEMENT_SUPPLIED = "supplement-supplied"
    FORM_CORRECTED = "form-corrected"
    PROCESSING_STARTED = "processing-started"
    ASSIGNED = "assigned"
    COMPLETED = "completed"
    TRANSFERRED = "transferred"
    WITHDRAWAL_REQUESTED = "withdrawal-requested"
    WITHDRAWAL_DECLINED = "withdrawal-declined"
    STOPPED = "stopped"
    APPROVED = "approved"
    RESULT_ISSUED = "result-issued"
    RESULT_RETURNED = "result-returned"
    DEADLINE_PASSED = "deadline-passed"
    DEADLINE_EXTENDED = "deadline-extended"
    DEADLINE_RECOUNTED = "deadline-recounted"
    RECEPTION_LATE = "reception-late"
    RATED = "rated"


class Timing(Enum):
    """How a dossier stands against its due date."""

    NOT_STARTED = "not-started"
    # The law lists no time.
    NO_TERM = "no-term"
    RUNNING = "running"
    DUE_TODAY = "due-today"
    PAUSED = "paused"
    OVERDUE = "overdue"
    # A new date was given with an apology, and it is still ahead.
    POSTPONED = "postponed"
    ON_TIME = "on-time"
    LATE = "late"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Bilingual:
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Term:
    amount: int
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee(course.Fee):
    """Its id is its place among the page's: which fee it is by its own is not public."""

    items: tuple[tuple[str, int], ...]
    assessed_at: datetime
    paid_at: datetime | None = None
    refunded_at: datetime | None = None
    cancelled_at: datetime | None = None
    pay_by: datetime | None = None
    stops_unpaid: bool = False


@dataclass(frozen=True, slots=True)
class DueMove:
    before: datetime | None
    after: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the timeline. Codes are looked up in the catalogue when it is shown."""

    revision: int
    kind: StepKind
    at: datetime
    agency: str = ""
    to_agency: str = ""
    step_code: str = ""
    role: str = ""
    component_codes: tuple[str, ...] = ()
    amount: int = 0
    condition: int = 0
    cause: int = 0
    delivery_method: int = 0
    receipt_number: str = ""
    document_kind: str = ""
    signer: str = ""
    on_time: bool | None = None
    score: int = 0
    term: Term | None = None
    due: DueMove | None = None
    # The due date rests on days whose holidays are not announced.
    provisional: bool = False
    # Of a request for a supplement: how data of the state's own databases were at fault.
    data_faults: tuple[int, ...] = ()
    # Of a recount: what the calendar follows from.
    legal_basis: tuple[str, ...] = ()
    # The time counts from this transfer.
    starts_clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierPage(Course):
    code: str
    procedure_code: str
    channel: int
    place_of_submission: str
    province: str
    delivery_method: int
    submitted_at: datetime
    # The revision of the last event folded, counted from 0, and of the last that was not a synchronisation.
    revision: int = 0
    content_revision: int = 0
    changed_at: datetime | None = None
    receipt_number: str = ""
    term: Term | None = None
    # The due date of before the first apology, and the officer's title on the last.
    promised_at: datetime | None = None
    apology_signer: str = ""
    settled_at: datetime | None = None
    closed_at: datetime | None = None
    on_time: bool | None = None
    stop_cause: int = 0
    missing: tuple[str, ...] = ()
    fees: tuple[Fee, ...] = ()
    steps: tuple[Step, ...] = ()
    # Each peer that holds the dossier, and up to which revision.
    peers: tuple[tuple[str, int], ...] = ()
    score: int = 0

    def pause_at(self, at: datetime) -> Pause | None:
        """The pause that began then."""
        return next((pause for pause in self.pauses if pause.since == at), None)

    @property
    def open(self) -> bool:
        return self.settlement.open

    @property
    def withdrawn(self) -> bool:
        return self.stop_cause == facts.STOP_CAUSE_WITHDRAWN

    @property
    def finance(self) -> Finance:
        return Finance[course.finance(self.fees).name]

    @property
    def owed(self) -> int:
        return sum(fee.amount for fee in self.fees if fee.owed)

    @property
    def fee_first(self) -> int:
        """The condition of the fee that everything now waits for; 0 without one."""
        conditions = {
            Settlement.NEWLY_REGISTERED: FeeCondition.RECEPTION,
            Settlement.PROCESSED: FeeCondition.RESULT,
        }
        condition = conditions.get(self.settlement)
        return condition.value if condition and any(fee.owed and fee.condition is condition for fee in self.fees) else 0

    def reception_late(self, now: datetime) -> bool:
        waiting = self.settlement is Settlement.NEWLY_REGISTERED and self.reception_due_at is not None
        return self.reception_passed is not None or (waiting and now > self.reception_due_at)  # type: ignore[operator]

    @property
    def closed(self) -> bool:
        return self.settlement.ended

    @property
    def delivery(self) -> Delivery:
        if self.settlement is Settlement.RESULT_RETURNED:
            return Delivery.DELIVERED
        if self.settlement.ended:
            return Delivery.NONE
        return Delivery.READY if self.settlement is Settlement.PROCESSED else Delivery.NOT_READY

    @property
    def synchronisation(self) -> Synchronisation:
        level = any(revision >= self.content_revision for _, revision in self.peers)
        return Synchronisation.DONE if level else Synchronisation.PENDING


@dataclass(frozen=True, slots=True)
class Standing:
    timing: Timing
    # Whole days on the local calendar: late by, or left. 0 is today.
    days: int = 0


def days_between(start: datetime, end: datetime) -> int:
    """Whole days on the local calendar."""
    return (local_date(end) - local_date(start)).days


def standing(page: DossierPage, now: datetime) -> Standing:
    if page.settlement.ended:
        return Standing(Timing.CLOSED)
    if page.settlement.settled:
        return _settled_standing(page)
    if page.pause:
        return Standing(Timing.PAUSED, days_between(page.pause.since, now))
    if page.due_at is None:
        return Standing(Timing.NO_TERM if page.received_at else Timing.NOT_STARTED)
    if now > page.due_at:
        return Standing(Timing.OVERDUE, days_between(page.due_at, now))
    left = days_between(now, page.due_at)
    if page.promised_at:
        return Standing(Timing.POSTPONED, left)
    return Standing(Timing.DUE_TODAY if left == 0 else Timing.RUNNING, left)


def _settled_standing(page: DossierPage) -> Standing:
    promised = page.promised_at or page.due_at
    if page.on_time is not False or promised is None or page.settled_at is None:
        return Standing(Timing.ON_TIME)
    return Standing(Timing.LATE, days_between(promised, page.settled_at))


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to which event the pages are true, and when that was last confirmed."""

    event_number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Today:
    """The day's figures."""

    submitted: int
    received: int
    settled: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Figures:
    # Submitted, and nobody has said yet whether it is received.
    waiting: int = 0
    received: int = 0
    # Received, not settled and not ended.
    in_progress: int = 0
    # Of both.
    paused: int = 0
    overdue: int = 0
    # Processed, returned or withdrawn, as the reports count it.
    settled: int = 0
    # Of the results issued.
    on_time: int = 0
    late: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            waiting=self.waiting + other.waiting,
            received=self.received + other.received,
            in_progress=self.in_progress + other.in_progress,
            paused=self.paused + other.paused,
            overdue=self.overdue + other.overdue,
            settled=self.settled + other.settled,
            on_time=self.on_time + other.on_time,
            late=self.late + other.late,
        )

    @property
    def on_time_share(self) -> float | None:
        """Per cent of the results; None while there is none."""
        results = self.on_time + self.late
        return 100 * self.on_time / results if results else None


def figures(page: DossierPage, now: datetime) -> Figures:
    """What one dossier adds to a board."""
    timing = standing(page, now).timing
    return Figures(
        waiting=int(page.open and page.received_at is None),
        received=int(page.received_at is not None),
        in_progress=int(page.open and page.received_at is not None),
        paused=int(timing is Timing.PAUSED),
        overdue=int(timing is Timing.OVERDUE),
        settled=int(page.settlement.settled or page.withdrawn),
        on_time=int(page.on_time is True),
        late=int(page.on_time is False),
    )


@dataclass(frozen=True, slots=True)
class BoardRow:
    code: str
    name: Bilingual
    figures: Figures


@dataclass(frozen=True, slots=True)
class Board:
    """The nation by province, a province by agency, or an agency by procedure. Its rows are ordered by their reader."""

    code: str
    name: Bilingual
    total: Figures
    rows: tuple[BoardRow, ...]


@dataclass(frozen=True, slots=True)
class Procedures:
    """A page of the catalogue: every field of a definition is public."""

    entries: tuple[definitions.Procedure, ...]
    total: int
    # The codes after which the pages before and behind this one begin: "" is the list's start, None where there is no such page.
    before: str | None = None
    behind: str | None = None

    @classmethod
    def cut(cls, found: Iterable[definitions.Procedure], after: str, limit: int) -> Procedures:
        """In order of their codes, which never change: what comes and goes meanwhile hides and repeats no other."""
        ordered = sorted(found, key=lambda each: each.code)
        codes = [each.code for each in ordered]
        start = bisect_right(codes, after)
        end = start + limit
        before = None if start == 0 else codes[start - limit - 1] if start > limit else ""
        return cls(tuple(ordered[start:end]), len(codes), before, codes[end - 1] if end < len(codes) else None)
