"""The blob store's contract. Another store is added to the fixture `store` and must keep it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.blobs import bucket
from services.chassis.blobs.bucket import PART_BYTES, BucketBlobs, open_bucket
from services.chassis.blobs.port import (
    ABANDONED_SECONDS,
    PARTIAL,
    Blob,
    BlobMissing,
    BlobStore,
    BlobsUnavailable,
    FolderBlobs,
)
from services.chassis.platform.settings import Settings
from tests.support.bucket import BucketServer

ODD_NAMES = [
    "", "a", "a/", "/a", "a/b/c", "../secret", "a/..", "a/.b", ".partial/a", "a/b\n", "a/b\0", "a\\b/c", "á/b", "a/" + "b" * 201,
]  # fmt: skip


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderBlobs(tmp_path / "blobs")
    buckets: BucketServer = request.getfixturevalue("buckets")
    return BucketBlobs(open_bucket(buckets.create(), "blobs"))


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts or (b"half",):
        yield part
    raise RuntimeError("the source broke")


async def whole(store: BlobStore, name: str) -> bytes:
    return await store.get(name, 0, await store.size(name))


async def test_a_blob_is_what_was_put(store: BlobStore) -> None:
    await store.put("anna/x", pieces(b"ab", b"", b"cd"))
    await store.put("anna/empty", pieces())
    assert await whole(store, "anna/x") == b"abcd"
    assert await store.size("anna/empty") == 0


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [(0, 4, b"abcd"), (1, 2, b"bc"), (3, 9, b"d"), (4, 1, b""), (9, 1, b""), (0, 0, b"")],
)
async def test_a_range_ends_where_the_blob_ends(store: BlobStore, start: int, count: int, found: bytes) -> None:
    await store.put("anna/x", pieces(b"abcd"))
    assert await store.get("anna/x", start, count) == found


async def test_what_is_not_there_is_missing(store: BlobStore) -> None:
    await store.put("anna/x", pieces(b"abcd"))
    for name in ("anna/y", "ben/x"):
        with pytest.raises(BlobMissing):
            await store.size(name)
        with pytest.raises(BlobMissing):
            await store.get(name, 0, 1)
        await store.delete(name)
    assert await store.members("ben") == []


async def test_a_put_that_breaks_leaves_what_was_there(store: BlobStore) -> None:
    with pytest.raises(RuntimeError):
        await store.put("anna/x", broken())
    assert await store.members("anna") == []
    await store.put("anna/x", pieces(b"before"))
    with pytest.raises(RuntimeError):
        await store.put("anna/x", broken())
    assert await whole(store, "anna/x") == b"before"


@pytest.mark.parametrize("size", [PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 7])
async def test_a_large_blob_comes_whole_or_not_at_all(store: BlobStore, size: int) -> None:
    content = os.urandom(size)
    await store.put("anna/x", pieces(*(content[start : start + 1_000_000] for start in range(0, size, 1_000_000))))
    assert await whole(store, "anna/x") == content
    with pytest.raises(RuntimeError, match="the source broke"):
        await store.put("anna/x", broken(content))
    with pytest.raises(RuntimeError, match="the source broke"):
        await store.put("anna/y", broken(content, content))
    assert await whole(store, "anna/x") == content
    assert await store.members("anna") == ["x"]


async def test_a_blob_put_again_is_replaced(store: BlobStore) -> None:
    for content in (b"before", b"now"):
        await store.put("anna/x", pieces(content))
    assert await whole(store, "anna/x") == b"now"


async def test_members_are_those_of_the_group_alone(store: BlobStore) -> None:
    for name in ("anna/y", "anna/x", "annabel/z", "ben/x"):
        await store.put(name, pieces(b"."))
    assert await store.members("anna") == ["x", "y"]
    for member in await store.members("anna"):
        await store.delete(f"anna/{member}")
    assert (await store.members("anna"), await store.members("annabel")) == ([], ["z"])
    await store.put("anna/new", pieces(b"."))
    assert await store.members("anna") == ["new"]


async def test_all_are_listed_and_one_that_was_replaced_has_another_tag(store: BlobStore) -> None:
    async def listed() -> dict[str, Blob]:
        return {blob.name: blob async for some in store.everything() for blob in some}

    assert await listed() == {}
    for name in ("anna/y", "anna/x", "ben/a:1"):
        await store.put(name, pieces(name.encode()))
    with pytest.raises(RuntimeError):
        await store.put("anna/z", broken())
    before = await listed()
    assert {name: blob.size for name, blob in before.items()} == {"anna/y": 6, "anna/x": 6, "ben/a:1": 7}
    assert await listed() == before
    await store.put("anna/x", pieces(b"ANNA/X"))
    await store.delete("anna/y")
    after = await listed()
    assert set(after) == {"anna/x", "ben/a:1"}
    assert after["anna/x"].tag != before["anna/x"].tag
    assert after["ben/a:1"] == before["ben/a:1"]


async def test_blobs_come_and_go_side_by_side(store: BlobStore) -> None:
    async def once(member: int) -> None:
        for _ in range(10):
            await store.put(f"anna/{member}", pieces(b"." * member))
            assert await store.size(f"anna/{member}") == member
            await store.delete(f"anna/{member}")

    await asyncio.gather(*map(once, range(8)))
    assert await store.members("anna") == []


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_an_odd_name_is_refused(tmp_path: Path, store: BlobStore, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"a secret")
    for attempt in (store.put(name, pieces(b".")), store.size(name), store.get(name, 0, 1), store.delete(name)):
        with pytest.raises(ValueError, match="no name of a blob"):
            await attempt
    with pytest.raises(ValueError, match="no group of blobs"):
        await store.members(name if "/" in name or not name else f"{name}/")
    assert (tmp_path / "secret").read_bytes() == b"a secret"


async def test_what_a_crash_left_half_written_is_dropped_in_time(tmp_path: Path) -> None:
    partial = tmp_path / PARTIAL
    partial.mkdir()
    for name, age in (("old", ABANDONED_SECONDS + 60), ("being-written", 0)):
        (partial / name).write_bytes(b"half")
        os.utime(partial / name, (time.time() - age,) * 2)
    await FolderBlobs(tmp_path).put("anna/x", pieces(b"."))
    assert [path.name for path in partial.iterdir()] == ["being-written"]


async def test_attachments_and_ledger_share_a_bucket_and_nothing_else(buckets: BucketServer) -> None:
    url = buckets.create()
    await BucketBlobs(open_bucket(f"{url}/", "blobs")).put("anna/x", pieces(b"."))
    assert await BucketBlobs(open_bucket(url, "ledger")).members("anna") == []
    assert await BucketBlobs(open_bucket(url, "blobs")).members("anna") == ["x"]
    name = url.split("/")[2]
    assert f"PUT /{name}/vn-56/blobs/anna/x" in buckets.requests


@pytest.mark.parametrize("there", ["no server", "no bucket"])
async def test_a_bucket_that_is_not_there_is_unavailable_and_nothing_else(
    buckets: BucketServer, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "RETRIES", 1)
    store = BucketBlobs(open_bucket(buckets.create() if there == "no server" else "s3://nobody-s/x", "blobs"))
    large = b"." * (PART_BYTES + 1)
    if there == "no server":
        buckets.stop()
    try:
        for attempt in (
            store.put("anna/x", pieces(b".")),
            store.put("anna/x", pieces(large)),
            store.get("anna/x", 0, 1),
            store.members("anna"),
        ):
            with pytest.raises(
                BlobsUnavailable, match="NoSuchBucket" if there == "no bucket" else "error sending request"
            ):
                await attempt
    finally:
        if there == "no server":
            buckets.start()


@pytest.mark.parametrize(
    ("given", "folder"),
    [("", "data"), ("file:///srv/motcua%20files/vn-56", "/srv/motcua files/vn-56"), ("s3://bucket/vn-56", None)],
)
def test_where_attachments_and_the_ledger_lie(given: str, folder: str | None) -> None:
    assert Settings(blobs=given).blob_folder == (Path(folder) if folder else None)


@pytest.mark.parametrize(
    "given", ["s3://", "s3://Bucket", "s3://bucket//x", "s3://bucket/a?b", "file://host/x", "/srv", "gs://b"]
)
def test_other_places_are_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="blobs"):
        Settings(blobs=given)
