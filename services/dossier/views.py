"""What lists are read from. A single dossier is read from its stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

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

from motcua.dossier.events.v1 import events_pb2 as e
from motcua.dossier.v1.dossier_pb2 import Finance, Settlement
from motcua.identity.events.v1 import events_pb2 as i
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

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

BEING_PROCESSED = Settlement.SETTLEMENT_BEING_PROCESSED
OBLIGATION_REQUESTED = Settlement.SETTLEMENT_FINANCIAL_OBLIGATION_REQUESTED
PROCESSING = e.FeeCondition.FEE_CONDITION_PROCESSING


_DUE = insert(due_dates)


@cache
def _update(columns: tuple[str, ...]) -> Update:
    """Made once: building a statement costs more than running it."""
    return (
        update(dossiers).where(dossiers.c.code == bindparam("of")).values({name: bindparam(name) for name in columns})
    )


def _set(db: Connection, fact: Fact[Any], **values: Any) -> None:
    row = {"revision": fact.revision, **values}
    db.execute(_update(tuple(row)), {"of": fact.event.code, **row})
    if "due_at" in values:
        db.execute(_DUE, {"code": fact.event.code, "position": fact.position, "due_at": values["due_at"]})


def _set_to(db: Connection, fact: Fact[Any], **values: Any) -> None:
    """The same where values are expressions."""
    db.execute(update(dossiers).where(dossiers.c.code == fact.event.code).values(revision=fact.revision, **values))


def _moment(event: Any, name: str) -> datetime | None:
    return from_timestamp(getattr(event, name)) if event.HasField(name) else None


def _counted(event: Any) -> dict[str, Any]:
    """How an event's due date was counted; a calendar is named where it is another than before."""
    return {"provisional": event.provisional, **({"calendar": event.calendar} if event.calendar else {})}


_SUBMIT = insert(dossiers)


@lists.on_many(e.DossierSubmitted)
def submitted(db: Connection, submissions: Sequence[Fact[e.DossierSubmitted]]) -> None:
    db.execute(_SUBMIT, [_submitted(fact) for fact in submissions])


