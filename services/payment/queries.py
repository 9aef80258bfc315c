"""Queries over the view's tables."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select

from motcua.payment.v1 import payment_service_pb2 as pb
from motcua.types.v1.types_pb2 import MomentOrder
from services.chassis.calls.paging import By, Listing
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.codec import from_timestamp
from services.chassis.following.standing import unrestricted
from services.chassis.grounds.concern import mine, office
from services.payment.counterparts import METHOD
from services.payment.refusals import Refused
from services.payment.views import fees, movements, payments, refunds, unmatched

CLOCK_PAGE = 500
# A refund that was not answered for so long is asked about again: its reaction has given up by then.
REFUND_PATIENCE = timedelta(minutes=2)


def payments_listed(caller: Caller, request: pb.ListPaymentsRequest) -> Listing:
    """An official leaves alone what is an own affair, and whose data is restricted."""
    if caller.kind == "official":
        own = payments.c.agency == office(caller)
        if office(caller):  # no counter took what was paid online
            own |= payments.c.counter == office(caller)
        own &= payments.c.payer_id.not_in(sorted(mine(caller))) & unrestricted(payments.c.payer_id)
    else:
        own = payments.c.payer_id == caller.account_id
    query = select(payments.c.payment).where(own)
    if request.dossier_code:
        query = query.where(payments.c.code == request.dossier_code)
    if request.status:
        query = query.where(payments.c.status == request.status)
    if request.agency:
        query = query.where(payments.c.agency == request.agency)
    if request.HasField("requested_from"):
        query = query.where(payments.c.requested_at >= from_timestamp(request.requested_from))
    if request.HasField("requested_until"):
        query = query.where(payments.c.requested_at < from_timestamp(request.requested_until))
    newest_first = request.order != MomentOrder.MOMENT_ORDER_OLDEST_FIRST
    return Listing(query, (By(payments.c.requested_at, newest_first), By(payments.c.fee_id)))


def movements_query(caller: Caller, request: pb.ReconcileDayRequest) -> Select[Any]:
    """Raises Rejected DAY_INVALID, OTHER_AGENCY, SCOPE_MISSING."""
    try:
        day = date.fromisoformat(request.day).isoformat()
    except ValueError:
        raise Refused("DAY_INVALID", day=request.day[:40]) from None
    query = select(movements).where(movements.c.day == day)
    if caller.kind == "official":
        if request.agency not in ("", caller.agency):
            raise Refused("OTHER_AGENCY", agency=request.agency)
        query = query.where(or_(movements.c.agency == caller.agency, movements.c.counter == caller.agency))
    else:
        query = query.where(_in_scope(caller))
        if request.agency:
            query = query.where(movements.c.agency == request.agency)
    if request.method:
        query = query.where(movements.c.method == METHOD.stored(request.method))
    return query


def movements_listed(query: Select[Any], position: int) -> Listing:
    """Those until then, so that they go with the sums of the first page."""
    return Listing(query.where(movements.c.position <= position), (By(movements.c.at), By(movements.c.position)))


def unmatched_listed(caller: Caller, request: pb.ListUnmatchedMoneyRequest) -> Listing:
    """As payments_listed leaves out."""
    query = select(unmatched).where(unmatched.c.agency == office(caller))
    query = query.where(unmatched.c.payer_id.not_in(sorted(mine(caller))), unrestricted(unmatched.c.payer_id))
    if request.dossier_code:
        query = query.where(unmatched.c.code == request.dossier_code)
    if request.undecided_only:
        query = query.where(unmatched.c.refund_status == 0)
    newest_first = request.order == MomentOrder.MOMENT_ORDER_NEWEST_FIRST
    return Listing(query, (By(unmatched.c.paid_at, newest_first), By(unmatched.c.payment_id)))


def _in_scope(system: Caller) -> ColumnElement[bool]:
    """A day's money is reconciled whole: for the agencies of a scope that has all procedures. Raises Rejected SCOPE_MISSING."""
    scopes = [scope for scope in system.scopes if scope.purpose == system.purpose and scope.all_procedures]
    if not scopes:
        raise Refused("SCOPE_MISSING", system=system.account_id, purpose=system.purpose)
    agency = movements.c.agency
    return or_(*(agency.in_(s.agencies) | or_(*(agency.startswith(f"{a}.") for a in s.agencies)) for s in scopes))


def sums_query(of: Select[Any]) -> Select[Any]:
    m = of.subquery()
    taken, back = m.c.amount > 0, m.c.amount < 0
    keys = (m.c.agency, m.c.method, m.c.provider)
    return (
        select(
            *keys,
            func.count(case((taken, 1))).label("taken_count"),
            func.coalesce(func.sum(case((taken, m.c.amount))), 0).label("taken"),
            func.count(case((back, 1))).label("refunded_count"),
            func.coalesce(func.sum(case((back, -m.c.amount))), 0).label("refunded"),
        )
        .group_by(*keys)
        .order_by(*keys)
    )


def expired_query(now: datetime) -> Select[Any]:
    """Open checkouts whose time is over."""
    return (
        select(payments.c.payment).where(payments.c.expires_at <= now).order_by(payments.c.expires_at).limit(CLOCK_PAGE)
    )


def waiting_query(now: datetime) -> Select[Any]:
    """Refunds that wait for the provider's answer."""
    late = refunds.c.requested_at <= now - REFUND_PATIENCE
    return select(refunds.c.requested).where(late).order_by(refunds.c.requested_at).limit(CLOCK_PAGE)


def oldest_query(now: datetime) -> Select[Any]:
    """When the oldest open checkout whose time is over ended, and when the oldest refund that waits was asked for."""
    over = select(func.min(payments.c.expires_at)).where(payments.c.expires_at <= now).scalar_subquery()
    return select(over, select(func.min(refunds.c.requested_at)).scalar_subquery())


def fees_query(code: str) -> Select[Any]:
    return select(fees.c.fee_id).where(fees.c.code == code).order_by(fees.c.fee_id)
