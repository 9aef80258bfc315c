"""Follows the event store: every event of a dossier becomes one leaf, in the log's order, once.

Leaves, tiles, map, checkpoint and position are one transaction, so that a crash or a second replica can neither leave one out nor
add it twice. What was planned on an older position is thrown away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.ledger import entries, growth, metrics, tables
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.entries import Found
from gateway.ledger.errors import LedgerError
from gateway.ledger.growth import Chains, Growth
from gateway.ledger.merkle import leaf_hash
from gateway.ledger.note import Note, Signer
from gateway.ledger.publishing import Publisher
from services.chassis import positions, telemetry
from services.chassis.database import Database
from services.chassis.positions import PositionLost
from services.chassis.privacy import KeyRing, Keys
from services.chassis.store.port import EventStore, RecordedEvent

FOLLOWER = "ledger"
# Leaves of one transaction and one checkpoint.
MOST_LEAVES = 1000
# How long a replica leaves the log to the one that runs it, and what failed rests.
BACK_OFF_SECONDS = 2.0

log = structlog.get_logger()


class Sequencer:
    def __init__(
        self,
        store: EventStore,
        database: Database,
        keys: KeyRing,
        signer: Signer,
        publisher: Publisher,
        seconds: float,
        published: Callable[[Note], None],
    ) -> None:
        """`seconds` lie between two checkpoints; `published` hears of each one that is out."""
        self.caught_up = asyncio.Event()
        self._store = store
        self._database = database
        self._keys = keys
        self._signer = signer
        self._publisher = publisher
        self._seconds = seconds
        self._published = published
        self._checkpoint_at = -seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except PositionLost:
                log.info("the ledger runs elsewhere")
                self.caught_up.set()
            except Exception:
                log.exception("the ledger stopped, trying again")
                metrics.FAILURES.labels("sequence").inc()
            await asyncio.sleep(BACK_OFF_SECONDS)

    async def _follow(self) -> None:
        position = await self._database.write(partial(positions.load, follower=FOLLOWER))
        await self._publish()
        waiting: list[RecordedEvent] = []
        async with aclosing(self._store.subscribe(position, entries.TYPES)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                waiting += entries.of_dossiers(batch.events)
                if waiting and (batch.caught_up or len(waiting) >= MOST_LEAVES):
                    metrics.LAG.set(telemetry.age(waiting[0].recorded_at))
                    # What happens meanwhile waits in the subscription.
                    await asyncio.sleep(max(0.0, self._checkpoint_at + self._seconds - time.monotonic()))
                    await self._sequence(waiting, position, batch.position)
                    position, waiting = batch.position, []
                if batch.caught_up:
                    metrics.LAG.set(0)
                    self.caught_up.set()

    async def _sequence(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        found = await asyncio.to_thread(entries.read, events)
        # Asked to make the keys that never were: a subject that then has none was erased.
        keys = await self._keys.keys({each.subject for each in found}, create=True)
        growth = await self._database.read(partial(self._plan, found=found, keys=keys, old=old))
        await self._database.write(partial(self._commit, growth=growth, old=old, new=new))
        self._checkpoint_at = time.monotonic()
        await self._publish()

    def _plan(self, db: Connection, found: Sequence[Found], keys: Keys, old: int) -> Growth:
        tables.snapshot(db)
        standing = tables.standing(db)
        if standing is None or positions.load(db, FOLLOWER) != old:
            raise PositionLost(FOLLOWER)
        chains = Chains(tables.heads_of(db, {each.code for each in found}))
        leaves = []
        for each in found:
            revision = each.event.revision
            leaf = entries.leaf_of(each, keys, chains.previous(each.code, revision, str(each.event.id)))
            entry = leaf.entry()
            chains.add(each.code, revision, leaf_hash(entry))
            leaves.append((leaf, entry))
        return growth.grow(db, standing.size, leaves)

    def _commit(self, db: Connection, growth: Growth, old: int, new: int) -> None:
        positions.move(db, FOLLOWER, old, new)
        growth.store(db)
        tables.advance(db, growth.size, signed(self._signer, growth))

    async def _publish(self) -> None:
        """Until it is out: no leaf follows before, so that no receipt is ever given under what nobody saw."""
        while True:
            try:
                note = await self._publisher.publish()
            except (OSError, LedgerError):
                log.exception("the ledger is not published, trying again")
                metrics.FAILURES.labels("publish").inc()
                await asyncio.sleep(BACK_OFF_SECONDS)
            else:
                self._published(note)
                return


def signed(signer: Signer, growth: Growth) -> Note:
    text = Checkpoint(signer.verifier.name, growth.size, growth.root, growth.heads).text()
    return Note(text, (signer.sign(text),))
