import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from motcua.dossier.v1.dossier_pb2 import Upload
from services.chassis.blobs import FolderBlobs
from services.chassis.database import Database
from services.chassis.decider import Rejected
from services.dossier.uploads import LARGEST_BYTES, LARGEST_CHUNK_BYTES, MOST_UNFINISHED, Uploads

PDF = b"%PDF-1.7 " + b"x" * 91
SHA256 = hashlib.sha256(PDF).hexdigest()


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path}", "uploads", durable=True)
    yield made
    await made.close()


def opened(tmp_path: Path, database: Database) -> Uploads:
    platform: Any = SimpleNamespace(blobs=FolderBlobs(tmp_path / "blobs"))
    return Uploads(platform, database)


@pytest.fixture
def uploads(tmp_path: Path, database: Database) -> Uploads:
    return opened(tmp_path, database)


async def begin(uploads: Uploads, owner: str = "citizen-1", content: bytes = PDF) -> Upload:
    return await uploads.create(owner, "application/pdf", len(content), hashlib.sha256(content).hexdigest())


async def refused(attempt: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(Rejected) as refusal:
        await attempt
    return refusal.value.reason, refusal.value.facts


async def test_a_file_arrives_in_chunks(uploads: Uploads) -> None:
    upload = await begin(uploads)
    assert (upload.offset, upload.complete) == (0, False)
    assert (await uploads.add("citizen-1", upload.upload_id, 0, PDF[:40])).offset == 40
    done = await uploads.add("citizen-1", upload.upload_id, 40, PDF[40:])
    assert (done.offset, done.complete) == (100, True)
    assert await uploads.owned("citizen-1", [SHA256]) == {SHA256: ("application/pdf", 100)}


async def test_an_upload_goes_on_after_a_restart_where_it_stopped(tmp_path: Path, database: Database) -> None:
    before = opened(tmp_path, database)
    upload = await begin(before)
    await before.add("citizen-1", upload.upload_id, 0, PDF[:40])
    after = opened(tmp_path, database)
    assert (await begin(after)).offset == 40
    assert (await after.get("citizen-1", upload.upload_id)).offset == 40
    wrong = after.add("citizen-1", upload.upload_id, 60, PDF[60:])
    assert await refused(wrong) == ("UPLOAD_OFFSET_WRONG", {"offset": "40"})
    assert (await after.add("citizen-1", upload.upload_id, 40, PDF[40:])).complete


async def test_a_chunk_sent_twice_counts_once(uploads: Uploads) -> None:
    upload = await begin(uploads)
    for _ in range(2):
        assert (await uploads.add("citizen-1", upload.upload_id, 0, PDF[:40])).offset == 40


async def test_the_last_chunk_may_arrive_twice_at_once(uploads: Uploads) -> None:
    upload = await begin(uploads)
    both = await asyncio.gather(*(uploads.add("citizen-1", upload.upload_id, 0, PDF) for _ in range(2)))
    assert [one.complete for one in both] == [True, True]


@pytest.mark.parametrize("size", [0, -1, LARGEST_BYTES + 1])
async def test_a_size_is_refused(uploads: Uploads, size: int) -> None:
    attempt = uploads.create("citizen-1", "application/pdf", size, SHA256)
    assert await refused(attempt) == ("UPLOAD_TOO_LARGE", {"limit": str(LARGEST_BYTES)})


async def test_a_chunk_has_a_limit_and_ends_with_its_file(uploads: Uploads) -> None:
    upload = await begin(uploads)
    too_large = uploads.add("citizen-1", upload.upload_id, 0, b"x" * (LARGEST_CHUNK_BYTES + 1))
    assert await refused(too_large) == ("UPLOAD_TOO_LARGE", {"limit": str(LARGEST_CHUNK_BYTES)})
    for offset in (-1, 1):
        assert await refused(uploads.add("citizen-1", upload.upload_id, offset, PDF)) == (
            "UPLOAD_TOO_LARGE",
            {"limit": "100"},
        )


async def test_a_type_is_refused(uploads: Uploads) -> None:
    reason, facts = await refused(uploads.create("citizen-1", "text/html", 9, SHA256))
    assert (reason, facts["media_type"]) == ("UPLOAD_TYPE_REFUSED", "text/html")


@pytest.mark.parametrize("sha256", ["", "AB" * 32, "../" * 21 + "x", "ab" * 33])
async def test_a_hash_is_refused(uploads: Uploads, sha256: str) -> None:
    reason, _ = await refused(uploads.create("citizen-1", "application/pdf", 9, sha256))
    assert reason == "UPLOAD_CONTENT_WRONG"


@pytest.mark.parametrize("content", [b"%PDF-" + b"y" * 95, b"<html>" + b"x" * 94])
async def test_other_content_than_announced_is_refused_and_begins_anew(uploads: Uploads, content: bytes) -> None:
    upload = await begin(uploads)
    reason, _ = await refused(uploads.add("citizen-1", upload.upload_id, 0, content))
    assert reason == "UPLOAD_CONTENT_WRONG"
    assert (await uploads.get("citizen-1", upload.upload_id)).offset == 0
    assert (await uploads.add("citizen-1", upload.upload_id, 0, PDF)).complete


async def test_nobody_has_another_s_upload_or_file(uploads: Uploads) -> None:
    upload = await begin(uploads)
    for attempt in (uploads.get("citizen-2", upload.upload_id), uploads.add("citizen-2", upload.upload_id, 0, PDF)):
        assert await refused(attempt) == ("UPLOAD_UNKNOWN", {"upload_id": upload.upload_id})
    await uploads.add("citizen-1", upload.upload_id, 0, PDF)
    assert await uploads.owned("citizen-2", [SHA256]) == {}
    assert await uploads.owned("citizen-1", []) == {}


async def test_unfinished_uploads_have_a_quota_that_finishing_frees(uploads: Uploads) -> None:
    files = [b"%PDF-" + bytes([65 + i]) * 10 for i in range(MOST_UNFINISHED + 1)]
    begun = [await begin(uploads, content=file) for file in files[:-1]]
    reason, _ = await refused(begin(uploads, content=files[-1]))
    assert reason == "UPLOAD_QUOTA"
    await begin(uploads, content=files[0])  # known already
    await begin(uploads, "citizen-2", files[-1])
    await uploads.add("citizen-1", begun[0].upload_id, 0, files[0])
    await begin(uploads, content=files[-1])


async def test_unfinished_uploads_have_a_quota_of_bytes(uploads: Uploads) -> None:
    for kind in "abcd":
        await uploads.create("citizen-1", "application/pdf", LARGEST_BYTES, kind * 64)
    reason, _ = await refused(uploads.create("citizen-1", "application/pdf", 1, "e" * 64))
    assert reason == "UPLOAD_QUOTA"


async def test_what_is_never_finished_is_dropped(tmp_path: Path, uploads: Uploads) -> None:
    whole, part = await begin(uploads), await begin(uploads, content=PDF + b"more")
    await uploads.add("citizen-1", whole.upload_id, 0, PDF)
    await uploads.add("citizen-1", part.upload_id, 0, PDF)
    await uploads.sweep(datetime.now(UTC) - timedelta(days=1))
    assert (await uploads.get("citizen-1", part.upload_id)).offset == 100
    await uploads.sweep(datetime.now(UTC) + timedelta(seconds=1))
    assert await refused(uploads.get("citizen-1", part.upload_id)) == ("UPLOAD_UNKNOWN", {"upload_id": part.upload_id})
    assert (await uploads.get("citizen-1", whole.upload_id)).complete
    assert list((tmp_path / "blobs" / "uploads").iterdir()) == []
