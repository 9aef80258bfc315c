"""A ledger over a log of dossiers, its parts put together by hand: replicas, crashes and other sites are made of them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.ledger.format import heads, tiles
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.heads import Head
from gateway.ledger.format.leaf import Leaf
from gateway.ledger.format.merkle import TILE_WIDTH, leaf_hash
from gateway.ledger.format.note import Note, Verifier
from gateway.ledger.format.tiles import TileName
from gateway.ledger.keep.own_keys import log_key
from gateway.ledger.keep.storage import Storage
from gateway.ledger.running import RunningLedger
from motcua.dossier.events.v1 import events_pb2 as d
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import seal
from services.chassis.store.port import ANY, EventStore, NewEvent
from tests.ledger import naive
from tests.ledger.tree import Tree
from tests.support.keys import MemoryKeys
from tests.support.postgresql import settings_of
from tests.support.waiting import eventually_here

T = TypeVar("T")
AGENCY = "P56.22.336"


def code_of(number: int) -> str:
    return f"{AGENCY}-20261109-{number:07}"


def now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp


def submitted(code: str, person: str, sealed: bytes = b"") -> d.DossierSubmitted:
    return d.DossierSubmitted(
        code=code,
        applicant_id=person,
        at=now(),
        by=person,
        procedure_code="1.001456",
        procedure_version=1,
        channel=d.CHANNEL_ONLINE,
        applicant_name=sealed,
        reception_agency=AGENCY,
        province="56",
    )


def assigned(code: str, person: str, step: str) -> d.StepAssigned:
    return d.StepAssigned(code=code, applicant_id=person, at=now(), by="official", step_code=step)


async def append(store: EventStore, code: str, *events: Message) -> None:
    stored = [NewEvent(uuid4(), e.DESCRIPTOR.full_name, e.SerializeToString(), b'{"actor":"test"}') for e in events]
    await store.append(f"dossier-{code}", stored, ANY)


async def play(store: EventStore, keys: MemoryKeys, dossiers: int, events: int = 3, start: int = 0) -> list[str]:
    """Dossiers that take turns; each is another person's."""
    codes = [code_of(start + number) for number in range(dossiers)]
    held = await keys.keys([f"person-{code}" for code in codes], create=True)
    first = [
        append(store, code, submitted(code, f"person-{code}", seal(b"Nguyen", key, uuid4(), "applicant_name")))
        for code, key in ((code, held[f"person-{code}"]) for code in codes)
    ]
    await asyncio.gather(*first)
    for revision in range(1, events):
        step = f"step-{revision}"
        await asyncio.gather(*(append(store, code, assigned(code, f"person-{code}", step)) for code in codes))
    return codes


@dataclass
class Site:
    """One data folder with its event store, and any number of ledgers over it."""

    platform: Platform
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    @property
    def store(self) -> EventStore:
        return self.platform.store

    @property
    def folder(self) -> Path:
        return self.platform.settings.data / "ledger"

    def ledger(self, storage: Storage | None = None) -> RunningLedger:
        return RunningLedger(self.platform, self.keys, storage)

    @property
    def log(self) -> Verifier:
        return log_key(self.platform.settings).verifier

    def note(self) -> Note:
        return Note.parse((self.folder / "checkpoint").read_bytes())

    def checkpoint(self) -> Checkpoint:
        note = self.note()
        note.require(self.log)
        return Checkpoint.parse(note.text)

    def size(self) -> int:
        return self.checkpoint().size if (self.folder / "checkpoint").exists() else -1

    async def published(self, size: int) -> None:
        """Wait until a checkpoint of that size is out."""
        await eventually_here(lambda: self.size() == size)


def reread(folder: Path, log: Verifier) -> list[Leaf]:
    """All leaves of the published files, as anybody checks them."""
    note = Note.parse((folder / "checkpoint").read_bytes())
    note.require(log)
    checkpoint = Checkpoint.parse(note.text)
    found: list[bytes] = []
    while len(found) < checkpoint.size:
        name = TileName(None, len(found) // TILE_WIDTH, min(TILE_WIDTH, checkpoint.size - len(found)))
        found += tiles.parse_bundle(gzip.decompress((folder / name.path).read_bytes()), name.width)
    assert naive.tree_hash(found) == checkpoint.root
    tree = Tree(found)
    for level, index, width in tiles.new_tiles(0, checkpoint.size):
        content = (folder / tiles.tile_path(level, index, width)).read_bytes()
        assert content == tree.read(level, index, width), (level, index, width)
    leaves = [Leaf.parse(entry) for entry in found]
    newest = {leaf.code: Head(leaf.revision + 1, leaf_hash(entry)) for leaf, entry in zip(leaves, found, strict=True)}
    assert heads.root_of(newest) == checkpoint.heads
    return leaves


async def of_dossiers(store: EventStore) -> list[UUID]:
    """What the ledger must show, in order."""
    return [event.id for event in await store.read_all(limit=100_000) if event.stream.startswith("dossier-")]


@asynccontextmanager
async def site(folder: Path, keys: MemoryKeys | None = None, **settings: object) -> AsyncIterator[Site]:
    """A process's view of a data folder; entered twice, two processes."""
    platform = await Platform.open(settings_of(folder, **{"ledger_checkpoint_seconds": 0, **settings}))
    try:
        yield Site(platform, keys or MemoryKeys())
    finally:
        await platform.close()


@asynccontextmanager
async def running(*ledgers: RunningLedger) -> AsyncIterator[None]:
    try:
        for ledger in ledgers:
            await ledger.start()
        yield
    finally:
        for ledger in ledgers:
            await ledger.stop()
