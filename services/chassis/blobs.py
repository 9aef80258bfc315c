"""Content-addressed files: attachments and results. A folder here, a bucket in production."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

CHUNK_BYTES = 256 * 1024
SHA256 = re.compile("[0-9a-f]{64}")


class WrongContent(Exception):
    """The bytes are not those that were announced."""


class WrongOffset(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(f"the next byte awaited is {offset}")
        self.offset = offset


class FolderBlobs:
    """`<sha256>` names a blob. An upload grows beside them until it is whole, and survives a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"

    def _path(self, sha256: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise FileNotFoundError(sha256[:64])
        return self._folder / sha256[:2] / sha256

    async def has(self, sha256: str) -> bool:
        return await asyncio.to_thread(self._path(sha256).exists)

    async def offset(self, upload_id: str) -> int:
        """How many bytes of an upload are on disk."""
        part = self._uploads / upload_id
        return await asyncio.to_thread(lambda: part.stat().st_size if part.exists() else 0)

    async def write(self, upload_id: str, offset: int, data: bytes) -> int:
        """Add bytes at the end; bytes that are there already change nothing. Returns the new offset. Raises WrongOffset."""

        def run() -> int:
            self._uploads.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._uploads / upload_id, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if offset + len(data) <= size and os.pread(descriptor, len(data), offset) == data:
                    return size
                if offset != size:
                    raise WrongOffset(size)
                os.pwrite(descriptor, data, offset)
                os.fsync(descriptor)
                return size + len(data)
            finally:
                os.close(descriptor)

        return await asyncio.to_thread(run)

    async def head(self, upload_id: str, count: int) -> bytes:
        def run() -> bytes:
            with (self._uploads / upload_id).open("rb") as file:
                return file.read(count)

        return await asyncio.to_thread(run)

    async def discard(self, upload_id: str) -> None:
        await asyncio.to_thread(lambda: (self._uploads / upload_id).unlink(missing_ok=True))

    async def finish(self, upload_id: str, sha256: str) -> None:
        """Give a whole upload its name. Raises WrongContent, and the upload begins anew."""

        def run() -> None:
            part = self._uploads / upload_id
            with part.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != sha256:
                part.unlink()
                raise WrongContent(digest)
            path = self._path(sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.rename(path)
            descriptor = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

        await asyncio.to_thread(run)

    async def put(self, content: bytes) -> str:
        """Store a whole blob; returns its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not await self.has(sha256):
            upload_id = f"put-{sha256}"
            await self.discard(upload_id)
            await self.write(upload_id, 0, content)
            await self.finish(upload_id, sha256)
        return sha256

    async def delete(self, sha256: str) -> None:
        """Forget the content for good; one that is not there changes nothing."""
        await asyncio.to_thread(lambda: self._path(sha256).unlink(missing_ok=True))

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        """The content in chunks. Raises FileNotFoundError."""
        file = await asyncio.to_thread(self._path(sha256).open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()
