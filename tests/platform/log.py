"""What a stopped or running platform has on disk: its events, and the tables made from them."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from command.look import tracking  # noqa: F401 - all services' messages can be decoded
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import TILE_WIDTH
from gateway.ledger.format.note import Note
from gateway.ledger.format.tiles import TileName, parse_bundle
from services.chassis.deciding.facts import Fact, fact_of
from services.chassis.platform.platform import open_store
from services.chassis.platform.settings import Settings
from services.chassis.store.port import RecordedEvent

Rows = dict[str, list[tuple[Any, ...]]]


class Log:
    """All events, in order, as they stand now."""

    def __init__(self, data: Path, event_store: str = "sqlite:") -> None:
        """From the file itself, behind the program's back; from another store as the program reads it."""
        self.rows = asyncio.run(_read(event_store)) if event_store != "sqlite:" else _rows(data)

    @property
    def request_ids(self) -> set[str]:
        """Nobody asked for what the site says of itself."""
        told = (json.loads(metadata) for _, _, _, metadata, stream, *_ in self.rows if not stream.startswith("site-"))
        return {each["request_id"] for each in told}

    @property
    def of_dossiers(self) -> list[UUID]:
        return [UUID(bytes=id_) for id_, _, _, _, stream, *_ in self.rows if stream.startswith("dossier-")]

    def of(self, *kinds: Any) -> Sequence[Fact[Any]]:
        names = {kind.DESCRIPTOR.full_name for kind in kinds}
        return [fact_of(_recorded(row)) for row in self.rows if row[1] in names]


def _rows(data: Path) -> list[tuple[Any, ...]]:
    query = "SELECT id, type, data, metadata, stream, revision, position FROM events ORDER BY position"
    with closing(sqlite3.connect(f"file:{data / 'events.db'}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


async def _read(event_store: str) -> list[tuple[Any, ...]]:
    store = await open_store(Settings(event_store=event_store))
    try:
        events = await store.read_all(limit=1_000_000)
    finally:
        await store.close()
    return [(e.id.bytes, e.type, e.data, e.metadata, e.stream, e.revision, e.position) for e in events]


def _recorded(row: tuple[Any, ...]) -> RecordedEvent:
    id_, type_, data, metadata, stream, revision, position = row
    return RecordedEvent(UUID(bytes=id_), type_, data, metadata, stream, revision, position, datetime.now(UTC))


def published(data: Path) -> list[UUID]:
    """The events that the ledger shows to everybody, in its order: read from its files alone."""
    folder = data / "ledger"
    size = Checkpoint.parse(Note.parse((folder / "checkpoint").read_bytes()).text).size
    events: list[UUID] = []
    while len(events) < size:
        name = TileName(None, len(events) // TILE_WIDTH, min(TILE_WIDTH, size - len(events)))
        bundle = gzip.decompress((folder / name.path).read_bytes())
        events += [Leaf.parse(entry).id for entry in parse_bundle(bundle, name.width)]
    return events


def tables(folder: Path) -> Rows:
    """The rows of every table of every database in a folder, sorted."""
    return {name: rows for path in sorted(folder.glob("*.db")) for name, rows in _tables(path)}


def _tables(path: Path) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for name in names:
            yield f"{path.stem}.{name}", sorted(db.execute(f'SELECT * FROM "{name}"'), key=repr)
