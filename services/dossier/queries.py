"""Queries over the list tables, and their rows as messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, func, select

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_pb2
from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.paging import AsOf, By, Listing
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp, to_timestamp
from services.chassis.privacy.sealing import ERASED, LOST, KeyRing, Row, may_open, open_message, open_rows
from services.dossier.counterparts import COMPONENTS, FINANCE, SETTLEMENT
from services.dossier.domain.state import OPEN, PAUSED
from services.dossier.law import Law
from services.dossier.reading import form_of
from services.dossier.views import dossiers, drafts, due_dates, fees
from services.law.course import Finance, Settlement

CLOCK_PAGE = 500
# As domain/endings.py lets a dossier lapse.
_WAITING = [
    Settlement.NEWLY_REGISTERED.value,
    Settlement.SUPPLEMENT_REQUESTED.value,
    Settlement.FINANCIAL_OBLIGATION_REQUESTED.value,
]
_OPEN = [state.value for state in OPEN]
_PAUSED = [state.value for state in PAUSED]
_RUNNING = [state.value for state in OPEN if not state.paused]
# Of who has no due date: after all that have one.
_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
_NEWEST_FIRST = (By(dossiers.c.submitted_at, newest_first=True), By(dossiers.c.code))
_FORWARDED = [Settlement.RECEIVED.value, Settlement.BEING_PROCESSED.value]
_UNRECEIVED = dossiers.c.settlement == Settlement.NEWLY_REGISTERED.value


def mine(applicant_id: str, settlement: int) -> Listing:
    query = select(dossiers).where(dossiers.c.applicant_id == applicant_id)
    if settlement:
        query = query.where(dossiers.c.settlement == settlement)
    return Listing(query, _NEWEST_FIRST)


def work(
    allowed: ColumnElement[bool], agency: str, account_id: str, request: pb.ListWorkRequest, now: datetime
) -> AsOf:
    """The work list, the most urgent first, by the due dates of the moment when the list was begun: they move while it is read."""
    states = [request.settlement] if request.settlement else _OPEN
    query = select(dossiers).where(allowed, dossiers.c.holder == agency, dossiers.c.settlement.in_(states))
    if request.step_role:
        query = query.where(dossiers.c.step_role == request.step_role)
    if request.assigned_to_me:
        query = query.where(dossiers.c.assignee_id == account_id)
    if request.overdue:
        query = query.where(dossiers.c.due_at < now, dossiers.c.settlement.in_(_RUNNING))
    if request.reception_late:
        query = query.where(dossiers.c.reception_passed | ((dossiers.c.reception_due_at < now) & _UNRECEIVED))

    def as_of(position: int) -> Listing:
        due = func.coalesce(_due_at(position), _NEVER, type_=dossiers.c.due_at.type)
        return Listing(query, (By(due), By(dossiers.c.submitted_at), By(dossiers.c.code)))

    return as_of


def _due_at(position: int) -> ColumnElement[Any]:
    of = due_dates.c
    known = select(of.due_at).where(of.code == dossiers.c.code, of.position <= position)
    return known.order_by(of.position.desc()).limit(1).scalar_subquery()


def search(allowed: ColumnElement[bool], request: pb.SearchDossiersRequest) -> Listing:
    t = dossiers.c
    query = select(dossiers).where(allowed)
    for column, value in (
        (t.applicant_id, request.applicant_id),
        (t.procedure_code, request.procedure_code),
        (t.settlement, request.settlement),
    ):
        if value:
            query = query.where(column == value)
    if request.HasField("submitted_from"):
        query = query.where(t.submitted_at >= from_timestamp(request.submitted_from))
    if request.HasField("submitted_until"):
        query = query.where(t.submitted_at < from_timestamp(request.submitted_until))
    return Listing(query, _NEWEST_FIRST)


def begun(applicant_id: str) -> Listing:
    query = select(drafts).where(drafts.c.applicant_id == applicant_id)
    return Listing(query, (By(drafts.c.begun, newest_first=True),))


def due_query(now: datetime) -> Select[Any]:
    """Dossiers whose due date passed and is not noted yet."""
    late = (dossiers.c.due_at < now) & dossiers.c.settlement.in_(_RUNNING) & ~dossiers.c.passed
    return select(dossiers.c.code, dossiers.c.due_at).where(late).order_by(dossiers.c.due_at).limit(CLOCK_PAGE)


def reception_due_query(now: datetime) -> Select[Any]:
    """Online dossiers that should have been received, and that is not noted yet."""
    t = dossiers.c
    late = (t.reception_due_at < now) & _UNRECEIVED & ~t.reception_passed
    return select(t.code, t.reception_due_at).where(late).order_by(t.reception_due_at).limit(CLOCK_PAGE)


def recount_query(calendar: str, changed: date, now: datetime) -> Select[Any]:
    """Open dossiers counted by this version of a calendar whose due date is not certain or not before the change."""
    t = dossiers.c
    touched = t.provisional | (t.due_at >= datetime.combine(changed, time(), UTC) - timedelta(days=1))
    running = t.settlement.in_(_PAUSED) | (t.settlement.in_(_RUNNING) & (t.due_at > now))
    where = (t.calendar == calendar) & touched & running
    return select(t.code).where(where).order_by(t.due_at).limit(CLOCK_PAGE)


def forward_query(now: datetime) -> Select[Any]:
    """Dossiers that should have passed to the competent agency."""
    t = dossiers.c
    here = (t.holder == t.reception_agency) & ~t.reached & t.settlement.in_(_FORWARDED)
    return select(t.code, t.competent_agency).where(t.forward_by < now, here).order_by(t.forward_by).limit(CLOCK_PAGE)


def oldest_due_query(now: datetime) -> Select[Any]:
    """The oldest due date that passed and is not noted yet."""
    return select(func.min(due_query(now).subquery().c.due_at))


def unpaid_query(now: datetime) -> Select[Any]:
    """Fees whose time to pay is over, of dossiers that stop then."""
    over = (fees.c.pay_by < now) & (fees.c.finance == Finance.DUE.value) & dossiers.c.settlement.in_(_WAITING)
    query = select(fees.c.code, fees.c.fee_id, fees.c.pay_by).join(dossiers, dossiers.c.code == fees.c.code)
    return query.where(over).order_by(fees.c.pay_by).limit(CLOCK_PAGE)


def homed_query(agencies: Collection[str]) -> Select[Any]:
    """Open dossiers that name one of the agencies."""
    t = dossiers.c
    named = t.holder.in_(agencies) | t.reception_agency.in_(agencies) | t.competent_agency.in_(agencies)
    homes = (t.code, t.reception_agency, t.competent_agency, t.holder)
    return select(*homes).where(named, t.settlement.in_(_OPEN)).order_by(t.code).limit(CLOCK_PAGE)


async def summaries(rows: Sequence[Any], now: datetime, law: Law, keys: KeyRing) -> list[dossier_pb2.DossierSummary]:
    """The rows as messages, with the applicants' names where the call may open them."""
    names = [""] * len(rows)
    if may_open():
        sealed = [Row(row.applicant_id, row.code, UUID(row.event_id), row.applicant_name) for row in rows]
        names = await open_rows(sealed, "applicant_name", keys)
    found = []
    for row, name in zip(rows, names, strict=True):
        summary = _summary(row, now)
        summary.applicant_name = name
        if procedure := law.name_of(row.procedure_code, row.procedure_version):
            summary.procedure_name.vi, summary.procedure_name.en = procedure.vi, procedure.en
        found.append(summary)
    return found


