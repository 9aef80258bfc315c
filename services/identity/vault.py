"""What identity keeps outside the event store: keys, identifiers, used assertions.

No log gives them back, so each commit is on disk. Secrets are wrapped by keys derived from the site's master key, one per use.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, MetaData

from services.chassis.database import Database
from services.chassis.platform import Platform

T = TypeVar("T")

NONCE_BYTES = 12

metadata = MetaData()


def derive_key(master: bytes, use: str) -> bytes:
    """One key per use, so that none can stand in for another."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"motcua/identity/{use}".encode()).derive(master)


class Wrapping:
    """AES-256-GCM; a wrapped secret opens only under the name that it was wrapped for."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, secret: bytes, name: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def unwrap(self, wrapped: bytes, name: str) -> bytes:
        """Raises cryptography.exceptions.InvalidTag, above all under another master key."""
        return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name.encode())


class Vault:
    def __init__(self, database: Database, master: bytes) -> None:
        self.master = master
        self._database = database
        self._making = asyncio.Lock()
        self._made = False

    @classmethod
    def of(cls, platform: Platform) -> Vault:
        master = platform.settings.secret("master", platform.settings.master_key)
        return cls(platform.database("keys", durable=True), bytes.fromhex(master))

    def wrapping(self, use: str) -> Wrapping:
        return Wrapping(derive_key(self.master, use))

    async def read(self, work: Callable[[Connection], T]) -> T:
        await self._make()
        return await self._database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """On disk when it returns."""
        await self._make()
        return await self._database.write(work)

    async def scrub(self) -> None:
        """What was deleted or overwritten is in no file of the database any more."""
        await self._database.checkpoint()

    async def _make(self) -> None:
        async with self._making:
            if not self._made:
                await self._database.create(metadata)
                self._made = True