def _submitted(fact: Fact[e.DossierSubmitted]) -> dict[str, Any]:
    event = fact.event
    return {
        "code": event.code,
        "applicant_id": event.applicant_id,
        "procedure_code": event.procedure_code,
        "procedure_version": event.procedure_version,
        "applicant_name": event.applicant_name,
        "event_id": str(fact.event_id),
        "settlement": Settlement.SETTLEMENT_NEWLY_REGISTERED,
        "finance": Finance.FINANCE_NOTHING_DUE,
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


_ASSESS = insert(fees)


@lists.on(e.FeeAssessed)
def fee_assessed(db: Connection, fact: Fact[e.FeeAssessed]) -> None:
    event = fact.event
    row = {"fee_id": event.fee_id, "code": event.code, "condition": event.condition, "finance": Finance.FINANCE_DUE}
    db.execute(_ASSESS, row | {"pay_by": from_timestamp(event.pay_by) if event.stops_unpaid else None})
    values: dict[str, Any] = {"finance": Finance.FINANCE_DUE}
    if event.condition == e.FeeCondition.FEE_CONDITION_RECEPTION:
        values["reception_due_at"] = None
    if event.condition == PROCESSING:
        values["settlement"] = OBLIGATION_REQUESTED
    _set(db, fact, **values)


@lists.on(e.FeePaid)
def fee_paid(db: Connection, fact: Fact[e.FeePaid]) -> None:
    _settled(db, fact, Finance.FINANCE_PAID)


@lists.on(e.FeeCancelled)
def fee_cancelled(db: Connection, fact: Fact[e.FeeCancelled]) -> None:
    _settled(db, fact, Finance.FINANCE_CANCELLED)


def _settled(db: Connection, fact: Fact[Any], finance: int) -> None:
    event = fact.event
    values: dict[str, Any] = {"finance": _finance(db, event.code, event.fee_id, finance)}
    if event.HasField("due_at"):
        values |= {"due_at": from_timestamp(event.due_at), **_counted(event)}
    if event.HasField("reception_due_at"):
        values["reception_due_at"] = from_timestamp(event.reception_due_at)
    _set(db, fact, **values)
    owed = (fees.c.code == event.code) & (fees.c.condition == PROCESSING) & (fees.c.finance == Finance.FINANCE_DUE)
    if db.execute(select(fees.c.fee_id).where(owed).limit(1)).first() is None:
        waiting = (dossiers.c.code == event.code) & (dossiers.c.settlement == OBLIGATION_REQUESTED)
        db.execute(update(dossiers).where(waiting).values(settlement=BEING_PROCESSED))


@lists.on(e.FeeRefunded)
def fee_refunded(db: Connection, fact: Fact[e.FeeRefunded]) -> None:
    _set(db, fact, finance=_finance(db, fact.event.code, fact.event.fee_id, Finance.FINANCE_REFUNDED))


def _finance(db: Connection, code: str, fee_id: str, finance: int) -> int:
    """The dossier's financial dimension once this fee has come so far: as its fee that has come least."""
    db.execute(update(fees).where(fees.c.fee_id == fee_id).values(finance=finance))
    held = set(db.execute(select(fees.c.finance).where(fees.c.code == code)).scalars())
    order = (Finance.FINANCE_DUE, Finance.FINANCE_PAID, Finance.FINANCE_REFUNDED)
    return next((known for known in order if known in held), Finance.FINANCE_NOTHING_DUE)


@lists.on(e.DossierReceived)
def received(db: Connection, fact: Fact[e.DossierReceived]) -> None:
    event = fact.event
    values = {"due_at": _moment(event, "due_at"), "forward_by": _moment(event, "forward_by"), **_counted(event)}
    step = {"step_code": event.next_step_code, "step_role": event.next_role}
    _set(db, fact, **values, **step, procedure_version=event.procedure_version)
    newly = dossiers.c.settlement == Settlement.SETTLEMENT_NEWLY_REGISTERED
    db.execute(
        update(dossiers).where(dossiers.c.code == event.code, newly).values(settlement=Settlement.SETTLEMENT_RECEIVED)
    )


@lists.on(e.DossierRefused)
def refused(db: Connection, fact: Fact[e.DossierRefused]) -> None:
    _set(db, fact, settlement=Settlement.SETTLEMENT_NOT_RECEIVED)


@lists.on(e.SupplementRequested)
def supplement_requested(db: Connection, fact: Fact[e.SupplementRequested]) -> None:
    _set(db, fact, settlement=Settlement.SETTLEMENT_SUPPLEMENT_REQUESTED)


@lists.on(e.SupplementSupplied)
def supplement_supplied(db: Connection, fact: Fact[e.SupplementSupplied]) -> None:
    _set(db, fact, settlement=BEING_PROCESSED, due_at=_moment(fact.event, "due_at"), **_counted(fact.event))


@lists.on(e.ProcessingStarted)
def processing_started(db: Connection, fact: Fact[e.ProcessingStarted]) -> None:
    _set(db, fact, settlement=BEING_PROCESSED)


@lists.on(e.StepAssigned)
def step_assigned(db: Connection, fact: Fact[e.StepAssigned]) -> None:
    event = fact.event
    _set(db, fact, step_code=event.step_code, step_role=event.role, assignee_id=event.assignee_id)


@lists.on(e.StepCompleted)
def step_completed(db: Connection, fact: Fact[e.StepCompleted]) -> None:
    _set(db, fact, step_code=fact.event.next_step_code, step_role=fact.event.next_role, assignee_id="")


@lists.on(e.DossierTransferred)
def transferred(db: Connection, fact: Fact[e.DossierTransferred]) -> None:
    event = fact.event
    if not event.succession:
        values = {"due_at": from_timestamp(event.due_at), **_counted(event)} if event.HasField("due_at") else {}
        homes = {"holder": event.to_agency, "competent_agency": event.to_agency}
        _set(db, fact, **homes, **values, assignee_id="", reached=True)
        return
    _set(db, fact)
    for home in (dossiers.c.reception_agency, dossiers.c.competent_agency, dossiers.c.holder):
        named = (dossiers.c.code == event.code) & (home == event.from_agency)
        db.execute(update(dossiers).where(named).values({home: event.to_agency}))


@lists.on(e.WithdrawalRequested)
def withdrawal_requested(db: Connection, fact: Fact[e.WithdrawalRequested]) -> None:
    _set_to(db, fact, back_to=dossiers.c.settlement, settlement=Settlement.SETTLEMENT_WITHDRAWAL_REQUESTED)


@lists.on(e.WithdrawalDeclined)
def withdrawal_declined(db: Connection, fact: Fact[e.WithdrawalDeclined]) -> None:
    _set_to(db, fact, settlement=dossiers.c.back_to)


@lists.on(e.ProcessingStopped)
def processing_stopped(db: Connection, fact: Fact[e.ProcessingStopped]) -> None:
    _set(db, fact, settlement=Settlement.SETTLEMENT_PROCESSING_STOPPED)


@lists.on(e.ResultIssued)
def result_issued(db: Connection, fact: Fact[e.ResultIssued]) -> None:
    _set(db, fact, settlement=Settlement.SETTLEMENT_PROCESSED, step_code="", step_role="", assignee_id="")


@lists.on(e.ResultReturned)
def result_returned(db: Connection, fact: Fact[e.ResultReturned]) -> None:
    _set(db, fact, settlement=Settlement.SETTLEMENT_RESULT_RETURNED)


@lists.on(e.DeadlinePassed)
def deadline_passed(db: Connection, fact: Fact[e.DeadlinePassed]) -> None:
    _set(db, fact, passed=True)


@lists.on(e.DeadlineExtended)
def deadline_extended(db: Connection, fact: Fact[e.DeadlineExtended]) -> None:
    _set(db, fact, passed=False, due_at=from_timestamp(fact.event.due_at), provisional=False)


@lists.on(e.DeadlineRecounted)
def deadline_recounted(db: Connection, fact: Fact[e.DeadlineRecounted]) -> None:
    _set(db, fact, passed=False, due_at=from_timestamp(fact.event.due_at), **_counted(fact.event))


@lists.on(e.ReceptionDeadlinePassed)
def reception_deadline_passed(db: Connection, fact: Fact[e.ReceptionDeadlinePassed]) -> None:
    _set(db, fact, reception_passed=True)


@lists.on(e.FeeWaived, e.DossierApproved, e.DossierRated, e.DossierSynchronised, e.FormCorrected)
def moved_on(db: Connection, fact: Fact[Any]) -> None:
    _set(db, fact)


@lists.on(e.DraftSaved)
def draft_saved(db: Connection, fact: Fact[e.DraftSaved]) -> None:
    event = fact.event
    last = {"event_id": str(fact.event_id), "revision": fact.revision, "saved": event.SerializeToString()}
    if db.execute(update(drafts).where(drafts.c.draft_id == event.draft_id).values(last)).rowcount:
        return
    whose = {"draft_id": event.draft_id, "applicant_id": event.applicant_id, "begun": fact.position}
    db.execute(insert(drafts).values(whose | last))


@lists.on(e.DraftClaimed)
def draft_claimed(db: Connection, fact: Fact[e.DraftClaimed]) -> None:
    db.execute(update(drafts).where(drafts.c.draft_id == fact.event.draft_id).values(revision=fact.revision))


@lists.on(e.DraftDiscarded, e.DraftSubmitted)
def draft_closed(db: Connection, fact: Fact[Any]) -> None:
    db.execute(delete(drafts).where(drafts.c.draft_id == fact.event.draft_id))


@lists.on(i.AccountRegistered)
def account_registered(db: Connection, fact: Fact[i.AccountRegistered]) -> None:
    event = fact.event
    db.execute(
        insert(accounts).values(
            account_id=event.account_id,
            event_id=str(fact.event_id),
            registered=event.SerializeToString(),
            level=event.level_of_assurance,
        )
    )


@lists.on(i.LoginSucceeded)
def logged_in(db: Connection, fact: Fact[i.LoginSucceeded]) -> None:
    level = fact.event.level_of_assurance
    lower = (accounts.c.account_id == fact.event.account_id) & (accounts.c.level < level)
    db.execute(update(accounts).where(lower).values(level=level))
