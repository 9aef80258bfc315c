"""The published files in a bucket: a file is created, and the checkpoint replaced, by conditional writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, PreconditionError

from services.chassis.blobs.bucket import answering
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.machine import chance

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Store


class BucketStorage:
    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._trusted = False

    async def read(self, path: str) -> bytes | None:
        content, _ = await self._read(path)
        return content

    async def create(self, path: str, content: bytes) -> bytes | None:
        while not await self._put(path, content, "create"):
            if (there := await self.read(path)) is not None:
                return there
        return None

    async def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        if not self._trusted:
            await self._require_conditions()
            self._trusted = True
        content, tag = await self._read(path)
        if content != old:
            return False
        return await self._put(path, new, "create" if tag is None else {"e_tag": tag})

    async def remove_under(self, folder: str) -> None:
        with answering():
            found = await self._store.list_async(folder).collect_async()
            if found:
                await self._store.delete_async([each["path"] for each in found])

    async def _read(self, path: str) -> tuple[bytes | None, str | None]:
        """With its ETag."""
        try:
            with answering():
                found = await self._store.get_async(path)
                return bytes(await found.bytes_async()), found.meta["e_tag"]
        except FileNotFoundError:
            return None, None

    async def _put(self, path: str, content: bytes, mode: PutMode) -> bool:
        """Whether the condition held."""
        try:
            with answering():
                try:
                    await self._store.put_async(path, content, mode=mode, use_multipart=False)
                except (AlreadyExistsError, PreconditionError):
                    return False
        except FileNotFoundError:  # it was removed meanwhile
            return False
        return True

    async def _require_conditions(self) -> None:
        """A bucket that overlooks conditions would let a slow replica put an old checkpoint over a newer one."""
        path = f".conditions-{chance.token_hex(4)}"
        try:
            kept = await self._put(path, b"1", "create") and not await self._put(path, b"2", "create")
            kept = kept and not await self._put(path, b"2", {"e_tag": '"0"'})
        finally:
            with answering():
                await self._store.delete_async(path)
        if not kept:
            raise BlobsUnavailable(
                "the bucket overlooks If-None-Match and If-Match of a PUT, which keep an old checkpoint from replacing a newer "
                "one: use another store, or a newer version of it"
            )
