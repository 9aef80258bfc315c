"""Uploads while they grow: sealed in parts, under the key of whoever sends them.

A part is the blob `upload-<id>/<offset>-<length>`: nonce (12 bytes) and one AES-256-GCM frame under HKDF-SHA256 of the sender's
key and the upload's id, bound to the place in the content. A part that is still small is sealed again together with the next
piece, so that a file of many tiny pieces does not become as many blobs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.blobs.port import BlobStore
from services.chassis.blobs.sealed import TAG_BYTES, ContentDamaged, derived
from services.chassis.machine import chance, threads
from services.chassis.privacy.sealing import NONCE_BYTES, KeyRing, SubjectErased

SMALL_BYTES = 64 * 1024
USE = b"motcua/upload/1"
_MEMBER = re.compile(r"(\d{12})-([1-9]\d*)", re.ASCII)


class OffsetWrong(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(f"the next byte awaited is {offset}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _Part:
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class GrowingUploads:
    """Writes to one upload come one after another."""

    def __init__(self, store: BlobStore, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys

    async def offset(self, upload_id: str) -> int:
        """How many bytes are there."""
        parts = await self._parts(upload_id)
        return parts[-1].end if parts else 0

    async def write(self, sender: str, upload_id: str, offset: int, data: bytes) -> int:
        """Add bytes at the end; bytes that are there already change nothing. Returns the new offset.

        Raises OffsetWrong, SubjectErased.
        """
        cipher, parts = await self._cipher(sender, upload_id), await self._parts(upload_id)
        size = parts[-1].end if parts else 0
        if offset + len(data) <= size and await self._between(cipher, upload_id, parts, offset, len(data)) == data:
            return size
        if offset != size:
            raise OffsetWrong(size)
        small = parts[-1] if parts and parts[-1].length < SMALL_BYTES else None
        if small:
            data = await self._content(cipher, upload_id, small) + data
            offset = small.offset
        await self._put(cipher, upload_id, _Part(offset, len(data)), data)
        if small:
            await self._store.delete(_name(upload_id, small))
        return offset + len(data)

    async def read(self, sender: str, upload_id: str) -> AsyncIterator[bytes]:
        """Raises SubjectErased, ContentDamaged."""
        cipher = await self._cipher(sender, upload_id)
        for part in await self._parts(upload_id):
            yield await self._content(cipher, upload_id, part)

    async def discard(self, upload_id: str) -> None:
        for member in await self._store.members(_group(upload_id)):
            await self._store.delete(f"{_group(upload_id)}/{member}")

    async def _cipher(self, sender: str, upload_id: str) -> AESGCM:
        key = (await self._keys.keys([sender], create=True)).get(sender)
        if key is None:
            raise SubjectErased(sender)
        return AESGCM(derived(key, upload_id.encode(), USE))

    async def _parts(self, upload_id: str) -> Sequence[_Part]:
        """Without a gap from the first byte on. Of two that begin at one place, the longer replaced the other."""
        found = [
            _Part(int(match[1]), int(match[2]))
            for member in await self._store.members(_group(upload_id))
            if (match := _MEMBER.fullmatch(member))
        ]
        parts: list[_Part] = []
        for part in sorted(found, key=lambda part: (part.offset, -part.length)):
            if part.offset == (parts[-1].end if parts else 0):
                parts.append(part)
        return parts

    async def _between(self, cipher: AESGCM, upload_id: str, parts: Sequence[_Part], offset: int, length: int) -> bytes:
        wanted = [part for part in parts if part.end > offset and part.offset < offset + length]
        content = b"".join([await self._content(cipher, upload_id, part) for part in wanted])
        start = offset - wanted[0].offset if wanted else 0
        return content[start : start + length]

    async def _put(self, cipher: AESGCM, upload_id: str, part: _Part, data: bytes) -> None:
        async def sealed() -> AsyncIterator[bytes]:
            nonce = chance.random_bytes(NONCE_BYTES)
            yield nonce + await threads.in_thread(cipher.encrypt, nonce, data, _place(part))

        await self._store.put(_name(upload_id, part), sealed())

    async def _content(self, cipher: AESGCM, upload_id: str, part: _Part) -> bytes:
        name = _name(upload_id, part)
        sealed = await self._store.get(name, 0, NONCE_BYTES + part.length + TAG_BYTES)
        try:
            return await threads.in_thread(cipher.decrypt, sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(part))
        except (InvalidTag, ValueError):
            raise ContentDamaged(f"the part {name} of an upload") from None


def _group(upload_id: str) -> str:
    return f"upload-{upload_id}"


def _name(upload_id: str, part: _Part) -> str:
    return f"{_group(upload_id)}/{part.offset:012d}-{part.length}"


def _place(part: _Part) -> bytes:
    return part.offset.to_bytes(8, "big")
