"""Who opened whose data, in every service: what each person may see of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, DateTime, Index, MetaData, String, Table, insert, select

from motcua.catalogue.events.v1.events_pb2 import AgencyChanged, AgencyOpened, AgencyVersionWithdrawn
from motcua.identity.events.v1 import events_pb2 as e
from motcua.privacy.events.v1.events_pb2 import DataListed, DataUsed
from motcua.warehouse.events.v1.events_pb2 import DocumentRead
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.agency_names import called, drop, put
from services.chassis.following.views import Projection

metadata = MetaData()
data_uses = Table(
    "data_uses_v2",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", String, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("by", String, nullable=False),
    Column("agency", String, nullable=False),
    # With blanks between.
    Column("roles", String, nullable=False, default=""),
    Column("purpose", String, nullable=False),
    Column("legal_basis", String, nullable=False, default=""),
    # Of several with ", " between.
    Column("dossier_code", String, nullable=False, default=""),
    Column("source", String, nullable=False),
    Index("data_uses_v2_of_account", "account_id", "position"),
)

# What agencies and systems are called.
agencies = Table(
    "agency_names_v2",
    metadata,
    Column("code", String, primary_key=True),
    Column("vi", String, nullable=False),
    Column("en", String, nullable=False),
)
systems = Table(
    "system_names_v2",
    metadata,
    Column("client_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("agency", String, nullable=False),
)

# Of each official's last hour.
walk_ins = Table(
    "walk_ins",
    metadata,
    Column("official", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
)

uses = Projection("data_uses_v2", metadata, kept=(walk_ins,))


def name_of_agency(db: Connection, code: str, language: str, day: str) -> str:
    """The code itself where the catalogue does not know it."""
    row = called(db, agencies, code, day)
    if row is None:
        return code
    name: str = row.en if language == "en" and row.en else row.vi
    return name


def name_of_system(db: Connection, client_id: str, language: str, pattern: str, day: str) -> str:
    row = db.execute(select(systems).where(systems.c.client_id == client_id)).one_or_none()
    if row is None:
        return client_id
    return pattern.format(name=row.name, agency=name_of_agency(db, row.agency, language, day))


def _use(db: Connection, fact: Fact[Any], account_id: str, source: str, **values: str) -> None:
    event = fact.event
    if event.by == account_id:
        return
    row = {"position": fact.position, "account_id": account_id, "at": from_timestamp(event.at), "source": source}
    db.execute(insert(data_uses).values(**row, by=event.by, agency=event.agency, purpose=event.purpose, **values))


@uses.on(DataUsed)
def data_used(db: Connection, fact: Fact[DataUsed]) -> None:
    event = fact.event
    more = {"roles": " ".join(event.roles), "legal_basis": event.legal_basis, "dossier_code": event.code}
    _use(db, fact, event.subject_id, event.opened, **more)


@uses.on(DataListed)
def data_listed(db: Connection, fact: Fact[DataListed]) -> None:
    """For each of the persons on the page one use, of all their dossiers on it."""
    event = fact.event
    codes: dict[str, list[str]] = {}
    for row in event.rows:
        codes.setdefault(row.subject_id, []).append(row.code)
    more = {"roles": " ".join(event.roles), "legal_basis": event.legal_basis}
    for subject, listed in codes.items():
        _use(db, fact, subject, event.opened, dossier_code=", ".join(listed), **more)


@uses.on(e.PopulationLookedUp)
def population_looked_up(db: Connection, fact: Fact[e.PopulationLookedUp]) -> None:
    """A look-up's own fact is its record: it stands whatever the answer was."""
    event = fact.event
    _use(db, fact, event.account_id, "population", legal_basis=event.legal_basis, dossier_code=event.dossier_code)


@uses.on(AgencyOpened)
def agency_opened(db: Connection, fact: Fact[AgencyOpened]) -> None:
    put(db, agencies, fact.event.agency)


@uses.on(AgencyChanged)
def agency_changed(db: Connection, fact: Fact[AgencyChanged]) -> None:
    put(db, agencies, fact.event.agency)


@uses.on(AgencyVersionWithdrawn)
def agency_version_withdrawn(db: Connection, fact: Fact[AgencyVersionWithdrawn]) -> None:
    drop(db, agencies, fact.event.code, fact.event.version)


@uses.on(e.SystemRegistered)
def system_registered(db: Connection, fact: Fact[e.SystemRegistered]) -> None:
    event = fact.event
    db.execute(insert(systems).values(client_id=event.client_id, name=event.name, agency=event.operator_agency))


# As it was recorded before DataUsed.


@uses.on(e.AccountRead)
def account_read(db: Connection, fact: Fact[e.AccountRead]) -> None:
    _use(db, fact, fact.event.account_id, "account")


@uses.on(DocumentRead)
def document_read(db: Connection, fact: Fact[DocumentRead]) -> None:
    _use(db, fact, fact.event.account_id, "document")
