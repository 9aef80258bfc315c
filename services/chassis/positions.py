"""How far each view and reaction of a service has come, moved by compare-and-swap: of two replicas one wins."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, bindparam, select, update

from services.chassis.database import insert_new
from services.chassis.store.port import START

metadata = MetaData()
positions = Table(
    "positions",
    metadata,
    Column("follower", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

_MOVE = (
    update(positions)
    .where(positions.c.follower == bindparam("of"), positions.c.position == bindparam("old"))
    .values(position=bindparam("new"))
)


class PositionLost(Exception):
    """Another replica moved this position: it runs this follower now."""


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
