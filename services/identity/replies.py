"""Rows of the view as the API's messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from motcua.identity.events.v1.events_pb2 import SystemChanged
from motcua.identity.v1 import identity_pb2
from motcua.options.v1.options_pb2 import Role
from services.chassis.database.database import utc
from services.chassis.deciding.codec import to_timestamp
from services.identity.counterparts import ACCOUNT_KIND, SCOPE


def account_summary_of(row: Any) -> identity_pb2.AccountSummary:
    return identity_pb2.AccountSummary(
        account_id=row.account_id,
        kind=ACCOUNT_KIND.shown(row.kind),
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
        scopes=map(SCOPE.shown, SystemChanged.FromString(row.scopes).scopes),
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
