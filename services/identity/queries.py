"""Queries over the list tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select

from motcua.identity.v1 import identity_service_pb2 as pb
from motcua.types.v1.types_pb2 import MomentOrder
from services.chassis.calls.paging import By, Listing
from services.chassis.deciding.codec import from_timestamp
from services.identity.counterparts import ACCOUNT_KIND
from services.identity.uses import data_uses
from services.identity.views import accounts, appointments, systems


def accounts_listed(request: pb.ListAccountsRequest, now: datetime) -> Listing:
    official = select(appointments).where(appointments.c.account_id == accounts.c.account_id, in_force(now)).exists()
    query = select(accounts, official.label("official"))
    if request.kind:
        query = query.where(accounts.c.kind == ACCOUNT_KIND.stored(request.kind))
    if request.HasField("registered_from"):
        query = query.where(accounts.c.registered_at >= from_timestamp(request.registered_from))
    if request.HasField("registered_until"):
        query = query.where(accounts.c.registered_at < from_timestamp(request.registered_until))
    newest_first = request.order != MomentOrder.MOMENT_ORDER_OLDEST_FIRST
    return Listing(query, (By(accounts.c.registered_at, newest_first), By(accounts.c.account_id)))


def appointments_listed(request: pb.ListAppointmentsRequest) -> Listing:
    query = select(appointments)
    if request.account_id:
        query = query.where(appointments.c.account_id == request.account_id)
    if request.agency:
        query = query.where(appointments.c.agency == request.agency)
    if request.HasField("at"):
        query = query.where(in_force(from_timestamp(request.at)))
    if request.province:
        query = query.where(appointments.c.province == request.province)
    if request.role:
        query = query.where(_among(appointments.c.roles, " ", str(request.role)))
    newest_first = request.order == MomentOrder.MOMENT_ORDER_NEWEST_FIRST
    return Listing(query, (By(appointments.c.starts_at, newest_first), By(appointments.c.appointment_id)))


def systems_listed(request: pb.ListSystemsRequest) -> Listing:
    query = select(systems)
    if request.operator_agency:
        query = query.where(systems.c.operator_agency == request.operator_agency)
    if request.HasField("suspended"):
        query = query.where(systems.c.suspended.is_(request.suspended))
    return Listing(query, (By(systems.c.client_id),))


def data_uses_query(account_id: str) -> Select[Any]:
    return select(data_uses).where(data_uses.c.account_id == account_id)


def data_uses_listed(account_id: str, request: pb.ListMyDataUsesRequest) -> Listing:
    query, columns = data_uses_query(account_id), data_uses.c
    if request.dossier_code:
        query = query.where(_among(columns.dossier_code, ", ", request.dossier_code))
    if request.source:
        query = query.where(columns.source == request.source)
    if request.agency:
        query = query.where(columns.agency == request.agency)
    if request.HasField("used_from"):
        query = query.where(columns.at >= from_timestamp(request.used_from))
    if request.HasField("used_until"):
        query = query.where(columns.at < from_timestamp(request.used_until))
    return Listing(query, (By(columns.position, request.order != MomentOrder.MOMENT_ORDER_OLDEST_FIRST),))


def _among(several: ColumnElement[str], between: str, one: str) -> ColumnElement[bool]:
    """Of a column that holds several in one text."""
    return (literal(between) + several + literal(between)).contains(f"{between}{one}{between}", autoescape=True)


def in_force(at: datetime) -> ColumnElement[bool]:
    columns = appointments.c
    return and_(
        columns.starts_at <= at,
        or_(columns.ends_at.is_(None), columns.ends_at > at),
        or_(columns.ended_at.is_(None), columns.ended_at > at),
    )
