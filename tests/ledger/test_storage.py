"""What the publisher relies on, whatever the files are kept in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ledger.keep.bucket import BucketStorage
from gateway.ledger.keep.storage import FolderStorage, Storage
from services.chassis.blobs import bucket
from services.chassis.blobs.bucket import open_bucket
from services.chassis.blobs.port import BlobsUnavailable
from tests.support.bucket import BucketServer

Make = Callable[[], Storage]


@pytest.fixture(params=["folder", "bucket"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """The same files, as another process sees them each time."""
    if request.param == "folder":
        return lambda: FolderStorage(tmp_path / "ledger")
    buckets: BucketServer = request.getfixturevalue("buckets")
    url = buckets.create()
    return lambda: BucketStorage(open_bucket(url, "ledger"))


async def test_what_is_not_there_is_none(make: Make) -> None:
    assert await make().read("checkpoint") is None
    assert await make().read("tile/0/000") is None


async def test_a_file_is_created_once(make: Make) -> None:
    assert await make().create("tile/0/x001/000", b"first") is None
    assert await make().create("tile/0/x001/000", b"first") == b"first"
    assert await make().create("tile/0/x001/000", b"second") == b"first"
    assert await make().read("tile/0/x001/000") == b"first"


async def test_a_full_tile_stands_beside_its_partial_ones(make: Make) -> None:
    for path in ("tile/0/000.p/1", "tile/0/000.p/255", "tile/0/000", "tile/0/001.p/1"):
        assert await make().create(path, path.encode()) is None
    await make().remove_under("tile/0/000.p")
    await make().remove_under("tile/0/000.p")
    found = [await make().read(f"tile/0/{name}") for name in ("000.p/1", "000.p/255", "000", "001.p/1")]
    assert found == [None, None, b"tile/0/000", b"tile/0/001.p/1"]


async def test_of_those_who_create_at_once_one_wins(make: Make) -> None:
    contents = [f"{number}".encode() for number in range(20)]
    there = await asyncio.gather(*(make().create("tile/0/000", content) for content in contents))
    winner = await make().read("tile/0/000")
    assert [content for content, found in zip(contents, there, strict=True) if found is None] == [winner]
    assert {found for found in there if found is not None} == {winner}


async def test_compare_and_swap(make: Make) -> None:
    assert not await make().replace("checkpoint", b"a", b"b")
    assert await make().read("checkpoint") is None
    assert await make().replace("checkpoint", None, b"a")
    assert not await make().replace("checkpoint", None, b"b")
    assert not await make().replace("checkpoint", b"b", b"c")
    assert await make().replace("checkpoint", b"a", b"b")
    assert await make().read("checkpoint") == b"b"


async def test_of_those_who_swap_at_once_one_wins(make: Make) -> None:
    await make().replace("checkpoint", None, b"0")
    for turn in range(10):
        old = await make().read("checkpoint")
        new = [f"{turn}.{number}".encode() for number in range(8)]
        won = await asyncio.gather(*(make().replace("checkpoint", old, content) for content in new))
        assert [content for content, mine in zip(new, won, strict=True) if mine] == [await make().read("checkpoint")]


async def test_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "ledger")
    await storage.create("tile/0/000", b"a")
    await storage.create("tile/0/000", b"b")
    await storage.replace("checkpoint", None, b"c")
    found = await asyncio.to_thread(lambda: {path.name for path in tmp_path.rglob("*") if path.is_file()})
    assert found == {"000", "checkpoint", ".lock"}


async def test_nothing_is_left_beside_the_objects(buckets: BucketServer) -> None:
    url = buckets.create()
    storage = BucketStorage(open_bucket(url, "ledger"))
    await storage.create("tile/0/000", b"a")
    await storage.replace("checkpoint", None, b"c")
    found = await open_bucket(url).list_async().collect_async()
    assert [each["path"] for each in found] == ["ledger/checkpoint", "ledger/tile/0/000"]


async def test_a_bucket_that_overlooks_conditions_publishes_nothing(buckets: BucketServer) -> None:
    url = buckets.create()
    buckets.overlooks_conditions = True
    try:
        with pytest.raises(BlobsUnavailable, match="overlooks If-None-Match and If-Match"):
            await BucketStorage(open_bucket(url, "ledger")).replace("checkpoint", None, b"a")
    finally:
        buckets.overlooks_conditions = False
    assert await open_bucket(url).list_async().collect_async() == []


async def test_a_bucket_that_does_not_answer_is_unavailable(
    buckets: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "RETRIES", 1)
    url = buckets.create()
    storage = BucketStorage(open_bucket(url, "ledger"))
    assert await storage.replace("checkpoint", None, b"a")
    buckets.stop()
    try:
        for attempt in (
            storage.read("checkpoint"),
            storage.create("tile/0/000", b"a"),
            storage.replace("checkpoint", b"a", b"b"),
            storage.remove_under("tile/0/000.p"),
        ):
            with pytest.raises(BlobsUnavailable, match="error sending request"):
                await attempt
    finally:
        buckets.start()
    assert await storage.replace("checkpoint", b"a", b"b")
    with pytest.raises(BlobsUnavailable, match="NoSuchBucket"):
        await BucketStorage(open_bucket("s3://nobody-s", "ledger")).read("checkpoint")
