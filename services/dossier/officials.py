"""Who is appointed where, learnt from identity's facts: steps are assigned to officials who are there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, DateTime, Index, MetaData, String, Table, insert, or_, select, update

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.access.access import role_name
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

metadata = MetaData()
appointments = Table(
    "appointments_v1",
    metadata,
    Column("appointment_id", String, primary_key=True),
    Column("account_id", String, nullable=False),
    Column("agency", String, nullable=False),
    # With blanks between.
    Column("roles", String, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    # The term's end, or the moment it was ended.
    Column("ends_at", DateTime(timezone=True)),
    Index("appointments_v1_of", "account_id", "agency"),
)

officials = Projection("officials_v1", metadata)


@officials.on(identity.OfficialAppointed)
def appointed(db: Connection, fact: Fact[identity.OfficialAppointed]) -> None:
    event = fact.event
    db.execute(
        insert(appointments).values(
            appointment_id=event.appointment_id,
            account_id=event.account_id,
            agency=event.agency,
            roles=" ".join(map(role_name, event.roles)),
            starts_at=from_timestamp(event.starts_at),
            ends_at=from_timestamp(event.ends_at) if event.HasField("ends_at") else None,
        )
    )


@officials.on(identity.AppointmentEnded)
def ended(db: Connection, fact: Fact[identity.AppointmentEnded]) -> None:
    this = appointments.c.appointment_id == fact.event.appointment_id
    db.execute(update(appointments).where(this).values(ends_at=from_timestamp(fact.event.at)))


def roles_of(db: Connection, account_id: str, agency: str, at: datetime) -> frozenset[str]:
    """The roles in which the account is appointed at the agency at that moment."""
    t = appointments.c
    here = (t.account_id == account_id) & (t.agency == agency) & (t.starts_at <= at)
    rows = db.scalars(select(t.roles).where(here, or_(t.ends_at.is_(None), t.ends_at > at)))
    return frozenset(role for roles in rows for role in roles.split())
