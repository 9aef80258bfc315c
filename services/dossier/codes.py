"""Dossier codes: organisation, day and sequence; never twice, gaps allowed.

A counter row per organisation and day gives the number. A request that is sent again finds the code that it was given, so that
it is answered as before, whatever the day. A lost database fills itself from the log, and the event store has the last word: a
stream begins once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, bindparam, select, update

from motcua.dossier.events.v1.events_pb2 import DossierSubmitted
from services.chassis.database.database import insert_new
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

CODE = re.compile(
    r"^(?P<org>(?:\d{3}(?:\.\d{2}){2}\.[A-Z]\d{2})|(?:[A-Z]\d{2}(?:\.\d{1,3}){0,4}))"
    r"-(?P<date>\d{6}|\d{8})-(?P<seq>\d{4,7})$",
    re.ASCII,
)
LAST = 9_999_999

metadata = MetaData()
counters = Table(
    "code_counters",
    metadata,
    Column("organisation", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("last", Integer, nullable=False),
)
given = Table(
    "codes_given_v2",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("organisation", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("code", String, nullable=False),
)

codes = Projection("codes_v2", metadata, kept=(counters,))


class Wanted(NamedTuple):
    """What a code is wanted for: an organisation, a day as YYYYMMDD, a request."""

    organisation: str
    day: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Given:
    """The codes of a request: `code` here and today, `others` that it was given elsewhere or on another day."""

    code: str
    others: tuple[str, ...] = ()


_GIVEN = select(given).where(given.c.request_id.in_(bindparam("ids", expanding=True)))
_HERE = (counters.c.organisation == bindparam("organisation_")) & (counters.c.day == bindparam("day_"))
_COUNT = update(counters).where(_HERE).values(last=counters.c.last + bindparam("more")).returning(counters.c.last)
_RAISE = update(counters).where(_HERE, counters.c.last < bindparam("to")).values(last=bindparam("to"))


def allocate(db: Connection, wanted: Sequence[Wanted]) -> dict[Wanted, Given]:
    """The code that each of the requests has, or a new one; none where the organisation has given all of the day's."""
    held = _held(db, wanted)
    rows = []
    lacking = sorted(one for one in wanted if one[:2] not in held[one.request_id])
    for (organisation, day), group in groupby(lacking, itemgetter(0, 1)):
        asking = list(group)
        first = _count(db, organisation, day, len(asking)) - len(asking) + 1
        for sequence, one in enumerate(asking, first):
            if sequence <= LAST:
                rows.append({**one._asdict(), "code": f"{organisation}-{day}-{sequence:07d}"})
    if rows:
        insert_new(db, given, *rows)
        # Of two replicas that give one request a code at this moment, one was first.
        held = _held(db, wanted)
    found = {}
    for one in wanted:
        others = dict(held[one.request_id])
        if code := others.pop(one[:2], None):
            found[one] = Given(code, tuple(others.values()))
    return found


def _held(db: Connection, wanted: Iterable[Wanted]) -> defaultdict[str, dict[tuple[str, str], str]]:
    held: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for row in db.execute(_GIVEN, {"ids": [one.request_id for one in wanted]}):
        held[row.request_id][row.organisation, row.day] = row.code
    return held


def _count(db: Connection, organisation: str, day: str, more: int) -> int:
    """Counts so many more, and returns the last number."""
    values = {"organisation_": organisation, "day_": day, "more": more}
    last = db.execute(_COUNT, values).scalar()
    if last is None:
        insert_new(db, counters, {"organisation": organisation, "day": day, "last": 0})
        last = db.execute(_COUNT, values).scalar_one()
    return int(last)


def codes_of_request(db: Connection, request_id: str) -> list[str]:
    """All codes of the request, of whatever organisation and day."""
    return [row.code for row in db.execute(_GIVEN, {"ids": [request_id]})]


def forget(db: Connection, code: str) -> None:
    """Forgets a code that turned out to be taken: the next call allocates another."""
    db.execute(given.delete().where(given.c.code == code))


@codes.on_many(DossierSubmitted)
def submitted(db: Connection, submissions: Sequence[Fact[DossierSubmitted]]) -> None:
    rows = []
    last: dict[tuple[str, str], int] = {}
    for fact in submissions:
        match = CODE.match(fact.event.code)
        if match is None:
            raise ValueError(f"not a dossier code: {fact.event.code}")
        organisation, day = place = match["org"], match["date"]
        last[place] = max(last.get(place, 0), int(match["seq"]))
        rows.append(Wanted(organisation, day, fact.request_id)._asdict() | {"code": fact.event.code})
    for organisation, day in sorted(last):
        sequence = last[organisation, day]
        insert_new(db, counters, {"organisation": organisation, "day": day, "last": sequence})
        db.execute(_RAISE, {"organisation_": organisation, "day_": day, "to": sequence})
    insert_new(db, given, *rows)
