"""Which account a personal number or a tax code belongs to, without the number being stored.

A row holds HMAC-SHA256 of the number under a key derived from the site's master key. A plain hash would give the number
away: there are only 10^12 of them. The rows are no events: erasure deletes them, and with them the last link to the person.
"""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import Column, LargeBinary, String, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

from services.identity.domain import AccountKind
from services.identity.vault import Vault, derive_key, metadata

identifiers = Table(
    "identifiers",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("account_id", String(36), nullable=False, index=True),
)


def digest(key: bytes, kind: AccountKind, number: str) -> bytes:
    return hmac.digest(key, f"{kind.name}:{number}".encode(), hashlib.sha256)


class Identifiers:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._key = derive_key(vault.master, "identifiers/1")

    async def find(self, kind: AccountKind, number: str) -> str | None:
        query = select(identifiers.c.account_id).where(identifiers.c.digest == digest(self._key, kind, number))
        return await self._vault.read(lambda db: db.execute(query).scalar_one_or_none())

    async def claim(self, kind: AccountKind, number: str, proposed: str) -> str:
        """The number's account id: the one it has, else `proposed`. Of two first logins at once, one id wins."""
        if (held := await self.find(kind, number)) is not None:
            return held
        row = {"digest": digest(self._key, kind, number), "account_id": proposed}
        try:
            await self._vault.write(lambda db: db.execute(insert(identifiers).values(row)))
        except IntegrityError:
            return await self.claim(kind, number, proposed)
        return proposed

    async def forget(self, account_id: str) -> None:
        gone = delete(identifiers).where(identifiers.c.account_id == account_id)
        await self._vault.write(lambda db: db.execute(gone))
        await self._vault.scrub()