def _summary(row: Any, now: datetime) -> dossier_pb2.DossierSummary:
    due = utc(row.due_at) if row.due_at else None
    reception_due = utc(row.reception_due_at) if row.reception_due_at else None
    waiting = row.settlement == Settlement.NEWLY_REGISTERED.value
    forward_by = utc(row.forward_by) if row.forward_by and not row.reached else None
    return dossier_pb2.DossierSummary(
        code=row.code,
        procedure_code=row.procedure_code,
        applicant_id=row.applicant_id,
        settlement=SETTLEMENT[Settlement(row.settlement)],
        finance=FINANCE.shown(Finance(row.finance)),
        province=row.province,
        reception_agency=row.reception_agency,
        competent_agency=row.competent_agency,
        submitted_at=to_timestamp(utc(row.submitted_at)),
        due_at=to_timestamp(due) if due else None,
        paused=row.settlement in _PAUSED,
        overdue=due is not None and due < now and row.settlement in _RUNNING,
        step_code=row.step_code,
        step_role=row.step_role,
        assignee_id=row.assignee_id,
        revision=row.revision,
        provisional=row.provisional,
        reception_due_at=to_timestamp(reception_due) if reception_due else None,
        reception_late=row.reception_passed or (waiting and reception_due is not None and reception_due < now),
        forward_by=to_timestamp(forward_by) if forward_by else None,
    )


def drafts_of(db: Connection, applicant_id: str) -> int:
    """How many open drafts the applicant has."""
    return db.execute(select(func.count()).where(drafts.c.applicant_id == applicant_id)).scalar_one()


async def draft_of(draft_id: str, event_id: str, revision: int, saved: bytes, keys: KeyRing) -> dossier_pb2.Draft:
    event = facts.DraftSaved.FromString(saved)
    opened = await open_message(event, UUID(event_id), keys)
    return dossier_pb2.Draft(
        draft_id=draft_id,
        procedure_code=event.procedure_code,
        form=form_of(opened.get("form", "")),
        erased=opened.get("form") == ERASED,
        lost=opened.get("form") == LOST,
        components=map(COMPONENTS.shown, event.components),
        reception_agency=event.reception_agency,
        saved_at=event.at,
        revision=revision,
    )
