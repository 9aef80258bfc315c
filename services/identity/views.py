"""What lists are read from: no personal data. A single account is read from its stream."""

from __future__ import annotations

from collections.abc import Iterable
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
    insert,
    update,
)

from motcua.identity.events.v1 import events_pb2 as e
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

metadata = MetaData()
accounts = Table(
    "accounts_v5",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False, index=True),
    Column("last_login_at", DateTime(timezone=True)),
    Column("erased", Boolean, nullable=False, default=False),
    Index("accounts_v5_by_kind", "kind", "registered_at"),
)
appointments = Table(
    "appointments_v5",
    metadata,
    Column("appointment_id", String, primary_key=True),
    Column("account_id", String, nullable=False, index=True),
    # Numbers of Role with blanks between.
    Column("roles", String, nullable=False),
    Column("agency", String, nullable=False, index=True),
    Column("province", String, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    Column("title", String, nullable=False),
    Column("decision_number", String, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
)
systems = Table(
    "systems_v5",
    metadata,
    Column("client_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("operator_agency", String, nullable=False),
    Column("purposes", String, nullable=False),
    Column("kid", String, nullable=False),
    Column("public_jwk", String, nullable=False),
    # PurposeScopes as the newest event holds them.
    Column("scopes", LargeBinary, nullable=False),
    Column("suspended", Boolean, nullable=False, default=False),
    Column("certificate_required", Boolean, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
)

lists = Projection("identity_v5", metadata)


@lists.on(e.AccountRegistered)
def account_registered(db: Connection, fact: Fact[e.AccountRegistered]) -> None:
    event = fact.event
    db.execute(
        insert(accounts).values(account_id=event.account_id, kind=event.kind, registered_at=from_timestamp(event.at))
    )


@lists.on(e.LoginSucceeded)
def login_succeeded(db: Connection, fact: Fact[e.LoginSucceeded]) -> None:
    mine = accounts.c.account_id == fact.event.account_id
    db.execute(update(accounts).where(mine).values(last_login_at=from_timestamp(fact.event.at)))


@lists.on(e.ErasureDecided)
def erasure_decided(db: Connection, fact: Fact[e.ErasureDecided]) -> None:
    if fact.event.outcome == e.ErasureOutcome.ERASURE_OUTCOME_SHREDDED:
        db.execute(update(accounts).where(accounts.c.account_id == fact.event.account_id).values(erased=True))


@lists.on(e.OfficialAppointed)
def official_appointed(db: Connection, fact: Fact[e.OfficialAppointed]) -> None:
    event = fact.event
    db.execute(
        insert(appointments).values(
            appointment_id=event.appointment_id,
            account_id=event.account_id,
            roles=" ".join(str(role) for role in event.roles),
            agency=event.agency,
            province=event.province,
            starts_at=from_timestamp(event.starts_at),
            ends_at=from_timestamp(event.ends_at) if event.HasField("ends_at") else None,
            title=event.title,
            decision_number=event.decision_number,
        )
    )


@lists.on(e.AppointmentEnded)
def appointment_ended(db: Connection, fact: Fact[e.AppointmentEnded]) -> None:
    this = appointments.c.appointment_id == fact.event.appointment_id
    db.execute(update(appointments).where(this).values(ended_at=from_timestamp(fact.event.at)))


@lists.on(e.SystemRegistered)
def system_registered(db: Connection, fact: Fact[e.SystemRegistered]) -> None:
    event = fact.event
    db.execute(
        insert(systems).values(
            client_id=event.client_id,
            name=event.name,
            operator_agency=event.operator_agency,
            purposes=" ".join(event.purposes),
            kid=event.kid,
            public_jwk=event.public_jwk,
            scopes=_scopes(event.scopes),
            certificate_required=event.certificate_required,
            registered_at=from_timestamp(event.at),
            revision=fact.revision,
        )
    )


def _scopes(scopes: Iterable[e.PurposeScope]) -> bytes:
    return e.SystemChanged(scopes=scopes).SerializeToString()


def _set_system(db: Connection, fact: Fact[Any], **values: Any) -> None:
    this = systems.c.client_id == fact.event.client_id
    db.execute(update(systems).where(this).values(revision=fact.revision, **values))


@lists.on(e.SystemChanged)
def system_changed(db: Connection, fact: Fact[e.SystemChanged]) -> None:
    purposes, required = " ".join(fact.event.purposes), fact.event.certificate_required
    _set_system(db, fact, purposes=purposes, certificate_required=required, scopes=_scopes(fact.event.scopes))


@lists.on(e.SystemKeyRotated)
def system_key_rotated(db: Connection, fact: Fact[e.SystemKeyRotated]) -> None:
    _set_system(db, fact, kid=fact.event.kid, public_jwk=fact.event.public_jwk)


@lists.on(e.SystemSuspended)
def system_suspended(db: Connection, fact: Fact[e.SystemSuspended]) -> None:
    _set_system(db, fact, suspended=True)


@lists.on(e.SystemReinstated)
def system_reinstated(db: Connection, fact: Fact[e.SystemReinstated]) -> None:
    _set_system(db, fact, suspended=False)
