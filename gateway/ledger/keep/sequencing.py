"""Follows the event store: every event of a dossier becomes one leaf, in the log's order, once.

Leaves, tiles, map, checkpoint and position are one transaction, so that a crash or a second replica can neither leave one out nor
add it twice. What was planned on an older position is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.merkle import leaf_hash
from gateway.ledger.format.note import Note, Signer
from gateway.ledger.keep import entries, growth, metrics, tables
from gateway.ledger.keep.entries import DossierEvent
from gateway.ledger.keep.growth import Chains, Growth
from gateway.ledger.keep.publishing import Publisher
from services.chassis.database import positions
from services.chassis.database.database import Database
from services.chassis.database.positions import PositionLost
from services.chassis.following.followers import GRACE_SECONDS, PAUSE_SECONDS, POLL_SECONDS, SharedFollower
from services.chassis.machine import moments, threads
from services.chassis.privacy.sealing import KeyRing, Keys
from services.chassis.store.port import EventStore, RecordedEvent

FOLLOWER = "ledger"
# Leaves of one transaction and one checkpoint.
MOST_LEAVES = 1000

log = structlog.get_logger()


class Sequencer(SharedFollower):
    """Adds leaves for what it follows, signs a checkpoint after them, and publishes it before it takes more."""

    most = MOST_LEAVES

    def __init__(
        self,
        store: EventStore,
        database: Database,
        keys: KeyRing,
        signer: Signer,
        publisher: Publisher,
        seconds: float,
        published: Callable[[Note], None],
        complete: Callable[[Note], bool],
    ) -> None:
        """`seconds` lie between two checkpoints; `published` hears of each one that is out.

        `complete` tells whether all witnesses cosigned one.
        """
        super().__init__(
            FOLLOWER,
            entries.TYPES,
            database,
            store,
            lag=metrics.LAG.of(),
            failures=metrics.FAILURES.labels("sequence"),
            grace_seconds=GRACE_SECONDS + seconds,
        )
        self._keys = keys
        self._signer = signer
        self._publisher = publisher
        self._seconds = seconds
        self._published = published
        self._complete = complete
        self._checkpoint_at = -seconds

    async def begin(self) -> None:
        await self._publish()

    async def take(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        of_dossiers = entries.of_dossiers(events)
        if not of_dossiers:
            await self._database.write(partial(positions.move, follower=FOLLOWER, old=old, new=new))
            return
        # What happens meanwhile waits in the subscription.
        await moments.sleep(max(0.0, self._checkpoint_at + self._seconds - moments.monotonic()))
        await self._sequence(of_dossiers, old, new)

    async def left(self) -> None:
        """The other replica may have died before it published, or before all witnesses had answered it."""
        ends = moments.monotonic() + self._grace_seconds
        while True:
            standing = await self._database.read(tables.standing)
            if standing and standing.published and self._complete(Note.parse(standing.note)):
                return
            if moments.monotonic() > ends:
                await self._publish()
                return
            await moments.sleep(POLL_SECONDS)

    async def _sequence(self, events: Sequence[RecordedEvent], old: int, new: int) -> None:
        found = await threads.in_thread(entries.read, events)
        # Asked to make the keys that never were: a subject that then has none was erased.
        keys = await self._keys.keys({each.subject for each in found}, create=True)
        growth = await self._database.read(partial(self._plan, found=found, keys=keys, old=old))
        await self._database.write(partial(self._commit, growth=growth, old=old, new=new))
        self._checkpoint_at = moments.monotonic()
        await self._publish()

    def _plan(self, db: Connection, found: Sequence[DossierEvent], keys: Keys, old: int) -> Growth:
        standing = tables.standing(db)
        if standing is None or positions.load(db, FOLLOWER) != old:
            raise PositionLost(FOLLOWER)
        return grown(db, standing.size, found, keys)

    def _commit(self, db: Connection, growth: Growth, old: int, new: int) -> None:
        positions.move(db, FOLLOWER, old, new)
        growth.store(db)
        tables.advance(db, growth.size, signed(self._signer, growth))

    async def _publish(self) -> None:
        """Until it is out: no leaf follows before, so that no receipt is ever given under what nobody saw."""
        while True:
            try:
                note = await self._publisher.publish()
            except (OSError, LedgerError) as error:
                self._owned.failing(error)
                log.exception("the ledger is not published, trying again")
                metrics.FAILURES.labels("publish").inc()
                await moments.sleep(PAUSE_SECONDS)
            else:
                self._published(note)
                return


def grown(db: Connection, size: int, found: Sequence[DossierEvent], keys: Keys) -> Growth:
    """Plans the leaves of these events, which follow on a log of `size` leaves. Raises LedgerError where a revision is missing."""
    chains = Chains(tables.heads_of(db, {each.code for each in found}))
    leaves = []
    for each in found:
        revision = each.event.revision
        leaf = entries.leaf_of(each, keys, chains.previous(each.code, revision, str(each.event.id)))
        entry = leaf.format()
        chains.add(each.code, revision, leaf_hash(entry))
        leaves.append((leaf, entry))
    return growth.grow(db, size, leaves)


def signed(signer: Signer, growth: Growth) -> Note:
    """The log's checkpoint after this growth."""
    text = Checkpoint(signer.verifier.name, growth.size, growth.root, growth.heads).format()
    return Note(text, (signer.sign(text),))
