"""Queries over the list tables, and their rows as messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import ColumnElement, Select, and_, or_, select

from motcua.identity.events.v1.events_pb2 import SystemChanged
from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from motcua.options.v1.options_pb2 import Role
from services.chassis.calls.paging import By, Listing
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp, to_timestamp
from services.identity.uses import data_uses
from services.identity.views import accounts, appointments, systems


def accounts_listed(request: pb.ListAccountsRequest, now: datetime) -> Listing:
    official = select(appointments).where(appointments.c.account_id == accounts.c.account_id, in_force(now)).exists()
    query = select(accounts, official.label("official"))
    if request.kind:
        query = query.where(accounts.c.kind == request.kind)
    return Listing(query, (By(accounts.c.registered_at, newest_first=True), By(accounts.c.account_id)))


def appointments_listed(request: pb.ListAppointmentsRequest) -> Listing:
    query = select(appointments)
    if request.account_id:
        query = query.where(appointments.c.account_id == request.account_id)
    if request.agency:
        query = query.where(appointments.c.agency == request.agency)
    if request.HasField("at"):
        query = query.where(in_force(from_timestamp(request.at)))
    return Listing(query, (By(appointments.c.starts_at), By(appointments.c.appointment_id)))


def systems_listed() -> Listing:
    return Listing(select(systems), (By(systems.c.client_id),))


def data_uses_query(account_id: str) -> Select[Any]:
    return select(data_uses).where(data_uses.c.account_id == account_id)


def data_uses_of(account_id: str) -> Listing:
    return Listing(data_uses_query(account_id), (By(data_uses.c.position, newest_first=True),))


def in_force(at: datetime) -> ColumnElement[bool]:
    columns = appointments.c
    return and_(
        columns.starts_at <= at,
        or_(columns.ends_at.is_(None), columns.ends_at > at),
        or_(columns.ended_at.is_(None), columns.ended_at > at),
    )


def account_summary_of(row: Any) -> identity_pb2.AccountSummary:
    return identity_pb2.AccountSummary(
        account_id=row.account_id,
        kind=row.kind,
        registered_at=_stamp(row.registered_at),
        last_login_at=_stamp(row.last_login_at),
        official=row.official,
        erased=row.erased,
    )


def appointment_of(row: Any) -> identity_pb2.Appointment:
    return identity_pb2.Appointment(
        appointment_id=row.appointment_id,
        account_id=row.account_id,
        roles=[Role.ValueType(int(role)) for role in row.roles.split()],
        agency=row.agency,
        province=row.province,
        starts_at=_stamp(row.starts_at),
        ends_at=_stamp(row.ends_at),
        title=row.title,
        decision_number=row.decision_number,
        ended_at=_stamp(row.ended_at),
    )


def system_of(row: Any) -> identity_pb2.System:
    return identity_pb2.System(
        client_id=row.client_id,
        name=row.name,
        operator_agency=row.operator_agency,
        purposes=row.purposes.split(),
        kid=row.kid,
        public_jwk=row.public_jwk,
        suspended=row.suspended,
        registered_at=_stamp(row.registered_at),
        revision=row.revision,
        certificate_required=row.certificate_required,
        scopes=SystemChanged.FromString(row.scopes).scopes,
    )


def data_use_of(row: Any) -> identity_pb2.DataUse:
    return identity_pb2.DataUse(
        at=_stamp(row.at),
        by=row.by,
        agency=row.agency,
        purpose=row.purpose,
        legal_basis=row.legal_basis,
        dossier_code=row.dossier_code,
        source=row.source,
        roles=row.roles.split(),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    """SQLite gives back moments without their zone; all are UTC."""
    if moment is None:
        return None
    return to_timestamp(utc(moment))
