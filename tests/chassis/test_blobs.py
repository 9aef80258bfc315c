import hashlib
from pathlib import Path

import pytest

from services.chassis.blobs import FolderBlobs, WrongContent, WrongOffset


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


async def read(blobs: FolderBlobs, sha256: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(sha256)])


@pytest.mark.parametrize("name", ["", "../../secret", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "/etc/passwd"])
async def test_only_a_digest_names_a_blob(tmp_path: Path, blobs: FolderBlobs, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"a secret")
    for access in (blobs.has, blobs.delete):
        with pytest.raises(FileNotFoundError):
            await access(name)
    with pytest.raises(FileNotFoundError):
        await read(blobs, name)


async def test_an_absolute_path_names_no_blob(tmp_path: Path, blobs: FolderBlobs) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret")
    with pytest.raises(FileNotFoundError):
        await read(blobs, str(secret))


async def test_a_blob_put_twice_is_one_and_can_be_deleted(blobs: FolderBlobs) -> None:
    name = await blobs.put(b"content")
    assert name == hashlib.sha256(b"content").hexdigest() == await blobs.put(b"content")
    assert await read(blobs, name) == b"content"
    await blobs.delete(name)
    assert not await blobs.has(name)


async def test_an_upload_grows_in_order_and_gets_its_name_when_whole(blobs: FolderBlobs) -> None:
    assert await blobs.write("u", 0, b"con") == 3
    assert await blobs.write("u", 0, b"con") == 3
    with pytest.raises(WrongOffset) as wrong:
        await blobs.write("u", 5, b"t")
    assert wrong.value.offset == 3
    assert await blobs.write("u", 3, b"tent") == 7
    with pytest.raises(WrongContent):
        await blobs.finish("u", "ab" * 32)
    assert await blobs.offset("u") == 0
