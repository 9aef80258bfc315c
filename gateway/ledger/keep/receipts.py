"""What a person keeps: proofs under the published checkpoint, made when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, select, tuple_

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note
from gateway.ledger.format.proof import DossierReceipt, TlogProof
from gateway.ledger.keep import tables
from gateway.ledger.keep.entries import CATEGORY
from gateway.ledger.keep.tables import Standing, leaves
from services.chassis.database.database import Database
from services.chassis.machine import moments
from services.chassis.store.port import EventStore
from services.chassis.work.batching import Batched

WAIT_SECONDS = 2.0
# How soon a checkpoint of another replica is seen.
POLL_SECONDS = 0.1


class ReceiptPending(Exception):
    """The event is stored and not in a published checkpoint yet."""


class Receipts:
    def __init__(self, database: Database, store: EventStore) -> None:
        self._store = store
        self._events = Batched[tuple[str, int], TlogProof](lambda asked: database.read(partial(_events, asked=asked)))
        self._dossiers = Batched[str, DossierReceipt](lambda codes: database.read(partial(_dossiers, codes=codes)))
        self._moved = asyncio.Event()

    def moved(self) -> None:
        """A checkpoint was published."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def event(self, code: str, revision: int) -> TlogProof | None:
        """None if there is no such event. Raises ReceiptPending."""
        until = moments.monotonic() + WAIT_SECONDS
        while True:
            moved = self._moved
            if found := await self._events.get((code, revision)):
                return found
            if not await self._store.read(CATEGORY + code, revision - 1):
                return None
            await self._wait(moved, until)

    async def dossier(self, code: str) -> DossierReceipt | None:
        """All events that were stored when it was asked for; None if there is no such dossier. Raises ReceiptPending."""
        until = moments.monotonic() + WAIT_SECONDS
        newest = await self._store.read(CATEGORY + code)
        if not newest:
            return None
        while True:
            moved = self._moved
            found = await self._dossiers.get(code)
            if found and len(found.entries) >= len(newest):
                return found
            await self._wait(moved, until)

    async def _wait(self, moved: asyncio.Event, until: float) -> None:
        left = until - moments.monotonic()
        if left <= 0:
            raise ReceiptPending
        try:
            async with asyncio.timeout(min(left, POLL_SECONDS)):
                await moved.wait()
        except TimeoutError:
            pass


def _events(db: Connection, asked: Sequence[tuple[str, int]]) -> dict[tuple[str, int], TlogProof]:
    standing = _published(db)
    if standing is None:
        return {}
    notes, read = _notes(standing), tables.tile_reader(db)
    columns = (leaves.c.number, leaves.c.code, leaves.c.revision, leaves.c.entry)
    found = {}
    for row in db.execute(select(*columns).where(tuple_(leaves.c.code, leaves.c.revision).in_(asked))):
        size, note = next(each for each in notes if row.number < each[0])
        hashes = merkle.inclusion_proof(read, row.number, size)
        found[row.code, row.revision] = TlogProof(row.number, tuple(hashes), note, row.entry)
    return found


def _dossiers(db: Connection, codes: Sequence[str]) -> dict[str, DossierReceipt]:
    standing = _published(db)
    if standing is None:
        return {}
    note, pages = Note.parse(standing.note), tables.StoredPages(db)
    query = select(leaves.c.code, leaves.c.entry).where(leaves.c.code.in_(codes)).order_by(leaves.c.revision)
    entries: dict[str, list[bytes]] = {code: [] for code in codes}
    for row in db.execute(query):
        entries[row.code].append(row.entry)
    found = {}
    for code in codes:
        head, proof = heads.prove(pages, code)
        if (head.events if head else 0) != len(entries[code]):
            raise LedgerError(f"the map says of {code} {head}, the database has {len(entries[code])} leaves")
        found[code] = DossierReceipt(code, tuple(entries[code]), proof, note)
    return found


def _published(db: Connection) -> Standing | None:
    """Where the log stands, if everybody can see it."""
    standing = tables.standing(db)
    return standing if standing and standing.published else None


def _notes(standing: Standing) -> list[tuple[int, Note]]:
    """The checkpoints, with their sizes, of which the first that has a leaf is the one to prove it under.

    While witnesses have not answered for the current one, that is the one before, which they cosigned.
    """
    current = Note.parse(standing.note)
    notes = [(standing.size, current)]
    if standing.cosigned:
        earlier = Note.parse(standing.cosigned)
        if len(earlier.signatures) > len(current.signatures):
            notes.insert(0, (Checkpoint.parse(earlier.text).size, earlier))
    return notes
