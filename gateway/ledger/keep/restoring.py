"""A log from a backup: it goes on where the public saw it last, or not at all.

Leaves follow from the restored events, their persons' keys and their order alone, so that what was published after the backup, of
events that are in it, comes out the same again; and it is compared. What differs would be a fork, which nobody could ever undo.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import httpx
import structlog
from sqlalchemy import Connection, delete, update

from gateway.ledger.format import heads, merkle
from gateway.ledger.format.checkpoint import Checkpoint, decimal
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.note import Note, Verifier
from gateway.ledger.keep import entries, tables
from gateway.ledger.keep.cosigning import TIMEOUT_SECONDS, Remote
from gateway.ledger.keep.opening import UNFINISHED, add_leaves, dossier_events, require_same_event
from gateway.ledger.keep.sequencing import FOLLOWER, MOST_LEAVES, grown
from gateway.ledger.keep.witness import AddCheckpoint
from services.chassis.database import positions
from services.chassis.database.database import Database, insert_new
from services.chassis.network.outbound import ask
from services.chassis.privacy.sealing import KeyRing
from services.chassis.store.port import START, EventStore, RecordedEvent

log = structlog.get_logger()

Progress = Callable[[int, int], None]


async def hold(database: Database) -> None:
    """No ledger service begins or goes on with a log here until `release`. Raises LedgerError."""
    await database.create(positions.metadata)
    await database.create(tables.metadata)
    await database.write(_hold)
    standing = await database.read(tables.standing)
    if standing is None or standing.vkey != UNFINISHED:
        raise LedgerError("the database holds a ledger already: a backup is restored into an empty site only")


async def release(database: Database, vkey: str) -> None:
    """The restored log may go on. Without a key the site begins a log of its own."""
    if vkey:
        await database.write(lambda db: db.execute(update(tables.ledger).values(vkey=vkey)))
    else:
        await database.write(tables.empty)


async def require_witnesses(witnesses: Sequence[Remote], published: Note) -> list[str]:
    """Raises LedgerError if one has seen more than `published`. Returns the names of those that did not say."""
    size = Checkpoint.parse(published.text).size
    silent = []
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        for witness in witnesses:
            try:
                # Who has cosigned this log before answers with the size: nothing is proved from the log of nothing.
                asked = AddCheckpoint(0, (), published)
                answer = await ask(client, "POST", f"{witness.url}/add-checkpoint", content=asked.format())
                if answer.status not in (200, 409):
                    raise LedgerError(f"it answered {answer.status}")
                known = decimal(answer.text.removesuffix("\n"), "the witness's size") if answer.status == 409 else 0
            except (httpx.HTTPError, ValueError, LedgerError) as error:
                log.warning("a witness did not say what it has seen", witness=witness.verifier.name, error=str(error))
                silent.append(witness.verifier.name)
                continue
            if known > size:
                raise LedgerError(
                    f"the witness {witness.verifier.name} cosigned {known} leaves of this log, --published is of {size}: find the "
                    "newest checkpoint, or see 'Events were lost' in docs/backup.md"
                )
    return silent


async def restore_log(
    database: Database,
    store: EventStore,
    keys: KeyRing,
    verifier: Verifier,
    saved: Note | None,
    bundles: AsyncIterator[Sequence[bytes]],
    published: Note,
    progress: Progress = lambda done, size: None,
) -> int:
    """Makes the log from a backup's entries and, up to what was published, from the restored events; it stays held.

    `saved` is the backup's checkpoint of the entries in `bundles`, `published` the newest that the public has seen. Returns the
    size with which the log goes on, once it is released. Raises LedgerError.
    """
    for note in filter(None, (saved, published)):
        note.require(verifier)
    newest = Checkpoint.parse(published.text)
    checkpoint = Checkpoint.parse(saved.text) if saved else None
    total = max(checkpoint.size if checkpoint else 0, newest.size)
    await database.write(_begin_again)
    events = dossier_events(store)
    size, position = 0, START
    async for bundle in bundles:
        leaves = [(Leaf.parse(entry), entry) for entry in bundle]
        for index, (leaf, _) in enumerate(leaves, start=size):
            position = await require_same_event(events, index, leaf)
        size = await database.write(partial(add_leaves, size=size, leaves=leaves))
        progress(size, total)
    if checkpoint:
        await database.read(partial(_require, checkpoint=checkpoint, size=size, what="the backup's checkpoint"))
    if newest.size <= size:
        root = await database.read(lambda db: merkle.root(tables.tile_reader(db), newest.size))
        if root != newest.root:
            raise LedgerError(_forked(newest, root))
        if saved is None:
            note = published
        elif newest.size == size:
            if published.text != saved.text:
                raise LedgerError(f"there are two checkpoints of {size} leaves: {saved.text!r} and {published.text!r}")
            note = saved.with_signatures(published.signatures)
        else:
            note = saved
    else:
        while size < newest.size:
            found = await _next(events, min(MOST_LEAVES, newest.size - size))
            if not found:
                raise LedgerError(
                    f"a checkpoint of {newest.size} leaves was published, the restored log has events for {size}: "
                    f"{newest.size - size} events that the public saw are lost. This log can never go on: the next event would "
                    "take a place that is taken. See 'Events were lost' in docs/backup.md"
                )
            position = found[-1].position
            size = await _go_on(database, keys, found, size)
            progress(size, total)
        await database.read(partial(_require, checkpoint=newest, size=size, what="the published checkpoint"))
        note = published
    await database.write(partial(_stand, size=size, note=note, position=position))
    return size


def _begin_again(db: Connection) -> None:
    """Removes what an earlier attempt left; the hold stays."""
    tables.empty(db)
    db.execute(delete(positions.positions).where(positions.positions.c.follower == FOLLOWER))
    _hold(db)


def _hold(db: Connection) -> None:
    row = {"id": tables.ONLY, "vkey": UNFINISHED, "size": 0, "note": b"", "published": False, "cosigned": b""}
    insert_new(db, tables.ledger, row)


def _stand(db: Connection, size: int, note: Note, position: int) -> None:
    tables.advance(db, size, note)
    positions.move(db, FOLLOWER, positions.load(db, FOLLOWER), position)


def _require(db: Connection, checkpoint: Checkpoint, size: int, what: str) -> None:
    if size != checkpoint.size:
        raise LedgerError(f"{what} is of {checkpoint.size} leaves, there are {size}")
    root, map_root = merkle.root(tables.tile_reader(db), size), heads.root(tables.StoredPages(db))
    if root != checkpoint.root:
        raise LedgerError(_forked(checkpoint, root))
    if map_root != checkpoint.heads:
        raise LedgerError(
            f"{what} of {size} leaves says the map of heads {checkpoint.heads.hex()}, made is {map_root.hex()}"
        )


def _forked(said: Checkpoint, made: bytes) -> str:
    return (
        f"the checkpoint of {said.size} leaves says the root {said.root.hex()}, the restored events make it {made.hex()}: they "
        "are not the history that was published. Nothing was signed. Look for another backup, or see 'Events were lost' in "
        "docs/backup.md"
    )


async def _next(events: AsyncIterator[RecordedEvent], most: int) -> list[RecordedEvent]:
    """As many as there are, at most `most`."""
    found: list[RecordedEvent] = []
    while len(found) < most and (event := await anext(events, None)):
        found.append(event)
    return found


async def _go_on(database: Database, keys: KeyRing, events: Sequence[RecordedEvent], size: int) -> int:
    """Adds the leaves of these events as the sequencer does, and returns the new size."""
    found = entries.read(events)
    held = await keys.keys({each.subject for each in found}, create=True)
    growth = await database.read(partial(grown, size=size, found=found, keys=held))
    await database.write(growth.store)
    return growth.size
