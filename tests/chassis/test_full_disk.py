"""A full disk, one way of writing after another: refused plainly, nothing half written, and good again when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, insert, select

from gateway.ledger.keep.storage import FolderStorage
from services.chassis.blobs.port import BlobMissing, BlobsUnavailable, FolderBlobs
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.store.port import NO_STREAM, NewEvent, StoreUnavailable
from services.chassis.store.sqlite import SqliteStore
from tests.support.full_disk import Disk, small_disk

MEGABYTES = 8
LARGE = bytes(64 * 1024)

metadata = MetaData()
table = Table("things", metadata, Column("id", Integer, primary_key=True), Column("content", LargeBinary))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", MEGABYTES) as disk:
        yield disk


def events(count: int) -> list[NewEvent]:
    return [NewEvent(uuid4(), "motcua.test.Tested", LARGE, b"{}") for _ in range(count)]


async def test_an_append_is_refused_as_a_whole(disk: Disk) -> None:
    store = await SqliteStore.open(disk.folder / "events.db")
    await store.append("before", events(1), NO_STREAM)
    disk.fill()
    sent = events(3)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.append("full", sent, NO_STREAM)
    refused = await asyncio.gather(
        *(store.append(f"full-{number}", events(1), NO_STREAM) for number in range(5)), return_exceptions=True
    )
    assert {type(error) for error in refused} == {StoreUnavailable}
    assert [event.stream for event in await store.read_all()] == ["before"]
    disk.free()
    assert (await store.append("full", sent, NO_STREAM)).revision == 2
    assert [event.stream for event in await store.read_all()] == ["before", "full", "full", "full"]
    await store.close()


async def test_a_transaction_is_refused_as_a_whole(disk: Disk) -> None:
    database = Database(f"sqlite:///{disk.folder}", "test", durable=True)
    await database.create(metadata)
    rows = [{"content": LARGE}] * 4
    disk.fill()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await database.write(lambda db: db.execute(insert(table), rows))
    assert await database.read(lambda db: db.execute(select(table.c.id)).all()) == []
    disk.free()
    await database.write(lambda db: db.execute(insert(table), rows))
    assert len(await database.read(lambda db: db.execute(select(table.c.id)).all())) == 4
    await database.close()


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(8):
        yield LARGE


async def test_a_blob_is_refused_as_a_whole(disk: Disk) -> None:
    blobs = FolderBlobs(disk.folder / "blobs")
    await blobs.put("person/kept", pieces())
    disk.fill()
    for _ in range(3):
        with pytest.raises(BlobsUnavailable):
            await blobs.put("person/new", pieces())
        with pytest.raises(BlobsUnavailable):
            await blobs.put("person/kept", pieces())
    with pytest.raises(BlobMissing):
        await blobs.size("person/new")
    assert await blobs.get("person/kept", 0, 10**9) == LARGE * 8
    assert list((disk.folder / "blobs" / ".partial").iterdir()) == []
    disk.free()
    await blobs.put("person/new", pieces())
    assert await blobs.members("person") == ["kept", "new"]


async def test_a_file_of_the_ledger_is_refused_as_a_whole(disk: Disk) -> None:
    storage = FolderStorage(disk.folder / "ledger")
    assert await storage.replace("checkpoint", None, b"old")
    disk.fill()
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            await storage.replace("checkpoint", b"old", LARGE)
        with pytest.raises(OSError, match="No space left"):
            await storage.create("tile/0/000", LARGE)
    assert (await storage.read("checkpoint"), await storage.read("tile/0/000")) == (b"old", None)
    disk.free()
    assert await storage.create("tile/0/000", LARGE) is None
    assert await storage.replace("checkpoint", b"old", LARGE)
    left = {path.name for path in (disk.folder / "ledger").rglob("*") if path.is_file()}
    assert left == {"checkpoint", "000", ".lock"}
