"""The indicators' tables, and the fold that counts each fact of a dossier."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
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
    case,
    delete,
    insert,
    literal,
    select,
    update,
)

from motcua.dossier.events.v1 import events_pb2 as d
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection
from services.warehouse.indicators import COUNTERS, Counts, DossierRow, Key, increments, key, remembered

metadata = MetaData()
dossiers = Table(
    "counted_dossiers_v2",
    metadata,
    Column("code", String, primary_key=True),
    Column("province", String, nullable=False),
    Column("agency", String, nullable=False),
    Column("procedure_code", String, nullable=False),
    Column("supplements", Integer, nullable=False),
    Column("overdue", Boolean, nullable=False),
)
indicators = Table(
    "indicators_v2",
    metadata,
    # 2026-03-02, in Viet Nam.
    Column("day", String, primary_key=True),
    Column("province", String, primary_key=True),
    Column("agency", String, primary_key=True),
    Column("procedure_code", String, primary_key=True),
    Column("month", String, nullable=False),
    # Of the last fact counted here: its place in the log, and the latest moment of all.
    Column("position", BigInteger, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False, index=True),
    *(Column(name, BigInteger, nullable=False, default=0) for name in COUNTERS),
)
# What earlier days add to a later one's overdue dossiers.
_LATE = (indicators.c.overdue > 0) | (indicators.c.overdue_ended > 0)
# On PostgreSQL of all rows: to name its dialect here would load its drivers at every start.
Index("indicators_v2_overdue", indicators.c.day, sqlite_where=_LATE)

counters = Projection("indicators_v2", metadata)


@counters.on(
    d.DossierSubmitted,
    d.SupplementRequested,
    d.SupplementSupplied,
    d.FormCorrected,
    d.DossierReceived,
    d.DossierRefused,
    d.ResultIssued,
    d.ProcessingStopped,
    d.ResultReturned,
    d.DeadlinePassed,
    d.ReceptionDeadlinePassed,
    d.DossierRated,
)
def counted(db: Connection, fact: Fact[Any]) -> None:
    event = fact.event
    found = db.execute(select(dossiers).where(dossiers.c.code == event.code)).mappings().one_or_none()
    before = DossierRow(**found) if found else None
    after = remembered(event, before)
    if after is None:
        return
    if after != before:
        db.execute(delete(dossiers).where(dossiers.c.code == event.code))
        db.execute(insert(dossiers).values(**asdict(after)))
    row = before or after
    if added := increments(event, row):
        _add(db, key(event, row), added, fact.position, from_timestamp(event.at))


def _add(db: Connection, where: Key, added: Counts, position: int, at: datetime) -> None:
    t = indicators
    keys = where._asdict() | {"day": where.day.isoformat()}
    latest = case((t.c.as_of < at, literal(at, t.c.as_of.type)), else_=t.c.as_of)
    sums: dict[str, Any] = {name: t.c[name] + n for name, n in added.items()}
    same = [t.c[name] == value for name, value in keys.items()]
    if db.execute(update(t).where(*same).values(position=position, as_of=latest, **sums)).rowcount == 0:
        month = where.day.isoformat()[:7]
        db.execute(insert(t).values(**keys, month=month, position=position, as_of=at, **added))
