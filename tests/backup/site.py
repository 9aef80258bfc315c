"""A site with all that a backup holds, its parts put together by hand; and what must be the same after a restore."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.progress import Progress

from command.backup import durable
from command.backup.archive import Archive
from command.backup.backup import Done, take
from command.backup.restore import Restored, bring_back, bring_back_databases
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.note import Note
from gateway.ledger.keep.publishing import CHECKPOINT
from gateway.ledger.running import RunningLedger, open_storage
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.store.port import ANY, NewEvent
from services.dossier.uploads import Owner, Uploads
from services.identity.accounts.values import AccountKind
from services.identity.identifiers import Identifiers
from services.identity.keys import SubjectKeys
from services.identity.vault import Vault
from tests.ledger import site as ledgers
from tests.ledger.site import now
from tests.support.papers import pdf
from tests.support.waiting import eventually_here

PDF = pdf()
SECRETS = {
    "service_secret": "s" * 40,
    "master_key": "11" * 32,
    "ledger_key": "22" * 32,
    "witness_key": "33" * 32,
    "qr_key": "44" * 32,
}


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def size_of(note: bytes) -> int:
    return Checkpoint.parse(Note.parse(note).text).size


def person_of(code: str) -> str:
    return f"person-{code}"


@dataclass
class Site:
    platform: Platform
    vault: Vault
    keys: SubjectKeys
    blobs: SealedBlobs
    uploads: Uploads
    identifiers: Identifiers

    async def play(self, dossiers: int, start: int = 0) -> list[str]:
        """Dossiers of three events, each of another person, who has an attachment and is known by a number."""
        keys: Any = self.keys
        codes = await ledgers.play(self.platform.store, keys, dossiers, start=start)
        for code in codes:
            content = pdf(code)
            await self.blobs.put(person_of(code), sha256_of(content), once(content))
            await self.identifiers.claim(AccountKind.CITIZEN, f"0561900{code[-5:]}", person_of(code))
        return codes

    async def upload(self, account: str, content: bytes, sent: int) -> str:
        """An upload that has come so far."""
        upload = await self.uploads.create(Owner(account, account), "application/pdf", len(content), sha256_of(content))
        await self.uploads.add(Owner(account, account), upload.upload_id, 0, content[:sent])
        return upload.upload_id

    async def decide_erasure(self, account: str) -> None:
        outcome = identity.ERASURE_OUTCOME_SHREDDED
        event = identity.ErasureDecided(account_id=account, at=now(), by="admin", outcome=outcome)
        new = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), b"{}")
        await self.platform.store.append(f"account-{account}", [new], ANY)

    async def erase(self, account: str) -> None:
        """As the services do, after the decision."""
        await self.decide_erasure(account)
        await self.keys.destroy(account)
        await self.blobs.forget(account)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[RunningLedger]:
        running = RunningLedger(self.platform, self.keys)
        await running.start()
        try:
            yield running
        finally:
            await running.stop()

    async def publish(self, size: int) -> bytes:
        """The ledger until it has published so many leaves; its checkpoint."""
        async with self.ledger():
            note: bytes = await eventually_here(lambda: self._published(size))
        return note

    async def _published(self, size: int) -> bytes | None:
        note = await self.checkpoint()
        return note if note and size_of(note) >= size else None

    async def checkpoint(self) -> bytes | None:
        return await open_storage(self.platform.settings).read(CHECKPOINT)

    async def attachment(self, code: str) -> bytes:
        content = pdf(code)
        return b"".join([piece async for piece in self.blobs.read(person_of(code), sha256_of(content))])

    async def content(self) -> dict[str, Any]:
        """All that a restored site must have in common with the one that was saved."""
        found: dict[str, Any] = {
            "events": [
                (e.stream, e.revision, e.id, e.type, e.data, e.metadata, e.recorded_at)
                for e in await self.platform.store.read_all(limit=100_000)
            ]
        }
        for name in durable.DURABLE:
            database = self.platform.database(name, durable=True)
            rows = await database.read(partial(durable.save, name=name))
            found[name] = {table: some for table, some in rows.items() if some}
        found["attachments"] = {
            blob.name: await self.platform.blobs.get(blob.name, 0, blob.size)
            async for some in self.platform.blobs.everything()
            for blob in some
        }
        return found


def settings_of(folder: Path, **given: Any) -> Settings:
    known: dict[str, Any] = {"data": folder, "ledger_checkpoint_seconds": 0} | SECRETS | given
    return Settings(**known)


@asynccontextmanager
async def site(settings: Settings) -> AsyncIterator[Site]:
    platform = await Platform.open(settings)
    vault = Vault.of(platform)
    keys = SubjectKeys(vault)
    uploads = Uploads(platform.blobs, keys, platform.database("dossier-uploads", durable=True))
    try:
        yield Site(platform, vault, keys, SealedBlobs(platform.blobs, keys), uploads, Identifiers(vault))
    finally:
        await uploads.close()
        await platform.close()


async def save(settings: Settings, folder: Path | str, *, check: bool = True) -> Done:
    return await take(settings, Archive.open(str(folder), create=True), Progress(disable=True), check=check)


async def load(settings: Settings, folder: Path | str, published: Path | str = "") -> Restored:
    return await bring_back(settings, str(folder), str(published), Progress(disable=True))


async def load_databases(settings: Settings, folder: Path) -> None:
    await bring_back_databases(settings, str(folder), Progress(disable=True))
