"""Which account a personal number or a tax code belongs to, without the number being stored.

A row holds HMAC-SHA256 of the number under a random key of the site, which the vault keeps. A plain hash would give the number
away: there are only 10^12 of them. The rows are no events: erasure deletes them, and with them the last link to the person.
Without the key none of them says anything any more.
"""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from services.identity.accounts.values import AccountKind
from services.identity.vault import Vault, identifiers, site_secrets

SECRET = "identifiers"


def digest(key: bytes, kind: AccountKind, number: str) -> bytes:
    return hmac.digest(key, f"{kind.name}:{number}".encode(), hashlib.sha256)


class Identifiers:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def find(self, kind: AccountKind, number: str) -> str | None:
        key = await self._vault.secret(SECRET)
        query = select(identifiers.c.account_id).where(identifiers.c.digest == digest(key, kind, number))
        return await self._vault.read(lambda db: db.execute(query).scalar_one_or_none())

    async def claim(self, kind: AccountKind, number: str, proposed: str) -> str:
        """The number's account id: the one it has, else `proposed`. Of two first logins at once, one id wins."""
        if (held := await self.find(kind, number)) is not None:
            return held
        row = {"digest": digest(await self._vault.secret(SECRET), kind, number), "account_id": proposed}
        try:
            await self._vault.write(lambda db: db.execute(insert(identifiers).values(row)))
        except IntegrityError:
            return await self.claim(kind, number, proposed)
        return proposed

    async def destroy(self) -> int:
        """The key and all rows: no number leads to an account any more. Whoever logs in next gets a new one."""

        def write(db: Connection) -> int:
            db.execute(delete(site_secrets).where(site_secrets.c.name == SECRET))
            return db.execute(delete(identifiers)).rowcount

        gone = await self._vault.write(write)
        await self._vault.scrub()
        return gone
