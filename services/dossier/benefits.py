"""Which exemptions a person has used, for those that may be used so many times in a year."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import Column, Connection, DateTime, LargeBinary, MetaData, String, Table, insert, select

from motcua.dossier.events.v1 import events_pb2 as facts
from services.chassis.database.database import utc
from services.chassis.deciding.codec import from_timestamp
from services.chassis.deciding.facts import Fact
from services.chassis.deciding.handler import Handler
from services.chassis.following.views import Projection, RunningView, Snapshot, position_token
from services.chassis.privacy.sealing import KeyRing, open_message, unshown
from services.chassis.store.port import EventStore
from services.dossier.commands import Command
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from services.dossier.law import Law
from services.law.course import Settlement
from services.law.days import local_day
from services.law.definitions import Procedure
from services.law.fees import exemptions_on, in_period

metadata = MetaData()
waivers = Table(
    "waivers_v1",
    metadata,
    Column("event_id", String, primary_key=True),
    Column("applicant_id", String, nullable=False, index=True),
    Column("code", String, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    # As it was stored: which exemptions stays sealed.
    Column("waived", LargeBinary, nullable=False),
)
benefits = Projection("benefits_v1", metadata)
# Whose dossier ended so used nothing.
_UNUSED = (Settlement.NOT_RECEIVED, Settlement.PROCESSING_STOPPED)


@benefits.on(facts.FeeWaived)
def fee_waived(db: Connection, fact: Fact[facts.FeeWaived]) -> None:
    event = fact.event
    only = facts.FeeWaived(code=event.code, applicant_id=event.applicant_id, exemptions=event.exemptions)
    row = {"applicant_id": event.applicant_id, "code": event.code, "at": from_timestamp(event.at)}
    db.execute(insert(waivers).values(event_id=str(fact.event_id), waived=only.SerializeToString(), **row))


def waived_for(db: Connection, applicant_id: str) -> Sequence[Any]:
    return db.execute(select(waivers).where(waivers.c.applicant_id == applicant_id)).all()


def is_limited(procedure: Procedure, day: str) -> bool:
    return any(exemption.uses for exemption in exemptions_on(procedure, day))


async def _used_up_in(
    rows: Sequence[Any],
    procedure: Procedure,
    day: str,
    own: str,
    load: Callable[[str], Awaitable[tuple[Dossier, int]]],
    keys: KeyRing,
) -> frozenset[str]:
    """Of the rows of one person, the procedure's exemptions that another dossier than `own` has used as often as may be."""
    used: defaultdict[str, set[str]] = defaultdict(set)
    limited = {each.code: each for each in exemptions_on(procedure, day) if each.uses}
    for row in rows:
        on = local_day(utc(row.at))
        state, _ = await load(row.code)
        if row.code == own or state.procedure_code != procedure.code or state.settlement in _UNUSED:
            continue
        with unshown():
            opened = await open_message(facts.FeeWaived.FromString(row.waived), UUID(row.event_id), keys)
        for code in opened.get("exemptions", "").split(","):
            if code in limited and in_period(limited[code], on, day):
                used[code].add(row.code)
    return frozenset(code for code, dossiers in used.items() if len(dossiers) >= limited[code].uses)


class Turns:
    """Lets one submission of a person through at a time, where what one uses another cannot. Within this process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, account_id: str) -> asyncio.Lock:
        return self._locks.setdefault(account_id, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class Benefits:
    view: RunningView
    store: EventStore
    dossiers: Handler[Command, Dossier, Event]
    law: Snapshot[Law]
    keys: KeyRing
    turns: Turns

    async def turn_of(self, code: str) -> asyncio.Lock:
        """The turn of the dossier's applicant."""
        state, _ = await self.dossiers.load(code)
        return self.turns.turn(state.applicant_id)

    async def used_up(self, procedure: Procedure, applicant_id: str, day: str, own: str = "") -> frozenset[str]:
        """The exemptions that other dossiers of the applicant than `own` used up.

        Raises Rejected NOT_READY while the view is behind the log.
        """
        if not is_limited(procedure, day):
            return frozenset()
        head = position_token(await self.store.head())
        rows = await self.view.read(lambda db: waived_for(db, applicant_id), head)
        return await _used_up_in(rows, procedure, day, own, self.dossiers.load, self.keys)

    async def used_by_others(self, state: Dossier, now: datetime) -> frozenset[str]:
        """The exemptions that the applicant's other dossiers used up, on the day of this one's submission. Raises as used_up."""
        procedure = (await self.law.get()).version(state.procedure_code, state.procedure_version)
        day = local_day(state.submitted_at or now)
        return await self.used_up(procedure, state.applicant_id, day, state.code)
