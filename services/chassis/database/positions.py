"""How far each view and reaction of a service has come, moved by compare-and-swap: of two replicas one wins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from services.chassis.database.database import insert_new
from services.chassis.store.port import START

metadata = MetaData()
positions = Table(
    "positions",
    metadata,
    Column("follower", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# Grows when a standby takes over, and while what a position waits for takes long: who waits sees that it is worked on.
turns = Table(
    "turns",
    metadata,
    Column("follower", String, primary_key=True),
    Column("turn", BigInteger, nullable=False),
)

# Which tables a version of a view has, so that another program can tell what of an old one is left.
versions = Table(
    "view_tables",
    metadata,
    Column("view", String, primary_key=True),
    Column("table_name", String, primary_key=True),
)

_MOVE = (
    update(positions)
    .where(positions.c.follower == bindparam("of"), positions.c.position == bindparam("old"))
    .values(position=bindparam("new"))
)


_TURN = (
    update(turns)
    .where(turns.c.follower == bindparam("of"), turns.c.turn == bindparam("old"))
    .values(turn=bindparam("new"))
)
_STANDING = (
    select(positions.c.position, func.coalesce(turns.c.turn, 0))
    .outerjoin(turns, turns.c.follower == positions.c.follower)
    .where(positions.c.follower == bindparam("of"))
)


class PositionLost(Exception):
    """Another replica moved this position: it runs this follower now."""


class Standing(NamedTuple):
    position: int
    turn: int


def begin(db: Connection, follower: str, tables: Sequence[str]) -> None:
    """The view's tables were made, and are empty."""
    forget(db, follower)
    db.execute(insert(versions), [{"view": follower, "table_name": name} for name in tables])


def forget(db: Connection, follower: str) -> None:
    db.execute(delete(positions).where(positions.c.follower == follower))
    db.execute(delete(turns).where(turns.c.follower == follower))
    db.execute(delete(versions).where(versions.c.view == follower))


def old(db: Connection, current: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Views of which `current`, views with their tables, has a newer version or none, with the tables that no current one has.

    One that is newer is not among them: it is of a release that was rolled back, and may come again.
    """
    newest = dict(map(_versioned, current))
    in_use = {table for tables in current.values() for table in tables}
    found: dict[str, list[str]] = {}
    for row in db.execute(select(versions).order_by(versions.c.view, versions.c.table_name)):
        base, version = _versioned(row.view)
        if row.view not in current and version < newest.get(base, version + 1):
            found.setdefault(row.view, [])
            if row.table_name not in in_use:
                found[row.view].append(row.table_name)
    return found


def _versioned(view: str) -> tuple[str, int]:
    base, _, version = view.rpartition("_v")
    return base, int(version)


def load(db: Connection, follower: str) -> int:
    position = select(positions.c.position).where(positions.c.follower == follower)
    found = db.execute(position).scalar()
    if found is None:
        insert_new(db, positions, {"follower": follower, "position": START})
        found = db.execute(position).scalar_one()
    return int(found)


def move(db: Connection, follower: str, old: int, new: int) -> None:
    """Raises PositionLost."""
    if old == new:
        return
    moved = db.execute(_MOVE, {"of": follower, "old": old, "new": new})
    if moved.rowcount != 1:
        raise PositionLost(follower)


def standing(db: Connection, follower: str) -> Standing:
    return Standing(*db.execute(_STANDING, {"of": follower}).one())


def turn_of(db: Connection, follower: str) -> int:
    """0 if there was none yet."""
    return int(db.execute(select(turns.c.turn).where(turns.c.follower == follower)).scalar() or 0)


def turn(db: Connection, follower: str, known: int) -> int:
    """The next one. Raises PositionLost if it is not `known` any more."""
    if not known:
        insert_new(db, turns, {"follower": follower, "turn": 0})
    if db.execute(_TURN, {"of": follower, "old": known, "new": known + 1}).rowcount != 1:
        raise PositionLost(follower)
    return known + 1
