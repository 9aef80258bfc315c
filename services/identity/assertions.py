"""Client assertions that were used: each is good for one token, over restarts and over replicas."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, MetaData, String, Table, delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

metadata = MetaData()
used_assertions = Table(
    "used_assertions",
    metadata,
    Column("client_id", String(63), primary_key=True),
    Column("jti", String(256), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)


class UsedAssertions:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def first_use(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Expired rows go: an expired assertion is refused before it gets here."""
        row = {"client_id": client_id, "jti": jti, "expires_at": int(expires_at.timestamp())}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    delete(used_assertions).where(used_assertions.c.expires_at < int(now.timestamp()))
                )
                await connection.execute(insert(used_assertions).values(row))
        except IntegrityError:
            return False
        return True
