"""How many persons without a dossier each official looks up: counted before the population database is asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from services.chassis.database.database import insert_new
from services.identity.refusals import Refused
from services.identity.uses import walk_ins

WALK_INS_PER_HOUR = 60
HOUR = timedelta(hours=1)


def count(db: Connection, official: str, request_id: str, at: datetime) -> None:
    """Counts the request once, however often it is sent. Raises Rejected TOO_MANY_WALK_INS."""
    own = walk_ins.c.official == official
    db.execute(delete(walk_ins).where(own, walk_ins.c.at <= at - HOUR))
    insert_new(db, walk_ins, {"official": official, "request_id": request_id, "at": at})
    if db.execute(select(func.count()).select_from(walk_ins).where(own)).scalar_one() > WALK_INS_PER_HOUR:
        raise Refused("TOO_MANY_WALK_INS", limit=str(WALK_INS_PER_HOUR))
