"""Dossier codes: organisation, day and sequence; never twice, gaps allowed.

A counter row per organisation and day gives the number. A request that is sent again finds the code that it was given. A lost
database fills itself from the log, and the event store has the last word: a stream begins once.
"""

from __future__ import annotations

import re
from datetime import date

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, update

from motcua.dossier.events.v1.events_pb2 import DossierSubmitted
from services.chassis.facts import Fact
from services.chassis.views import Projection

CODE = re.compile(
    r"^(?P<org>(?:\d{3}(?:\.\d{2}){2}\.[A-Z]\d{2})|(?:[A-Z]\d{2}(?:\.\d{1,3}){0,4}))"
    r"-(?P<date>\d{6}|\d{8})-(?P<seq>\d{4,7})$",
    re.ASCII,
)

metadata = MetaData()
counters = Table(
    "code_counters",
    metadata,
    Column("organisation", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("last", Integer, nullable=False),
)
given = Table(
    "codes_given",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("code", String, nullable=False),
)

codes = Projection("codes_v1", metadata)


def allocate(db: Connection, organisation: str, day: date, request_id: str) -> str:
    """The request's code: the one it has, or a new one."""
    found = db.execute(select(given.c.code).where(given.c.request_id == request_id)).scalar()
    if found is not None:
        return str(found)
    stamp = day.strftime("%Y%m%d")
    here = (counters.c.organisation == organisation) & (counters.c.day == stamp)
    last = db.execute(update(counters).where(here).values(last=counters.c.last + 1).returning(counters.c.last)).scalar()
    if last is None:
        last = 1
        db.execute(insert(counters).values(organisation=organisation, day=stamp, last=last))
    code = f"{organisation}-{stamp}-{last:07d}"
    db.execute(insert(given).values(request_id=request_id, code=code))
    return code


def forget(db: Connection, request_id: str) -> None:
    """The code turned out to be taken: the next call allocates another."""
    db.execute(given.delete().where(given.c.request_id == request_id))


@codes.on(DossierSubmitted)
def submitted(db: Connection, fact: Fact[DossierSubmitted]) -> None:
    match = CODE.match(fact.event.code)
    if match is None:
        raise ValueError(f"not a dossier code: {fact.event.code}")
    organisation, stamp, sequence = match["org"], match["date"], int(match["seq"])
    here = (counters.c.organisation == organisation) & (counters.c.day == stamp)
    last = db.execute(select(counters.c.last).where(here)).scalar()
    if last is None:
        db.execute(insert(counters).values(organisation=organisation, day=stamp, last=sequence))
    elif last < sequence:
        db.execute(update(counters).where(here).values(last=sequence))
    known = db.execute(select(given.c.code).where(given.c.request_id == fact.request_id)).scalar()
    if known is None:
        db.execute(insert(given).values(request_id=fact.request_id, code=fact.event.code))
