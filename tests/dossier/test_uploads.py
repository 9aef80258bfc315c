import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from motcua.dossier.v1.dossier_pb2 import Upload
from services.chassis.blobs.port import FolderBlobs
from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.database.database import Database
from services.chassis.decider import Rejected
from services.chassis.privacy.sealing import SubjectErased
from services.dossier.files.scanner import Scanner
from services.dossier.uploads import LARGEST_BYTES, LARGEST_CHUNK_BYTES, MOST_UNFINISHED, UNFINISHED, Owner, Uploads
from services.dossier.values import File
from tests.support.keys import MemoryKeys
from tests.support.papers import pdf
from tests.support.postgresql import Engine

PDF = pdf("a deed")
SIZE = len(PDF)
MORE = pdf("a deed, and more")
ME, SOMEBODY = Owner("citizen-1", "citizen-1"), Owner("citizen-2", "citizen-2")
OFFICIAL = Owner("official-1", "")
SHA256 = hashlib.sha256(PDF).hexdigest()
KEPT = timedelta(days=30)


@pytest_asyncio.fixture
async def database(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(engine.url(tmp_path), "uploads", durable=True)
    yield made
    await made.close()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@asynccontextmanager
async def opened(
    tmp_path: Path, database: Database, keys: MemoryKeys, scanner: Scanner | None = None
) -> AsyncIterator[Uploads]:
    made = Uploads(FolderBlobs(tmp_path / "blobs"), keys, database, scanner=scanner)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def uploads(tmp_path: Path, database: Database, keys: MemoryKeys) -> AsyncIterator[Uploads]:
    async with opened(tmp_path, database, keys) as made:
        yield made


@pytest.fixture
def blobs(tmp_path: Path, keys: MemoryKeys) -> SealedBlobs:
    return SealedBlobs(FolderBlobs(tmp_path / "blobs"), keys)


async def begin(
    uploads: Uploads, owner: Owner = ME, content: bytes = PDF, media_type: str = "application/pdf"
) -> Upload:
    return await uploads.create(owner, media_type, len(content), hashlib.sha256(content).hexdigest())


async def sent(uploads: Uploads, content: bytes, media_type: str, owner: Owner = ME) -> Upload:
    upload = await begin(uploads, owner, content, media_type)
    for start in range(0, len(content), LARGEST_CHUNK_BYTES):
        upload = await uploads.add(owner, upload.upload_id, start, content[start : start + LARGEST_CHUNK_BYTES])
    return upload


async def refused(attempt: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(Rejected) as refusal:
        await attempt
    return refusal.value.reason, refusal.value.facts


async def test_a_file_arrives_in_chunks(uploads: Uploads) -> None:
    upload = await begin(uploads)
    assert (upload.offset, upload.complete) == (0, False)
    assert (await uploads.add(ME, upload.upload_id, 0, PDF[:40])).offset == 40
    done = await uploads.add(ME, upload.upload_id, 40, PDF[40:])
    assert (done.offset, done.complete) == (SIZE, True)
    assert await uploads.owned(ME, [SHA256]) == {SHA256: File(SHA256, "application/pdf", SIZE)}


async def test_an_upload_goes_on_after_a_restart_where_it_stopped(
    tmp_path: Path, database: Database, keys: MemoryKeys
) -> None:
    async with opened(tmp_path, database, keys) as before:
        upload = await begin(before)
        await before.add(ME, upload.upload_id, 0, PDF[:40])
    async with opened(tmp_path, database, keys) as after:
        assert (await begin(after)).offset == 40
        assert (await after.get(ME, upload.upload_id)).offset == 40
        wrong = after.add(ME, upload.upload_id, 60, PDF[60:])
        assert await refused(wrong) == ("UPLOAD_OFFSET_WRONG", {"offset": "40"})
        assert (await after.add(ME, upload.upload_id, 40, PDF[40:])).complete


async def test_a_chunk_sent_twice_counts_once(uploads: Uploads) -> None:
    upload = await begin(uploads)
    for _ in range(2):
        assert (await uploads.add(ME, upload.upload_id, 0, PDF[:40])).offset == 40


async def test_the_last_chunk_may_arrive_twice_at_once(uploads: Uploads) -> None:
    upload = await begin(uploads)
    both = await asyncio.gather(*(uploads.add(ME, upload.upload_id, 0, PDF) for _ in range(2)))
    assert [one.complete for one in both] == [True, True]


@pytest.mark.parametrize(
    ("size", "refusal"),
    [
        (0, ("UPLOAD_EMPTY", {})),
        (-1, ("INVALID_REQUEST", {"count": "1"})),
        (LARGEST_BYTES + 1, ("UPLOAD_TOO_LARGE", {"limit": str(LARGEST_BYTES)})),
    ],
)
async def test_a_size_is_refused(uploads: Uploads, size: int, refusal: Any) -> None:
    assert await refused(uploads.create(ME, "application/pdf", size, SHA256)) == refusal


async def test_a_chunk_has_a_limit_and_ends_with_its_file(uploads: Uploads) -> None:
    upload = await begin(uploads)
    large = await uploads.create(ME, "application/pdf", LARGEST_CHUNK_BYTES + 1, "a" * 64)
    whole = b"%PDF-".ljust(LARGEST_CHUNK_BYTES, b"x")
    assert (await uploads.add(ME, large.upload_id, 0, whole)).offset == LARGEST_CHUNK_BYTES
    too_large = uploads.add(ME, upload.upload_id, 0, b"x" * (LARGEST_CHUNK_BYTES + 1))
    assert await refused(too_large) == ("UPLOAD_TOO_LARGE", {"limit": str(LARGEST_CHUNK_BYTES)})
    for offset in (-1, 1):
        assert await refused(uploads.add(ME, upload.upload_id, offset, PDF)) == (
            "UPLOAD_BEYOND_SIZE",
            {"size": str(SIZE)},
        )


@pytest.mark.parametrize(
    "media_type", ["text/html", "application/pdf/x", "pdf", "application/pdf, image/png", "\x00", "a;" * 90]
)
async def test_a_type_is_refused(uploads: Uploads, media_type: str) -> None:
    reason, facts = await refused(uploads.create(ME, media_type, 9, SHA256))
    assert (reason, facts["media_type"]) == ("UPLOAD_TYPE_REFUSED", media_type[:80])


@pytest.mark.parametrize(
    "media_type",
    [
        "Application/PDF",
        "application/pdf; charset=binary",
        ' application/x-pdf ;name="a \\"b\\".pdf";',
        "APPLICATION/ACROBAT",
    ],
)
async def test_a_type_has_many_spellings_and_a_hash_two(uploads: Uploads, media_type: str) -> None:
    upload = await begin(uploads)
    again = await uploads.create(ME, media_type, SIZE, SHA256.upper())
    assert (again.upload_id, again.media_type, again.sha256) == (upload.upload_id, "application/pdf", SHA256)


@pytest.mark.parametrize("sha256", ["", "XY" * 32, "../" * 21 + "x", "ab" * 33])
async def test_a_hash_is_refused(uploads: Uploads, sha256: str) -> None:
    with pytest.raises(RequestInvalid) as told:
        await uploads.create(ME, "application/pdf", 9, sha256)
    assert [(each.field, "64" in each.vi, "64" in each.en) for each in told.value.violations] == [
        ("sha256", True, True)
    ]


@pytest.mark.parametrize("content", [MORE[:SIZE], b"<html>".ljust(SIZE, b"x")])
async def test_other_content_than_announced_is_refused_and_begins_anew(uploads: Uploads, content: bytes) -> None:
    upload = await begin(uploads)
    reason, _ = await refused(uploads.add(ME, upload.upload_id, 0, content))
    assert reason == "UPLOAD_CONTENT_WRONG"
    assert (await uploads.get(ME, upload.upload_id)).offset == 0
    assert (await uploads.add(ME, upload.upload_id, 0, PDF)).complete


async def test_nobody_has_another_s_upload_or_file(uploads: Uploads) -> None:
    upload = await begin(uploads)
    for attempt in (uploads.get(SOMEBODY, upload.upload_id), uploads.add(SOMEBODY, upload.upload_id, 0, PDF)):
        assert await refused(attempt) == ("UPLOAD_UNKNOWN", {"upload_id": upload.upload_id})
    await uploads.add(ME, upload.upload_id, 0, PDF)
    assert await uploads.owned(SOMEBODY, [SHA256]) == {}
    assert await uploads.owned(ME, []) == {}


async def test_unfinished_uploads_have_a_quota_that_finishing_frees(uploads: Uploads) -> None:
    files = [pdf(str(number)) for number in range(MOST_UNFINISHED + 1)]
    begun = [await begin(uploads, content=file) for file in files[:-1]]
    reason, _ = await refused(begin(uploads, content=files[-1]))
    assert reason == "UPLOAD_QUOTA"
    await begin(uploads, content=files[0])  # known already
    await begin(uploads, SOMEBODY, files[-1])
    await uploads.add(ME, begun[0].upload_id, 0, files[0])
    await begin(uploads, content=files[-1])


async def test_unfinished_uploads_have_a_quota_of_bytes(uploads: Uploads) -> None:
    for kind in "abcd":
        await uploads.create(ME, "application/pdf", LARGEST_BYTES, kind * 64)
    reason, _ = await refused(uploads.create(ME, "application/pdf", 1, "e" * 64))
    assert reason == "UPLOAD_QUOTA"


async def test_what_is_never_finished_is_dropped(tmp_path: Path, uploads: Uploads) -> None:
    whole, part = await begin(uploads), await begin(uploads, content=MORE)
    await uploads.add(ME, whole.upload_id, 0, PDF)
    await uploads.add(ME, part.upload_id, 0, MORE[:40])
    await uploads.sweep(datetime.now(UTC))
    assert (await uploads.get(ME, part.upload_id)).offset == 40
    await uploads.sweep(datetime.now(UTC) + UNFINISHED)
    assert await refused(uploads.get(ME, part.upload_id)) == ("UPLOAD_UNKNOWN", {"upload_id": part.upload_id})
    assert (await uploads.get(ME, whole.upload_id)).complete
    assert await files(tmp_path) == [f"citizen-1/{SHA256}"]


async def files(tmp_path: Path) -> list[str]:
    found = (tmp_path / "blobs").rglob("*")
    return sorted(str(path.relative_to(tmp_path / "blobs")) for path in found if path.is_file())


async def read(blobs: SealedBlobs, subject: str) -> bytes:
    return b"".join([piece async for piece in blobs.read(subject, SHA256)])


async def test_one_s_own_file_is_one_s_own_at_once(tmp_path: Path, uploads: Uploads, blobs: SealedBlobs) -> None:
    upload = await begin(uploads)
    await uploads.add(ME, upload.upload_id, 0, PDF)
    assert await files(tmp_path) == [f"citizen-1/{SHA256}"]
    await uploads.take(ME, "citizen-1", [SHA256])
    assert await read(blobs, "citizen-1") == PDF


async def test_what_is_uploaded_for_others_becomes_theirs_when_it_is_taken(
    tmp_path: Path, uploads: Uploads, blobs: SealedBlobs
) -> None:
    upload = await begin(uploads, OFFICIAL)
    assert (await uploads.add(OFFICIAL, upload.upload_id, 0, PDF)).complete
    assert not await blobs.has("citizen-1", SHA256)
    assert await uploads.owned(OFFICIAL, [SHA256]) == {SHA256: File(SHA256, "application/pdf", SIZE)}
    for _ in range(2):
        await uploads.take(OFFICIAL, "citizen-1", [SHA256])
        await uploads.take(OFFICIAL, "citizen-2", [SHA256])
    await uploads.sweep(datetime.now(UTC) + KEPT)
    assert await files(tmp_path) == [f"citizen-1/{SHA256}", f"citizen-2/{SHA256}"]
    assert [await read(blobs, subject) for subject in ("citizen-1", "citizen-2")] == [PDF, PDF]
    assert await uploads.owned(OFFICIAL, [SHA256]) == {}


async def test_what_is_scanned_for_somebody_waits_for_the_dossier(uploads: Uploads) -> None:
    """Scanned today and submitted tomorrow, or next week; scanned again, it waits as long again."""
    upload = await begin(uploads, OFFICIAL)
    done = await uploads.add(OFFICIAL, upload.upload_id, 0, PDF)
    began, until = datetime.now(UTC), done.kept_until.ToDatetime(UTC)
    assert timedelta(seconds=-60) < until - (began + KEPT) <= timedelta()
    assert upload.kept_until.ToDatetime(UTC) == until - KEPT + UNFINISHED
    await uploads.sweep(until - timedelta(seconds=1))
    assert await uploads.owned(OFFICIAL, [SHA256]) == {SHA256: File(SHA256, "application/pdf", SIZE)}
    assert (await begin(uploads, OFFICIAL)).kept_until.ToDatetime(UTC) > until
    await uploads.sweep(until)
    assert await uploads.owned(OFFICIAL, [SHA256]) == {SHA256: File(SHA256, "application/pdf", SIZE)}
    await uploads.sweep(until + KEPT)
    assert await uploads.owned(OFFICIAL, [SHA256]) == {}


@pytest.mark.parametrize("who", [ME, OFFICIAL])
async def test_who_made_an_upload_sees_it(uploads: Uploads, who: Owner) -> None:
    upload = await begin(uploads, who)
    await uploads.add(who, upload.upload_id, 0, PDF[:40])
    unfinished = ("UPLOAD_UNFINISHED", {"offset": "40", "size": str(SIZE)})
    assert await refused(uploads.read(who, upload.upload_id)) == unfinished
    done = await uploads.add(who, upload.upload_id, 40, PDF[40:])
    assert done.HasField("kept_until") is (who is OFFICIAL)
    media_type, content = await uploads.read(who, upload.upload_id)
    assert (media_type, b"".join([piece async for piece in content])) == ("application/pdf", PDF)
    assert (await refused(uploads.read(SOMEBODY, upload.upload_id)))[0] == "UPLOAD_UNKNOWN"


async def test_an_upload_dropped_at_the_moment_it_is_taken_is_unknown(
    tmp_path: Path, uploads: Uploads, blobs: SealedBlobs
) -> None:
    upload = await begin(uploads, OFFICIAL)
    await uploads.add(OFFICIAL, upload.upload_id, 0, PDF)
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    assert await refused(uploads.take(OFFICIAL, "citizen-1", [SHA256])) == (
        "ATTACHMENT_UNKNOWN",
        {"sha256": SHA256, "component": "-"},
    )
    assert not await blobs.has("citizen-1", SHA256)


async def test_a_person_s_uploads_of_one_kind_are_not_those_of_the_other(uploads: Uploads) -> None:
    upload = await begin(uploads, Owner("citizen-1", ""))
    assert (await refused(uploads.get(ME, upload.upload_id)))[0] == "UPLOAD_UNKNOWN"


async def test_with_a_person_go_the_uploads(tmp_path: Path, uploads: Uploads, keys: MemoryKeys) -> None:
    whole, part, other = (
        await begin(uploads),
        await begin(uploads, content=MORE),
        await begin(uploads, SOMEBODY),
    )
    await uploads.add(ME, whole.upload_id, 0, PDF)
    for upload, owner, content in ((part, ME, MORE), (other, SOMEBODY, PDF)):
        await uploads.add(owner, upload.upload_id, 0, content[:40])
    keys.erase("citizen-1")
    with pytest.raises(SubjectErased):
        await uploads.add(ME, part.upload_id, 40, MORE[40:])
    for _ in range(2):
        await uploads.forget("citizen-1")
    for upload in (whole, part):
        assert (await refused(uploads.get(ME, upload.upload_id)))[0] == "UPLOAD_UNKNOWN"
    assert (await uploads.add(SOMEBODY, other.upload_id, 40, PDF[40:])).complete
    assert await files(tmp_path) == [f"citizen-1/{SHA256}", f"citizen-2/{SHA256}"]
