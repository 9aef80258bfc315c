from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.blobs.port import BlobMissing, FolderBlobs
from services.chassis.blobs.sealed import (
    FRAME_BYTES,
    FRAMES_AT_ONCE,
    HEADER_BYTES,
    TAG_BYTES,
    ContentDamaged,
    ContentWrong,
    SealedBlobs,
)
from services.chassis.blobs.unfinished import SMALL_BYTES, GrowingUploads, OffsetWrong
from services.chassis.privacy.sealing import SubjectErased
from tests.support.keys import MemoryKeys

ANNA, BEN = "citizen-1", "citizen-2"
GROUP = FRAME_BYTES * FRAMES_AT_ONCE
SEALED_FRAME = FRAME_BYTES + TAG_BYTES
SIZES = [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP, 3 * GROUP + 5]


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def some(size: int) -> bytes:
    return bytes(i * i % 251 for i in range(min(size, 4096))) * (size // 4096 + 1) if size else b""


async def pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


class Box:
    """A folder of blobs, a person's file in it, and those who tamper with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = MemoryKeys()
        self.store = FolderBlobs(folder)
        self.blobs = SealedBlobs(self.store, self.keys)
        self.growing = GrowingUploads(self.store, self.keys)

    async def put(self, content: bytes, subject: str = ANNA, piece: int = 100_000) -> str:
        await self.blobs.put(subject, sha256_of(content), pieces(content, piece))
        return sha256_of(content)

    async def read(self, sha256: str, subject: str = ANNA) -> bytes:
        return b"".join([piece async for piece in self.blobs.read(subject, sha256)])

    def path(self, sha256: str, subject: str = ANNA) -> Path:
        return self.folder / subject / sha256


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.mark.parametrize("size", SIZES)
async def test_content_of_any_size_comes_back(box: Box, size: int) -> None:
    content = some(size)[:size]
    sha256 = await box.put(content)
    assert await box.read(sha256) == content
    frames = max(1, -(-size // FRAME_BYTES))
    assert box.path(sha256).stat().st_size == HEADER_BYTES + size + frames * TAG_BYTES


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, GROUP + FRAME_BYTES), piece=st.integers(1, GROUP))
async def test_however_it_arrives(box: Box, size: int, piece: int) -> None:
    content = some(size)[:size]
    assert await box.read(await box.put(content, piece=max(piece, size // 50, 1))) == content


async def test_nothing_of_the_content_is_stored_and_equal_files_look_different(box: Box) -> None:
    content = b"Nguyen Thi Lan 056190000123 " * 9_000
    sha256 = await box.put(content)
    first = box.path(sha256).read_bytes()
    assert b"Nguyen" not in first
    await box.put(content)
    await box.put(content, BEN)
    stored = [first, box.path(sha256).read_bytes(), box.path(sha256, BEN).read_bytes()]
    assert len({blob[start : start + 16] for blob in stored for start in (1, 40, 70_000)}) == 9


async def test_other_content_than_announced_is_not_stored(box: Box) -> None:
    content = some(GROUP * 2)
    with pytest.raises(ContentWrong) as wrong:
        await box.blobs.put(ANNA, "ab" * 32, pieces(content))
    assert wrong.value.sha256 == sha256_of(content)
    assert await box.store.members(ANNA) == []


@pytest.mark.parametrize("sha256", ["", "../../secret", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "/etc/passwd"])
async def test_only_a_digest_names_a_file(box: Box, sha256: str) -> None:
    assert not await box.blobs.has(ANNA, sha256)
    with pytest.raises(BlobMissing):
        await box.read(sha256)
    with pytest.raises(BlobMissing):
        await box.blobs.put(ANNA, sha256, pieces(b"."))


async def test_without_the_key_nobody_reads_or_writes(box: Box) -> None:
    sha256 = await box.put(b"content")
    box.keys.erase(ANNA)
    with pytest.raises(SubjectErased):
        await box.read(sha256)
    with pytest.raises(SubjectErased):
        await box.put(b"more")


async def test_one_person_s_files_go_and_another_s_stay(box: Box) -> None:
    contents = [b"one", b"two", b"the same"]
    for content in contents:
        await box.put(content)
    await box.put(b"the same", BEN)
    for _ in range(2):
        await box.blobs.forget(ANNA)
    assert [await box.blobs.has(ANNA, sha256_of(content)) for content in contents] == [False] * 3
    assert await box.read(sha256_of(b"the same"), BEN) == b"the same"


def frame(number: int) -> slice:
    start = HEADER_BYTES + number * SEALED_FRAME
    return slice(start, start + SEALED_FRAME)


def flipped(blob: bytes, at: int) -> bytes:
    return blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]


TAMPERINGS: dict[str, Callable[[bytes], bytes]] = {
    "a byte of the salt": lambda blob: flipped(blob, 5),
    "a byte of the first frame": lambda blob: flipped(blob, HEADER_BYTES),
    "a byte of a later frame": lambda blob: flipped(blob, frame(5).start + 9),
    "the last byte": lambda blob: flipped(blob, len(blob) - 1),
    "another version": lambda blob: b"\x02" + blob[1:],
    "the last frame dropped": lambda blob: blob[: frame(5).start],
    "the first frame dropped": lambda blob: blob[:HEADER_BYTES] + blob[frame(0).stop :],
    "a frame in the middle dropped": lambda blob: blob[: frame(2).start] + blob[frame(2).stop :],
    "frames swapped": lambda blob: blob[: frame(1).start] + blob[frame(2)] + blob[frame(1)] + blob[frame(2).stop :],
    "a frame twice": lambda blob: blob[: frame(1).stop] + blob[frame(1).start :],
    "cut within a frame": lambda blob: blob[: frame(3).start + 100],
    "a byte too many": lambda blob: blob + b"\0",
    "the header alone": lambda blob: blob[:HEADER_BYTES],
    "nothing": lambda blob: b"",
}  # fmt: skip


@pytest.mark.parametrize("tampering", list(TAMPERINGS))
async def test_what_was_tampered_with_is_never_passed_as_whole(box: Box, tampering: str) -> None:
    content = some(5 * FRAME_BYTES + 77)[: 5 * FRAME_BYTES + 77]
    sha256 = await box.put(content)
    path = box.path(sha256)
    path.write_bytes(TAMPERINGS[tampering](path.read_bytes()))
    got: list[bytes] = []

    async def read() -> None:
        async for piece in box.blobs.read(ANNA, sha256):
            got.append(piece)

    with pytest.raises(ContentDamaged):
        await read()
    assert len(b"".join(got)) < len(content)
    assert content.startswith(b"".join(got))


async def test_a_blob_is_bound_to_its_person_and_its_hash(box: Box) -> None:
    sha256, other = await box.put(b"content"), await box.put(b"other content")
    for name in (box.path(other), box.path(sha256, BEN)):
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(box.path(sha256).read_bytes())
    await box.keys.keys([BEN], create=True)
    for subject, named in ((ANNA, other), (BEN, sha256)):
        with pytest.raises(ContentDamaged):
            await box.read(named, subject)


# Growing uploads


async def grown(box: Box, upload_id: str = "u") -> bytes:
    return b"".join([piece async for piece in box.growing.read(ANNA, upload_id)])


async def test_an_upload_grows_in_order(box: Box) -> None:
    assert await box.growing.offset("u") == 0
    assert await box.growing.write(ANNA, "u", 0, b"con") == 3
    for offset, data in ((0, b"con"), (1, b"on"), (2, b"n")):
        assert await box.growing.write(ANNA, "u", offset, data) == 3
    for offset, data in ((5, b"t"), (0, b"cob"), (0, b"cont")):
        with pytest.raises(OffsetWrong) as wrong:
            await box.growing.write(ANNA, "u", offset, data)
        assert wrong.value.offset == 3
    assert await box.growing.write(ANNA, "u", 3, b"tent") == 7
    assert await grown(box) == b"content"
    await box.growing.discard("u")
    assert (await box.growing.offset("u"), await grown(box)) == (0, b"")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, SMALL_BYTES + 10), min_size=1, max_size=8))
async def test_an_upload_of_pieces_of_any_length_is_the_content(box: Box, lengths: list[int]) -> None:
    content = some(sum(lengths))[: sum(lengths)]
    await box.growing.discard("u")
    offset = 0
    for length in lengths:
        assert await box.growing.write(ANNA, "u", offset, content[offset : offset + length]) == offset + length
        assert await box.growing.write(ANNA, "u", offset, content[offset : offset + length]) == offset + length
        offset += length
    assert await grown(box) == content
    assert len(await box.store.members("upload-u")) <= 1 + len(content) // SMALL_BYTES


async def test_a_piece_that_a_crash_left_twice_counts_once(box: Box) -> None:
    await box.growing.write(ANNA, "u", 0, b"con")
    (small,) = (box.folder / "upload-u").iterdir()
    left = small.read_bytes()
    await box.growing.write(ANNA, "u", 3, b"tent")
    small.write_bytes(left)
    assert (await box.growing.offset("u"), await grown(box)) == (7, b"content")


async def test_an_upload_lies_sealed_and_bound_to_its_place(box: Box) -> None:
    content = b"%PDF Nguyen Thi Lan 056190000123" * 6_000
    half = len(content) // 2
    await box.growing.write(ANNA, "u", 0, content[:half])
    await box.growing.write(ANNA, "u", half, content[half:])
    one, two = sorted((box.folder / "upload-u").iterdir())
    assert all(b"Nguyen" not in part.read_bytes() for part in (one, two))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    with pytest.raises(ContentDamaged):
        await grown(box)
    other = box.folder / "upload-v"
    other.mkdir()
    (other / one.name).write_bytes(first)
    with pytest.raises(ContentDamaged):
        await grown(box, "v")


async def test_with_its_sender_goes_an_upload(box: Box) -> None:
    await box.growing.write(ANNA, "u", 0, b"con")
    box.keys.erase(ANNA)
    with pytest.raises(SubjectErased):
        await box.growing.write(ANNA, "u", 3, b"tent")
    with pytest.raises(SubjectErased):
        await grown(box)
