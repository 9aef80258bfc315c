"""The database's log as static files: tiles first, the checkpoint last. Whatever was cut short is finished by the next one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from gateway.ledger.format import tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.merkle import TILE_HEIGHT, TILE_WIDTH
from gateway.ledger.format.note import Note, Verifier
from gateway.ledger.format.tiles import TileName
from gateway.ledger.keep import metrics, tables
from gateway.ledger.keep.storage import Storage
from services.chassis.database.database import Database

CHECKPOINT = "checkpoint"
GZIP_LEVEL = 6  # higher ones save little here


class Publisher:
    def __init__(self, database: Database, storage: Storage, verifier: Verifier) -> None:
        self._database = database
        self._storage = storage
        self._verifier = verifier

    async def publish(self) -> Note:
        """Writes the files that are missing, and returns the published checkpoint: this one, or a faster replica's newer one.

        Raises LedgerError where the published files say something else than the database.
        """
        standing = await self._database.read(tables.standing)
        assert standing is not None
        note, size = Note.parse(standing.note), standing.size
        while True:
            current = await self.current()
            out = _size(current) if current else 0
            if current and out > size:
                return current  # another replica was faster
            if current and out == size:
                if current.text != note.text:
                    raise LedgerError(
                        f"the published checkpoint of size {size} says {current.text!r}, the database {note.text!r}: "
                        "one of them was changed"
                    )
                note = current.with_signatures(note.signatures)
                if note == current:
                    break
            for name in _new_files(out, size):
                await self._create(name)
            if await self._storage.replace(CHECKPOINT, current.format() if current else None, note.format()):
                await self._remove_partial(out, size)
                break
        await self._database.write(partial(tables.mark_published, size=size))
        metrics.published()
        return note

    async def current(self) -> Note | None:
        """The published checkpoint. Raises LedgerError if it is not this log's."""
        content = await self._storage.read(CHECKPOINT)
        if content is None:
            return None
        note = Note.parse(content)
        note.require(self._verifier)
        return note

    async def file(self, name: TileName) -> bytes | None:
        """A published file as it is stored, entries compressed; made again from the database if it is lost.

        A partial tile that was removed is the beginning of the full one.
        """
        content = await self._storage.read(name.path)
        if content is None and await self._is_published(name):
            content = await self._database.read(partial(_content, name=name))
            if name.width == TILE_WIDTH:
                with suppress(OSError):  # who reads needs no room
                    await self._storage.create(name.path, content)
        return content

    async def _is_published(self, name: TileName) -> bool:
        current = await self.current()
        whole = _size(current) >> TILE_HEIGHT * (name.level or 0) if current else 0
        return name.index * TILE_WIDTH + name.width <= whole

    async def _create(self, name: TileName) -> None:
        content = await self._database.read(partial(_content, name=name))
        there = await self._storage.create(name.path, content)
        if there is not None and plain(name, there) != plain(name, content):
            raise LedgerError(f"the file {name.path} is there with other bytes than the database has")

    async def _remove_partial(self, old_size: int, new_size: int) -> None:
        for name in _new_files(old_size, new_size):
            if name.width == TILE_WIDTH:
                await self._storage.remove_under(f"{name.path}.p")


def _new_files(old_size: int, new_size: int) -> Iterator[TileName]:
    for level, index, width in tiles.new_tiles(old_size, new_size):
        if level == 0:
            yield TileName(None, index, width)
        yield TileName(level, index, width)


def plain(name: TileName, content: bytes) -> bytes:
    """What a stored file says: bundles are stored compressed, and compressors may differ. Raises LedgerError for a damaged one."""
    if name.level is not None:
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as damaged:
        raise LedgerError(f"the file {name.path} is damaged: {damaged}") from None


def _size(note: Note) -> int:
    return Checkpoint.parse(note.text).size


def _content(db: Connection, name: TileName) -> bytes:
    """The file as it is to be stored, made from the database."""
    if name.level is None:
        entries = tables.entries_of_tile(db, name.index, name.width)
        if len(entries) < name.width:
            raise LedgerError(f"the database has no entries for {name.path}")
        return gzip.compress(tiles.format_bundle(entries), GZIP_LEVEL, mtime=0)
    return tables.tile_reader(db)(name.level, name.index, name.width)
