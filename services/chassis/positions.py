"""How far each view and reaction of a service has come, moved by compare-and-swap: of two replicas one wins."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, insert, select, update

from services.chassis.store.port import START

metadata = MetaData()
positions = Table(
    "positions",
    metadata,
    Column("follower", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)


class PositionLost(Exception):
    """Another replica moved this position: it runs this follower now."""


def load(db: Connection, follower: str) -> int:
    found = db.execute(select(positions.c.position).where(positions.c.follower == follower)).scalar()
    if found is None:
        db.execute(insert(positions).values(follower=follower, position=START))
        return START
    return int(found)


def move(db: Connection, follower: str, old: int, new: int) -> None:
    """Raises PositionLost."""
    if old == new:
        return
    moved = db.execute(
        update(positions).where(positions.c.follower == follower, positions.c.position == old).values(position=new)
    )
    if moved.rowcount != 1:
        raise PositionLost(follower)
