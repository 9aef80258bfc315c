"""What each database remembers of the site: its id, how far the log was, and how far its sibling was that no log gives back.

A store that is put back from an older copy, or comes from another site, is known by what the others remember.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, func, inspect, select

from services.chassis.database import positions
from services.chassis.database.database import insertion_of
from services.chassis.store.port import START

metadata = MetaData()
table = Table(
    "site_marks",
    metadata,
    # This database itself, or another one of which it knows.
    Column("store", String, primary_key=True),
    Column("site_id", String, nullable=False),
    # How often it was opened.
    Column("opened", BigInteger, nullable=False),
    # The log ended at least here, with this event; empty where the store cannot name it.
    Column("position", BigInteger, nullable=False),
    Column("event", String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Mark:
    site_id: str
    opened: int = 0
    position: int = START
    event: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one database."""

    marks: Mapping[str, Mark]
    furthest: int
    """The position to which a follower has come."""


NOTHING = Memory({}, START)


def memory(db: Connection, schema: str | None) -> Memory:
    """Creates nothing."""
    there = set(inspect(db).get_table_names(schema))
    marks = {}
    if table.name in there:
        marks = {row.store: Mark(row.site_id, row.opened, row.position, row.event) for row in db.execute(select(table))}
    furthest = START
    if positions.positions.name in there:
        furthest = db.execute(select(func.max(positions.positions.c.position))).scalar() or START
    return Memory(marks, int(furthest))


def open_own(db: Connection, store: str, mark: Mark) -> Mark:
    """Count one more time that it is opened."""
    row = db.execute(select(table).where(table.c.store == store)).first()
    keep(db, store, counted := replace(mark, opened=(row.opened if row else 0) + 1))
    return counted


def keep(db: Connection, store: str, mark: Mark) -> None:
    """Nothing goes back: of replicas that say how far the log is, the one that is furthest counts."""
    insertion: Any = insertion_of(db.dialect.name)(table)
    row = {"store": store, "site_id": mark.site_id, "opened": mark.opened}
    place = {"position": mark.position, "event": mark.event}
    new = insertion.excluded
    fresher = new.position >= table.c.position
    db.execute(
        insertion.on_conflict_do_update(
            index_elements=["store"],
            set_={"position": new.position, "event": new.event, "opened": new.opened},
            where=fresher,
        ).values(row | place)
    )
