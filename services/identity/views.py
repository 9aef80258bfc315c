"""What lists are read from: no personal data. A single account is read from its stream."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    update,
)

from motcua.identity.events.v1 import events_pb2 as e
from services.chassis.codec import from_timestamp
from services.chassis.facts import Fact
from services.chassis.views import Projection

metadata = MetaData()
accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False, index=True),
    Column("last_login_at", DateTime(timezone=True)),
    Column("erased", Boolean, nullable=False, default=False),
)
appointments = Table(
    "appointments",
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
    "systems",
    metadata,
    Column("client_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("operator_agency", String, nullable=False),
    Column("purposes", String, nullable=False),
    Column("kid", String, nullable=False),
    Column("public_jwk", String, nullable=False),
    Column("suspended", Boolean, nullable=False, default=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
)
data_uses = Table(
    "data_uses",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", String, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", String, nullable=False),
    Column("agency", String, nullable=False),
    Column("purpose", String, nullable=False),
    Column("legal_basis", String, nullable=False, default=""),
    Column("dossier_code", String, nullable=False, default=""),
    Column("source", String, nullable=False),
    Index("data_uses_of_account", "account_id", "position"),
)

lists = Projection("identity_v1", metadata)


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
            registered_at=from_timestamp(event.at),
            revision=fact.revision,
        )
    )


def _set_system(db: Connection, fact: Fact[Any], **values: Any) -> None:
    this = systems.c.client_id == fact.event.client_id
    db.execute(update(systems).where(this).values(revision=fact.revision, **values))


@lists.on(e.SystemKeyRotated)
def system_key_rotated(db: Connection, fact: Fact[e.SystemKeyRotated]) -> None:
    _set_system(db, fact, kid=fact.event.kid, public_jwk=fact.event.public_jwk)


@lists.on(e.SystemSuspended)
def system_suspended(db: Connection, fact: Fact[e.SystemSuspended]) -> None:
    _set_system(db, fact, suspended=True)


@lists.on(e.SystemReinstated)
def system_reinstated(db: Connection, fact: Fact[e.SystemReinstated]) -> None:
    _set_system(db, fact, suspended=False)


def _use(db: Connection, fact: Fact[Any], source: str, **values: Any) -> None:
    event = fact.event
    if event.by != event.account_id:
        db.execute(
            insert(data_uses).values(
                position=fact.position,
                account_id=event.account_id,
                at=from_timestamp(event.at),
                by=event.by,
                agency=event.agency,
                purpose=event.purpose,
                source=source,
                **values,
            )
        )


@lists.on(e.AccountRead)
def account_read(db: Connection, fact: Fact[e.AccountRead]) -> None:
    _use(db, fact, "account")


@lists.on(e.PopulationLookedUp)
def population_looked_up(db: Connection, fact: Fact[e.PopulationLookedUp]) -> None:
    event = fact.event
    _use(db, fact, "population", legal_basis=event.legal_basis, dossier_code=event.dossier_code)
