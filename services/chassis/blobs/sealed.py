"""Files as blobs: sealed under their subject's key before they reach the store, checked while they are read.

A file is the blob `<subject>/<sha256 of its content>`, so that equal files of two people are two blobs, and a person's are found
by their name. A blob is version (1 byte), salt (32 bytes), then frames of 64 KiB of content, each with its tag of 16 bytes; only
the last is shorter, or empty in an empty file. The file's key is HKDF-SHA256 of the subject's key and the salt. A frame is
AES-256-GCM under it: its nonce is the frame's number (11 bytes) and whether it is the last (1 byte), its associated data the
blob's name. So no frame can be dropped, added, moved or changed without notice, as in the STREAM construction
(https://eprint.iacr.org/2015/189).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.chassis.blobs.port import BlobMissing, BlobStore
from services.chassis.machine import chance, threads
from services.chassis.privacy.sealing import KEY_BYTES, KeyLost, KeyRing, SubjectErased, is_lost

FRAME_BYTES = 64 * 1024
# Sealed, or read, in one go.
FRAMES_AT_ONCE = 4
VERSION = b"\x01"
SALT_BYTES = 32
TAG_BYTES = 16
HEADER_BYTES = len(VERSION) + SALT_BYTES
USE = b"motcua/blob/1"
_SHA256 = re.compile("[0-9a-f]{64}")


class ContentWrong(Exception):
    """The content is not what its hash announces."""

    def __init__(self, sha256: str) -> None:
        super().__init__(sha256)
        self.sha256 = sha256


class ContentDamaged(Exception):
    """What lies in the store is not what was put there."""


def derived(key: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=use).derive(key)


@dataclass(frozen=True, slots=True)
class _Frames:
    cipher: AESGCM
    name: bytes

    @classmethod
    def of(cls, key: bytes, salt: bytes, name: str) -> _Frames:
        return cls(AESGCM(derived(key, salt, USE)), name.encode())

    def seal(self, number: int, content: bytes, *, last: bool) -> bytes:
        """Whole frames, and the last one if `last`."""
        pieces = _cut(content, FRAME_BYTES)
        return b"".join(
            self.cipher.encrypt(_nonce(number + i, last and i == len(pieces) - 1), piece, self.name)
            for i, piece in enumerate(pieces)
        )

    def unseal(self, number: int, frames: bytes, *, last: bool) -> bytes:
        """Raises ContentDamaged."""
        pieces = _cut(frames, FRAME_BYTES + TAG_BYTES)
        try:
            return b"".join(
                self.cipher.decrypt(_nonce(number + i, last and i == len(pieces) - 1), piece, self.name)
                for i, piece in enumerate(pieces)
            )
        except InvalidTag:
            raise ContentDamaged(f"a frame of the blob {self.name.decode()} from number {number} on") from None


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, max(len(content), 1), size)]


def blob_name(subject: str, sha256: str) -> str:
    """Raises BlobMissing for what is no SHA-256: nothing can have that name."""
    if not _SHA256.fullmatch(sha256):
        raise BlobMissing(f"{subject}/{sha256}")
    return f"{subject}/{sha256}"


class SealedBlobs:
    def __init__(self, store: BlobStore, keys: KeyRing) -> None:
        self._store = store
        self._keys = keys

    async def put(self, subject: str, sha256: str, content: AsyncIterable[bytes]) -> None:
        """Raises SubjectErased, and ContentWrong if the content has another hash; then nothing is stored."""
        name = blob_name(subject, sha256)
        key = (await self._keys.keys([subject], create=True)).get(subject)
        if key is None:
            raise SubjectErased(subject)
        await self._store.put(name, _sealed(name, key, sha256, content))

    async def has(self, subject: str, sha256: str) -> bool:
        try:
            await self._store.size(blob_name(subject, sha256))
        except BlobMissing:
            return False
        return True

    async def read(self, subject: str, sha256: str) -> AsyncIterator[bytes]:
        """The content in pieces; the last one comes when the hash of all is known to be right.

        Raises BlobMissing, SubjectErased, KeyLost, ContentDamaged.
        """
        name = blob_name(subject, sha256)
        keys = await self._keys.keys([subject], create=False)
        key = keys.get(subject)
        if key is None:
            raise KeyLost(subject) if is_lost(subject, keys) else SubjectErased(subject)
        async for piece in _opened(self._store, name, key, sha256):
            yield piece

    async def drop(self, subject: str, sha256: str) -> None:
        """Delete one, if it is there."""
        await self._store.delete(blob_name(subject, sha256))

    async def forget(self, subject: str) -> None:
        """Delete all that the subject has; to be asked again after a crash."""
        for member in await self._store.members(subject):
            await self._store.delete(f"{subject}/{member}")


async def _sealed(name: str, key: bytes, sha256: str, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    salt = chance.random_bytes(SALT_BYTES)
    frames, digest, number, held = _Frames.of(key, salt, name), hashlib.sha256(), 0, b""
    yield VERSION + salt
    async for piece in content:
        held += piece
        # The end of what is held may be the end of all: it waits.
        whole = max(0, (len(held) - 1) // FRAME_BYTES)
        if whole >= FRAMES_AT_ONCE:
            ready, held = held[: whole * FRAME_BYTES], held[whole * FRAME_BYTES :]
            yield await threads.in_thread(_seal, frames, digest, number, ready, False)
            number += whole
    sealed = await threads.in_thread(_seal, frames, digest, number, held, True)
    if digest.hexdigest() != sha256:
        raise ContentWrong(digest.hexdigest())
    yield sealed


def _seal(frames: _Frames, digest: hashlib._Hash, number: int, content: bytes, last: bool) -> bytes:
    digest.update(content)
    return frames.seal(number, content, last=last)


async def _opened(store: BlobStore, name: str, key: bytes, sha256: str) -> AsyncIterator[bytes]:
    sealed = await store.size(name) - HEADER_BYTES
    header = await store.get(name, 0, HEADER_BYTES)
    if sealed < TAG_BYTES or header[:1] != VERSION:
        raise ContentDamaged(f"the blob {name} begins with {header[:1]!r} and has {sealed} bytes of frames")
    frames, digest, sent = _Frames.of(key, header[1:], name), hashlib.sha256(), b""
    step = FRAMES_AT_ONCE * (FRAME_BYTES + TAG_BYTES)
    for start in range(0, sealed, step):
        part = await store.get(name, HEADER_BYTES + start, step)
        last = start + step >= sealed
        number = start // (FRAME_BYTES + TAG_BYTES)
        content = await threads.in_thread(_unseal, frames, digest, number, part, last)
        if sent:
            yield sent
        sent = content
    if digest.hexdigest() != sha256:
        raise ContentDamaged(f"the content of the blob {name} has the hash {digest.hexdigest()}")
    if sent:
        yield sent


def _unseal(frames: _Frames, digest: hashlib._Hash, number: int, part: bytes, last: bool) -> bytes:
    content = frames.unseal(number, part, last=last)
    digest.update(content)
    return content
