"""Which account a personal number or a tax code belongs to, without the number being stored.

A row holds HMAC-SHA256 of the number under a key derived from the site's master key. A plain hash would give the number
away: there are only 10^12 of them. The rows are no events: erasure deletes them, and with them the last link to the
person. They are rebuilt from the sealed numbers of the accounts that were not erased.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Column, LargeBinary, MetaData, String, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.identity.domain import AccountKind

metadata = MetaData()
identifiers = Table(
    "identifiers",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("account_id", String(36), nullable=False, index=True),
)


def derive_key(master: bytes, use: str) -> bytes:
    """One key per use, so that none can stand in for another."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"motcua/identity/{use}".encode()).derive(master)


def digest(key: bytes, kind: AccountKind, number: str) -> bytes:
    return hmac.digest(key, f"{kind.name}:{number}".encode(), hashlib.sha256)


class Identifiers:
    def __init__(self, engine: AsyncEngine, master: bytes) -> None:
        self._engine = engine
        self._key = derive_key(master, "identifiers/1")

    async def find(self, kind: AccountKind, number: str) -> str | None:
        query = select(identifiers.c.account_id).where(identifiers.c.digest == digest(self._key, kind, number))
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def claim(self, kind: AccountKind, number: str, proposed: str) -> str:
        """The number's account id: the one it has, else `proposed`. Of two first logins at once, one id wins."""
        if (held := await self.find(kind, number)) is not None:
            return held
        row = {"digest": digest(self._key, kind, number), "account_id": proposed}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(identifiers).values(row))
        except IntegrityError:
            return await self.claim(kind, number, proposed)
        return proposed

    async def forget(self, account_id: str) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(identifiers).where(identifiers.c.account_id == account_id))
