"""Client assertions that were used: each is good for one token, over restarts and over replicas."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, insert
from sqlalchemy.exc import IntegrityError

from services.identity.vault import Vault, metadata

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", String, primary_key=True),
    Column("jti", String, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)


class UsedAssertions:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def first_use(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Expired rows go: an expired assertion is refused before it gets here."""
        row = {"client_id": client_id, "jti": jti, "expires_at": int(expires_at.timestamp())}

        def write(db: Connection) -> None:
            db.execute(delete(used_assertions).where(used_assertions.c.expires_at < int(now.timestamp())))
            db.execute(insert(used_assertions).values(row))

        try:
            await self._vault.write(write)
        except IntegrityError:
            return False
        return True
