"""A ledger over a log of dossiers, its parts put together by hand: replicas, crashes and other sites are made of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.ledger.checkpoint import Checkpoint
from gateway.ledger.note import Note, Verifier
from gateway.ledger.running import RunningLedger
from gateway.ledger.storage import Storage
from motcua.dossier.events.v1 import events_pb2 as d
from services.chassis.platform import Platform
from services.chassis.privacy import seal
from services.chassis.settings import Settings
from services.chassis.store.port import ANY, EventStore, NewEvent
from tests.support.keys import MemoryKeys

T = TypeVar("T")
PATIENCE_SECONDS = 30
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
    for code in codes:
        person = f"person-{code}"
        await append(store, code, submitted(code, person, seal(b"Nguyen", held[person], uuid4(), "applicant_name")))
    for revision in range(1, events):
        for code in codes:
            await append(store, code, assigned(code, f"person-{code}", f"step-{revision}"))
    return codes


async def eventually(probe: Callable[[], T | None]) -> T:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := probe()):  # noqa: ASYNC110 - files and databases do not call back
            await asyncio.sleep(0.01)
    return found


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
        from gateway.ledger.running import log_key

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
        await eventually(lambda: self.size() == size)


@asynccontextmanager
async def site(folder: Path, keys: MemoryKeys | None = None, **settings: object) -> AsyncIterator[Site]:
    """A process's view of a data folder; entered twice, two processes."""
    platform = await Platform.open(Settings(data=folder, **{"ledger_checkpoint_seconds": 0, **settings}))  # type: ignore[arg-type]
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
