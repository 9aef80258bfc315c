"""What is checked before the log goes on: that it is the log it was, and that database and published files agree.

A database that was lost is made again from the files, each of which is checked on the way; files that were lost are made again
from the database (publishing.py). What disagrees is refused: an operator has to look at it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

import structlog
from sqlalchemy import Connection

from gateway.ledger.format import heads, merkle, tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import TILE_WIDTH, leaf_hash
from gateway.ledger.format.note import Note, Signer
from gateway.ledger.format.tiles import TileName
from gateway.ledger.keep import entries, growth, tables
from gateway.ledger.keep.growth import Chains
from gateway.ledger.keep.publishing import Publisher, plain
from gateway.ledger.keep.sequencing import FOLLOWER
from gateway.ledger.keep.storage import Storage
from services.chassis.database import positions
from services.chassis.database.database import Database
from services.chassis.store.port import START, EventStore, RecordedEvent

EVENTS = 1000
# In the place of the log's key, while a backup is restored.
UNFINISHED = "unfinished restore"

log = structlog.get_logger()


async def open_log(
    database: Database, storage: Storage, store: EventStore, signer: Signer, publisher: Publisher
) -> None:
    """Begins the log, goes on with it, or makes its lost database again. Raises LedgerError, with what the operator can do."""
    await database.create(positions.metadata)
    await database.create(tables.metadata)
    published = await publisher.current()
    standing = await database.read(tables.standing)
    if standing and standing.vkey == UNFINISHED:
        raise LedgerError(
            "a backup is being restored into this site, or was and did not come to its end: run `motcua restore` again. To go on "
            "without it could sign another history than the public has seen."
        )
    if standing is None:
        if published:
            await _recover(database, storage, store, signer, published)
        else:
            empty = Checkpoint(signer.verifier.name, 0, merkle.EMPTY_ROOT, heads.EMPTY).format()
            note = Note(empty, (signer.sign(empty),))
            await database.write(partial(tables.begin, vkey=signer.vkey, size=0, note=note))
        standing = await database.read(tables.standing)
        assert standing is not None
    if standing.vkey != signer.vkey:
        raise LedgerError(
            f"this ledger is {standing.vkey}, the settings say {signer.vkey}: a log never changes its name or its key. "
            "Set MOTCUA_LEDGER_ORIGIN and MOTCUA_LEDGER_KEY back to what they were."
        )
    if published:
        await database.read(partial(_require_same_log, published=published, size=standing.size))


def _require_same_log(db: Connection, published: Note, size: int) -> None:
    out = Checkpoint.parse(published.text)
    if out.size > size:
        raise LedgerError(
            f"a checkpoint of {out.size} leaves is published, the database holds {size}: it is older than what was "
            "published. Move ledger.db away, and it is made again from the published files."
        )
    root = merkle.root(tables.tile_reader(db), out.size)
    if root != out.root:
        raise LedgerError(
            f"the published checkpoint of {out.size} leaves has the root {out.root.hex()}, the database {root.hex()}: "
            "one of them was changed. Compare both with a backup or a witness before anything is published."
        )


async def _recover(database: Database, storage: Storage, store: EventStore, signer: Signer, published: Note) -> None:
    checkpoint = Checkpoint.parse(published.text)
    log.warning("the ledger's database is lost, making it again from the published files", size=checkpoint.size)
    await database.write(tables.empty)
    events = dossier_events(store)
    size, position = 0, START
    for index in range(-(-checkpoint.size // TILE_WIDTH)):
        name = TileName(None, index, min(TILE_WIDTH, checkpoint.size - size))
        leaves = []
        for entry in tiles.parse_bundle(plain(name, await _file(storage, name)), name.width):
            leaves.append((Leaf.parse(entry), entry))
            position = await require_same_event(events, size + len(leaves) - 1, leaves[-1][0])
        size = await database.write(partial(add_leaves, size=size, leaves=leaves))
    await _require_same_tiles(database, storage, checkpoint.size)
    work = partial(_finish, vkey=signer.vkey, checkpoint=checkpoint, published=published, position=position)
    await database.write(work)
    log.warning("the ledger's database is made again", size=size)


async def _file(storage: Storage, name: TileName) -> bytes:
    content = await storage.read(name.path)
    if content is None:
        raise LedgerError(f"the published file {name.path} is missing: bring it back from a backup or a mirror")
    return content


async def dossier_events(store: EventStore) -> AsyncIterator[RecordedEvent]:
    after = START
    while events := await store.read_all(after, entries.TYPES, EVENTS):
        for event in entries.of_dossiers(events):
            yield event
        after = events[-1].position


async def require_same_event(events: AsyncIterator[RecordedEvent], index: int, leaf: Leaf) -> int:
    """Takes the next event, which must be the leaf's, and returns its position. Raises LedgerError."""
    event = await anext(events, None)
    if event is None:
        raise LedgerError(f"leaf {index} is event {leaf.id} of {leaf.code}, the event store ends before it")
    stored = (event.id, entries.code_of(event), event.revision, event.type, event.recorded_at)
    shown = (leaf.id, leaf.code, leaf.revision, leaf.type, leaf.time)
    if stored != shown:
        differences = [f"{b} (event store: {a})" for a, b in zip(stored, shown, strict=True) if a != b]
        raise LedgerError(
            f"leaf {index} says {', '.join(differences)}: the event store or the published file was changed"
        )
    return event.position


def add_leaves(db: Connection, size: int, leaves: Sequence[tuple[Leaf, bytes]]) -> int:
    """Stores leaves that were published before, each with its entry, after `size` others. Returns the new size.

    Raises LedgerError if they do not follow on each other.
    """
    chains = Chains(tables.heads_of(db, {leaf.code for leaf, _ in leaves}))
    for index, (leaf, entry) in enumerate(leaves, start=size):
        previous = chains.previous(leaf.code, leaf.revision, str(leaf.id))
        if leaf.previous != previous:
            raise LedgerError(
                f"leaf {index} names {leaf.previous.hex() or 'nothing'} as the one before it of {leaf.code}, "
                f"that one is {previous.hex() or 'nothing'}"
            )
        chains.add(leaf.code, leaf.revision, leaf_hash(entry))
    grown = growth.grow(db, size, leaves)
    grown.store(db)
    return grown.size


async def _require_same_tiles(database: Database, storage: Storage, size: int) -> None:
    for level, index, width in tiles.new_tiles(0, size):
        name = TileName(level, index, width)
        made = await database.read(partial(_tile, level=level, index=index, width=width))
        if await _file(storage, name) != made:
            raise LedgerError(f"the published file {name.path} does not follow from the published entries")


def _tile(db: Connection, level: int, index: int, width: int) -> bytes:
    return tables.tile_reader(db)(level, index, width)


def _finish(db: Connection, vkey: str, checkpoint: Checkpoint, published: Note, position: int) -> None:
    root, map_root = merkle.root(tables.tile_reader(db), checkpoint.size), heads.root(tables.StoredPages(db))
    for what, made, said in (("root", root, checkpoint.root), ("map of heads", map_root, checkpoint.heads)):
        if made != said:
            raise LedgerError(
                f"the published entries have the {what} {made.hex()}, the checkpoint of {checkpoint.size} says {said.hex()}"
            )
    tables.begin(db, vkey, checkpoint.size, published)
    positions.move(db, FOLLOWER, positions.load(db, FOLLOWER), position)
