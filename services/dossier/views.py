"""What lists are read from. A single dossier is read from its stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Update,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.course import fact_of as course_fact_of
from services.chassis.following.views import Projection
from services.dossier.events import DossierSubmitted, Event
from services.law import course
from services.law.course import Course, FeeCondition, Finance, Settlement

# The tables' names end in the projection's version: another version fills its own beside them.
metadata = MetaData()
dossiers = Table(
    "dossiers_v6",
    metadata,
    Column("code", String, primary_key=True),
    Column("applicant_id", String, nullable=False),
    Column("procedure_code", String, nullable=False),
    Column("procedure_version", Integer, nullable=False),
    # Sealed, as the event of that id has it.
    Column("applicant_name", LargeBinary, nullable=False),
    Column("event_id", String, nullable=False),
    Column("settlement", Integer, nullable=False),
    Column("back_to", Integer, nullable=False, default=0),
    Column("finance", Integer, nullable=False),
    Column("province", String, nullable=False),
    Column("reception_agency", String, nullable=False),
    Column("competent_agency", String, nullable=False),
    Column("place_of_submission", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True)),
    Column("passed", Boolean, nullable=False, default=False),
    Column("calendar", String, nullable=False, default=""),
    Column("provisional", Boolean, nullable=False, default=False),
    Column("reached", Boolean, nullable=False, default=False),
    Column("forward_by", DateTime(timezone=True)),
    Column("reception_due_at", DateTime(timezone=True)),
    Column("reception_passed", Boolean, nullable=False, default=False),
    Column("step_code", String, nullable=False, default=""),
    Column("step_role", String, nullable=False, default=""),
    Column("assignee_id", String, nullable=False, default=""),
    Column("revision", BigInteger, nullable=False),
    Index("dossiers_v6_by_applicant", "applicant_id", "submitted_at"),
    Index("dossiers_v6_by_holder", "holder", "settlement", "due_at"),
    Index("dossiers_v6_by_due", "due_at"),
    Index("dossiers_v6_by_reception_due", "settlement", "reception_due_at"),
    Index("dossiers_v6_by_forward", "forward_by"),
    Index("dossiers_v6_by_calendar", "calendar", "settlement", "due_at"),
    # Whoever is named may search; SQLite and PostgreSQL unite the four indexes.
    Index("dossiers_v6_by_reception", "reception_agency"),
    Index("dossiers_v6_by_competent", "competent_agency"),
    Index("dossiers_v6_by_place", "place_of_submission"),
)
fees = Table(
    "fees_v6",
    metadata,
    Column("fee_id", String, primary_key=True),
    Column("code", String, nullable=False, index=True),
    Column("condition", Integer, nullable=False),
    Column("finance", Integer, nullable=False),
    # The end of the time to pay, of what stops its dossier then.
    Column("pay_by", DateTime(timezone=True), index=True),
)
# Those that each dossier had, from which position of the log on.
due_dates = Table(
    "due_dates_v6",
    metadata,
    Column("code", String, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("due_at", DateTime(timezone=True)),
)
drafts = Table(
    "drafts_v6",
    metadata,
    Column("draft_id", String, primary_key=True),
    Column("applicant_id", String, nullable=False, index=True),
    Column("event_id", String, nullable=False),
    # The position of its first DraftSaved.
    Column("begun", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # The last DraftSaved as it was stored: its form stays sealed.
    Column("saved", LargeBinary, nullable=False),
)
accounts = Table(
    "accounts_v6",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("event_id", String, nullable=False),
    # The registration as it was stored: names stay sealed.
    Column("registered", LargeBinary, nullable=False),
    Column("level", Integer, nullable=False),
)

lists = Projection("dossiers_v6", metadata, by_stream=True)

_DUE = insert(due_dates)


@cache
def _update(columns: tuple[str, ...]) -> Update:
    """The statement that changes these columns of one row. Made once: building a statement costs more than running it."""
    return (
        update(dossiers).where(dossiers.c.code == bindparam("of")).values({name: bindparam(name) for name in columns})
    )


def _moment(event: Any, name: str) -> datetime | None:
    return from_timestamp(getattr(event, name)) if event.HasField(name) else None


_SUBMIT = insert(dossiers)


@lists.on_many(facts.DossierSubmitted)
def submitted(db: Connection, submissions: Sequence[Fact[facts.DossierSubmitted]]) -> None:
    db.execute(_SUBMIT, [_submitted(fact) for fact in submissions])


def _submitted(fact: Fact[facts.DossierSubmitted]) -> dict[str, Any]:
    event = fact.event
    return {
        "code": event.code,
        "applicant_id": event.applicant_id,
        "procedure_code": event.procedure_code,
        "procedure_version": event.procedure_version,
        "applicant_name": event.applicant_name,
        "event_id": str(fact.event_id),
        "settlement": Settlement.NEWLY_REGISTERED.value,
        "finance": Finance.NOTHING_DUE.value,
        "province": event.province,
        "reception_agency": event.reception_agency,
        "competent_agency": event.competent_agency,
        "place_of_submission": event.place_of_submission,
        "holder": event.reception_agency,
        "submitted_at": from_timestamp(event.at),
        "reached": event.competent_agency == event.reception_agency,
        "reception_due_at": _moment(event, "reception_due_at"),
        "revision": fact.revision,
    }


_KEPT = (
    "code",
    "settlement",
    "back_to",
    "procedure_version",
    "reception_agency",
    "competent_agency",
    "holder",
    "due_at",
    "calendar",
    "provisional",
    "passed",
    "forward_by",
    "reception_due_at",
)
_ROWS = select(*(dossiers.c[name] for name in _KEPT)).where(dossiers.c.code.in_(bindparam("codes", expanding=True)))
_FEES = select(fees).where(fees.c.code.in_(bindparam("codes", expanding=True)))
_ASSESS = insert(fees)
_FEE_SETTLED = update(fees).where(fees.c.fee_id == bindparam("of")).values(finance=bindparam("finance"))
_OF_FEES = (facts.FeeAssessed, facts.FeePaid, facts.FeeCancelled, facts.FeeRefunded)


# Whatever happens to a dossier moves its row, be it for its revision alone.
_MOVES = tuple(getattr(facts, kind.__name__) for kind in get_args(Event) if kind is not DossierSubmitted)


@lists.on_many(*_MOVES)
def moved(db: Connection, moves: Sequence[Fact[Any]]) -> None:
    """Moves the rows as these facts, all of one type, say."""
    courses = _courses(db, moves) if course_fact_of(moves[0].event) else {}
    rows: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    due: list[dict[str, Any]] = []
    for fact in moves:
        code, said = fact.event.code, course_fact_of(fact.event)
        row = rows[code]
        row |= {"of": code, "revision": fact.revision, **_step(fact.event)}
        if said is None:
            continue
        before = courses.get(code, Course())
        after = courses[code] = course.fold(before, said)
        row |= _changed(before, after)
        if isinstance(fact.event, _OF_FEES):
            row["finance"] = course.finance(after.fees).value
            _keep_fee(db, fact.event, after)
        if _states_due(said):
            due.append({"code": code, "position": fact.position, "due_at": after.due_at})
    by_columns: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows.values():
        by_columns[tuple(sorted(row.keys() - {"of"}))].append(row)
    for columns, alike in by_columns.items():
        db.execute(_update(columns), alike)
    if due:
        db.execute(_DUE, due)


def _courses(db: Connection, moves: Sequence[Fact[Any]]) -> dict[str, Course]:
    codes = {"codes": list({fact.event.code for fact in moves})}
    held: defaultdict[str, list[course.Fee]] = defaultdict(list)
    if isinstance(moves[0].event, _OF_FEES):
        for row in db.execute(_FEES, codes):
            fee = course.Fee(row.fee_id, 0, FeeCondition(row.condition), Finance(row.finance))
            held[row.code].append(fee)
    return {row.code: _course(row, tuple(held[row.code])) for row in db.execute(_ROWS, codes)}


def _course(row: Any, held: tuple[course.Fee, ...]) -> Course:
    """The course as far as the row keeps it.

    Of some moments the row keeps only that there was one (`reached`, `reception_passed`); they stay None here, and pauses stay
    empty.
    """
    due_at = _utc(row.due_at)
    return Course(
        settlement=Settlement(row.settlement),
        back_to=Settlement(row.back_to),
        procedure_version=row.procedure_version,
        reception_agency=row.reception_agency,
        competent_agency=row.competent_agency,
        holder=row.holder,
        due_at=due_at,
        calendar=row.calendar,
        provisional=row.provisional,
        passed=due_at if row.passed else None,
        forward_by=_utc(row.forward_by),
        reception_due_at=_utc(row.reception_due_at),
        fees=held,
    )


def _columns(of: Course) -> dict[str, Any]:
    return {
        "settlement": of.settlement.value,
        "back_to": of.back_to.value,
        "procedure_version": of.procedure_version,
        "reception_agency": of.reception_agency,
        "competent_agency": of.competent_agency,
        "holder": of.holder,
        "due_at": of.due_at,
        "calendar": of.calendar,
        "provisional": of.provisional,
        "passed": of.passed is not None and of.passed == of.due_at,
        "forward_by": of.forward_by,
        "reception_due_at": of.reception_due_at,
    }


def _changed(before: Course, after: Course) -> dict[str, Any]:
    old = _columns(before)
    changed = {name: value for name, value in _columns(after).items() if value != old[name]}
    if after.competent_received_at is not None:
        changed["reached"] = True
    if after.reception_passed is not None:
        changed["reception_passed"] = True
    return changed


def _states_due(fact: course.Fact) -> bool:
    match fact:
        case course.DossierReceived() | course.SupplementSupplied():
            return True
        case (
            course.FeePaid()
            | course.FeeCancelled()
            | course.DossierTransferred()
            | course.DeadlineExtended()
            | course.DeadlineRecounted()
        ):
            return fact.due_at is not None
        case _:
            return False


def _step(event: Any) -> dict[str, Any]:
    """The columns that say whose turn it is, where the event says so."""
    match event:
        case facts.DossierReceived():
            return {"step_code": event.next_step_code, "step_role": event.next_role}
        case facts.StepAssigned():
            return {"step_code": event.step_code, "step_role": event.role, "assignee_id": event.assignee_id}
        case facts.StepCompleted():
            return {"step_code": event.next_step_code, "step_role": event.next_role, "assignee_id": ""}
        case facts.DossierTransferred() if not event.succession:
            return {"assignee_id": ""}
        case facts.ResultIssued():
            return {"step_code": "", "step_role": "", "assignee_id": ""}
        case _:
            return {}


def _keep_fee(db: Connection, event: Any, after: Course) -> None:
    if isinstance(event, facts.FeeAssessed):
        row = {"fee_id": event.fee_id, "code": event.code, "condition": event.condition, "finance": Finance.DUE.value}
        db.execute(_ASSESS, row | {"pay_by": from_timestamp(event.pay_by) if event.stops_unpaid else None})
        return
    for fee in after.fees:
        if fee.fee_id == event.fee_id:
            db.execute(_FEE_SETTLED, {"of": fee.fee_id, "finance": fee.finance.value})


def _utc(at: datetime | None) -> datetime | None:
    return utc(at) if at else None


@lists.on(facts.DraftSaved)
def draft_saved(db: Connection, fact: Fact[facts.DraftSaved]) -> None:
    event = fact.event
    last = {"event_id": str(fact.event_id), "revision": fact.revision, "saved": event.SerializeToString()}
    if db.execute(update(drafts).where(drafts.c.draft_id == event.draft_id).values(last)).rowcount:
        return
    whose = {"draft_id": event.draft_id, "applicant_id": event.applicant_id, "begun": fact.position}
    db.execute(insert(drafts).values(whose | last))


@lists.on(facts.DraftClaimed)
def draft_claimed(db: Connection, fact: Fact[facts.DraftClaimed]) -> None:
    db.execute(update(drafts).where(drafts.c.draft_id == fact.event.draft_id).values(revision=fact.revision))


@lists.on(facts.DraftDiscarded, facts.DraftSubmitted)
def draft_closed(db: Connection, fact: Fact[Any]) -> None:
    db.execute(delete(drafts).where(drafts.c.draft_id == fact.event.draft_id))


@lists.on(identity.AccountRegistered)
def account_registered(db: Connection, fact: Fact[identity.AccountRegistered]) -> None:
    event = fact.event
    db.execute(
        insert(accounts).values(
            account_id=event.account_id,
            event_id=str(fact.event_id),
            registered=event.SerializeToString(),
            level=event.level_of_assurance,
        )
    )


@lists.on(identity.LoginSucceeded)
def logged_in(db: Connection, fact: Fact[identity.LoginSucceeded]) -> None:
    level = fact.event.level_of_assurance
    lower = (accounts.c.account_id == fact.event.account_id) & (accounts.c.level < level)
    db.execute(update(accounts).where(lower).values(level=level))
