"""What a person keeps: proofs under the published checkpoint, made when they are asked for."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from sqlalchemy import Connection, select

from gateway.ledger import heads, merkle, tables
from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.entries import CATEGORY
from gateway.ledger.errors import LedgerError
from gateway.ledger.note import Note
from gateway.ledger.proof import DossierReceipt, TlogProof
from gateway.ledger.tables import Standing
from services.chassis.database import Database
from services.chassis.store.port import EventStore

WAIT_SECONDS = 2.0
# How soon a checkpoint of another replica is seen.
POLL_SECONDS = 0.1


class NotYet(Exception):
    """The event is stored and not in a published checkpoint yet."""


class Receipts:
    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """A checkpoint was published."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def event(self, code: str, revision: int) -> TlogProof | None:
        """None if there is no such event. Raises NotYet."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            moved = self._moved
            if found := await self._database.read(partial(_event, code=code, revision=revision)):
                return found
            if not await self._store.read(CATEGORY + code, revision - 1):
                return None
            await self._wait(moved, until)

    async def dossier(self, code: str) -> DossierReceipt | None:
        """All events that were stored when it was asked for; None if there is no such dossier. Raises NotYet."""
        until = time.monotonic() + WAIT_SECONDS
        newest = await self._store.read(CATEGORY + code)
        if not newest:
            return None
        while True:
            moved = self._moved
            found = await self._database.read(partial(_dossier, code=code))
            if found and len(found.entries) >= len(newest):
                return found
            await self._wait(moved, until)

    async def _wait(self, moved: asyncio.Event, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise NotYet
        try:
            async with asyncio.timeout(min(left, POLL_SECONDS)):
                await moved.wait()
        except TimeoutError:
            pass


def _event(db: Connection, code: str, revision: int) -> TlogProof | None:
    standing = _published(db)
    query = select(tables.leaves).where(tables.leaves.c.code == code, tables.leaves.c.revision == revision)
    row = db.execute(query).first()
    if standing is None or row is None:
        return None
    note = _best(standing, row.number)
    size = Checkpoint.parse(note.text).size
    hashes = merkle.inclusion_proof(tables.tile_reader(db), row.number, size)
    return TlogProof(row.number, tuple(hashes), note, row.entry)


def _dossier(db: Connection, code: str) -> DossierReceipt | None:
    standing = _published(db)
    if standing is None:
        return None
    query = select(tables.leaves.c.entry).where(tables.leaves.c.code == code).order_by(tables.leaves.c.revision)
    entries = tuple(row.entry for row in db.execute(query))
    head, proof = heads.prove(tables.StoredPages(db), code)
    if (head.events if head else 0) != len(entries):
        raise LedgerError(f"the map of heads says that {code} has {head}, the database has {len(entries)} leaves")
    return DossierReceipt(code, entries, proof, Note.parse(standing.note))


def _published(db: Connection) -> Standing | None:
    """Where the log stands, if everybody can see it."""
    standing = tables.standing(tables.snapshot(db))
    return standing if standing and standing.published else None


def _best(standing: Standing, index: int) -> Note:
    """The current checkpoint; while witnesses have not answered, the one before that they cosigned, if it has the leaf."""
    current = Note.parse(standing.note)
    if standing.cosigned:
        earlier = Note.parse(standing.cosigned)
        if len(earlier.signatures) > len(current.signatures) and Checkpoint.parse(earlier.text).size > index:
            return earlier
    return current
