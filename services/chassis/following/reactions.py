"""Facts in, commands out.

Each reaction follows the log by itself, so that one that fails delays no other. Facts of one stream are taken in order, those of
different streams side by side; the position moves when all of a batch are done. A repeat after a crash changes nothing, because
a command's request id follows from its fact. A fact that cannot succeed is parked, where an operator sees and retries it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, delete, func, select

from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.database import positions
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import Fact, fact_of, message_of
from services.chassis.following.followers import SharedFollower
from services.chassis.machine import chance, moments
from services.chassis.privacy.sealing import SubjectErased
from services.chassis.store.port import Conflict, EventStore, RecordedEvent, StoreUnavailable
from services.chassis.telemetry import gauges, telemetry
from services.chassis.telemetry.gauges import Sample

log = structlog.get_logger()

metadata = MetaData()
parked = Table(
    "parked",
    metadata,
    Column("reaction", String, primary_key=True),
    Column("event_id", String, primary_key=True),
    Column("event_type", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("error", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked_at", String, nullable=False),
)

SIDE_BY_SIDE = 32
ATTEMPTS = 8
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 30.0
# Refusals by a rule: trying the same again leads nowhere.
FINAL = (Rejected, SubjectErased)
# But for these, which pass: they are tried until they do.
PASSING = frozenset({"NOT_READY", "OVERLOADED", "UNAVAILABLE", "REVISION_CONFLICT"})
# The platform's own stores.
OWN = (StoreUnavailable, BlobsUnavailable, DatabaseUnavailable)

React = Callable[[Fact[Any]], Awaitable[None]]
When = Callable[[Any], bool]


class Reaction(SharedFollower):
    """Runs `react` for every fact of some types, as the follower `name`."""

    # Longer than anything that it asks takes; what answers with a failure is tried again, and that is no standing still.
    still_seconds = 120.0

    def __init__(
        self,
        name: str,
        types: Sequence[str],
        react: React,
        database: Database,
        store: EventStore,
        when: When | None = None,
        *,
        standby: bool = False,
    ) -> None:
        super().__init__(
            name,
            types,
            database,
            store,
            lag=gauges.REACTION_LAG.of(name),
            failures=telemetry.REACTION_FAILURES.labels(name),
            standby=standby,
        )
        self._react = react
        self._when = when
        self._attempts = 0
        self._places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def start(self) -> None:
        await self._database.create(metadata)
        await super().start()

    async def _observe(self) -> list[Sample]:
        counted = select(func.count()).select_from(parked).where(parked.c.reaction == self.name)
        waiting = await self._database.read(lambda db: db.execute(counted).scalar_one())
        return [*await super()._observe(), gauges.PARKED.at(waiting, self.name)]

    async def _place(self) -> object:
        place = await super()._place()
        return None if place is None else (place, self._attempts)

    async def list_parked(self) -> list[dict[str, Any]]:
        return await self._database.read(lambda db: [dict(row) for row in db.execute(self._parked()).mappings()])

    async def retry(self, event_id: str) -> bool:
        """Try a parked fact again; it leaves the list when it succeeds. Raises what the reaction raises."""
        rows = [row for row in await self.list_parked() if row["event_id"] == event_id]
        if not rows:
            return False
        stream = await self._store.read(rows[0]["stream"])
        (found,) = (event for event in stream if str(event.id) == event_id)
        await self._react(fact_of(found))
        await self._database.write(
            lambda db: db.execute(delete(parked).where(parked.c.reaction == self.name, parked.c.event_id == event_id))
        )
        return True

    def _parked(self) -> Any:
        return select(parked).where(parked.c.reaction == self.name).order_by(parked.c.position)

    async def take(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        await self._visibly(partial(self._react_to, events), old)
        await self._database.write(partial(positions.move, follower=self.name, old=old, new=new))

    async def _react_to(self, events: Sequence[RecordedEvent]) -> None:
        by_stream = itertools.groupby(
            sorted(filter(self._wanted, events), key=lambda e: (e.stream, e.revision)), key=lambda e: e.stream
        )
        async with asyncio.TaskGroup() as group:
            for _, of_stream in by_stream:
                group.create_task(self._in_order(list(of_stream)))

    def _wanted(self, event: RecordedEvent) -> bool:
        return self._when is None or self._when(message_of(event))

    async def _in_order(self, events: Sequence[RecordedEvent]) -> None:
        async with self._places:
            for event in events:
                await self._settle(event)

    async def _settle(self, event: RecordedEvent) -> None:
        fact = fact_of(event)
        for attempt in itertools.count(1):
            self._attempts += 1
            try:
                await self._react(fact)
                return
            except Exception as error:
                if isinstance(error, OWN):
                    self._owned.failing(error)
                if not _passes(error) and (isinstance(error, FINAL) or attempt >= ATTEMPTS):
                    await self._park(event, error, attempt)
                    return
                telemetry.REACTION_FAILURES.labels(self.name).inc()
                log.warning(
                    "reaction failed, trying again", reaction=self.name, event_type=event.type, error=repr(error)
                )
                longest = min(FIRST_DELAY_SECONDS * 2 ** min(attempt, 20), LONGEST_DELAY_SECONDS)
                await moments.sleep(chance.uniform(longest / 2, longest))

    async def _park(self, event: RecordedEvent, error: Exception, attempts: int) -> None:
        log.error("fact parked", reaction=self.name, event_type=event.type, stream=event.stream, error=repr(error))
        row = {
            "reaction": self.name,
            "event_id": str(event.id),
            "event_type": event.type,
            "stream": event.stream,
            "position": event.position,
            "error": f"{error!r} {getattr(error, 'facts', '')}".strip()[:2000],
            "attempts": attempts,
            "parked_at": moments.now().isoformat(),
        }

        def write(db: Connection) -> None:
            db.execute(delete(parked).where(parked.c.reaction == self.name, parked.c.event_id == row["event_id"]))
            db.execute(parked.insert().values(**row))

        await self._database.write(write)


def _passes(error: Exception) -> bool:
    if isinstance(error, Rejected):
        return error.reason in PASSING
    return isinstance(error, (Conflict, *OWN))
