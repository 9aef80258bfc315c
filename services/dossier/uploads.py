"""Uploads in chunks: content-addressed, limited in size and type, resumed after an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from weakref import WeakValueDictionary

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Delete,
    MetaData,
    String,
    Table,
    delete,
    func,
    select,
    update,
)

from motcua.dossier.v1 import dossier_pb2
from services.chassis.blobs import WrongContent, WrongOffset
from services.chassis.database import Database, insert_new
from services.chassis.decider import Rejected
from services.chassis.platform import Platform

LARGEST_BYTES = 50 * 1024 * 1024
LARGEST_CHUNK_BYTES = 1024 * 1024
MOST_UNFINISHED = 20
MOST_UNFINISHED_BYTES = 200 * 1024 * 1024
# What a file of each accepted type begins with.
MAGIC = {"application/pdf": b"%PDF-", "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}

metadata = MetaData()
uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("owner", String, nullable=False, index=True),
    Column("media_type", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
)


class Uploads:
    """Each belongs to the account that began it: nobody attaches another's file by its hash.

    Whose file is whose stands in no event before a dossier takes the file: the database is durable.
    """

    def __init__(self, platform: Platform, database: Database) -> None:
        self._blobs = platform.blobs
        self._database = database
        self._ready = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def of(cls, container: Any) -> Uploads:
        platform: Platform = container.config["platform"]
        return cls(platform, platform.database(f"{container.service_name}-uploads", durable=True))

    async def _db(self) -> Database:
        if not self._ready:
            await self._database.create(metadata)
            self._ready = True
        return self._database

    async def create(self, owner: str, media_type: str, size: int, sha256: str) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_TYPE_REFUSED, UPLOAD_TOO_LARGE, UPLOAD_CONTENT_WRONG, UPLOAD_QUOTA."""
        if media_type not in MAGIC:
            raise Rejected("UPLOAD_TYPE_REFUSED", media_type=media_type[:80], accepted=", ".join(MAGIC))
        if not 0 < size <= LARGEST_BYTES:
            raise Rejected("UPLOAD_TOO_LARGE", limit=str(LARGEST_BYTES))
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise Rejected("UPLOAD_CONTENT_WRONG", why="sha256: 64 lower-case hexadecimal digits")
        upload_id = str(uuid5(NAMESPACE_OID, f"upload:{owner}:{media_type}:{size}:{sha256}"))
        database = await self._db()

        row = {
            "upload_id": upload_id,
            "owner": owner,
            "media_type": media_type,
            "size": size,
            "sha256": sha256,
            "complete": False,
            "began_at": datetime.now(UTC),
        }

        def begin(db: Connection) -> Any:
            this = select(uploads).where(uploads.c.upload_id == upload_id)
            if (found := db.execute(this).one_or_none()) is not None:
                return found
            unfinished = select(func.count(), func.coalesce(func.sum(uploads.c.size), 0))
            count, held = db.execute(unfinished.where(uploads.c.owner == owner, ~uploads.c.complete)).one()
            if count >= MOST_UNFINISHED or held + size > MOST_UNFINISHED_BYTES:
                raise Rejected("UPLOAD_QUOTA", limit=str(MOST_UNFINISHED), bytes=str(MOST_UNFINISHED_BYTES))
            insert_new(db, uploads, row)
            return db.execute(this).one()

        return await self._shown(await database.write(begin))

    async def get(self, owner: str, upload_id: str) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_UNKNOWN."""
        return await self._shown(await self._row(owner, upload_id))

    async def add(self, owner: str, upload_id: str, offset: int, data: bytes) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_UNKNOWN, UPLOAD_TOO_LARGE, UPLOAD_OFFSET_WRONG, UPLOAD_CONTENT_WRONG."""
        async with self._locks.setdefault(upload_id, asyncio.Lock()):
            row = await self._row(owner, upload_id)
            if row.complete:
                return await self._shown(row)
            if len(data) > LARGEST_CHUNK_BYTES:
                raise Rejected("UPLOAD_TOO_LARGE", limit=str(LARGEST_CHUNK_BYTES))
            if offset < 0 or offset + len(data) > row.size:
                raise Rejected("UPLOAD_TOO_LARGE", limit=str(row.size))
            try:
                reached = await self._blobs.write(upload_id, offset, data)
            except WrongOffset as wrong:
                raise Rejected("UPLOAD_OFFSET_WRONG", offset=str(wrong.offset)) from None
            if reached == row.size:
                await self._finish(row)
                row = await self._row(owner, upload_id)
            return await self._shown(row)

    async def _finish(self, row: Any) -> None:
        magic = MAGIC[row.media_type]
        if await self._blobs.head(row.upload_id, len(magic)) != magic:
            await self._blobs.discard(row.upload_id)
            raise Rejected("UPLOAD_CONTENT_WRONG", why=f"it is no {row.media_type}")
        try:
            await self._blobs.finish(row.upload_id, row.sha256)
        except WrongContent as wrong:
            raise Rejected("UPLOAD_CONTENT_WRONG", why=f"its sha256 is {wrong}") from None
        done = update(uploads).where(uploads.c.upload_id == row.upload_id).values(complete=True)
        await self._database.write(lambda db: db.execute(done))

    async def sweep(self, before: datetime) -> None:
        """Discard what was begun before then and never completed."""
        database = await self._db()
        stale = ~uploads.c.complete & (uploads.c.began_at < before)
        for upload_id in await database.read(
            lambda db: db.execute(select(uploads.c.upload_id).where(stale)).scalars().all()
        ):
            async with self._locks.setdefault(upload_id, asyncio.Lock()):
                this = delete(uploads).where(uploads.c.upload_id == upload_id, ~uploads.c.complete)
                await database.write(partial(_run, statement=this))
                await self._blobs.discard(upload_id)

    async def owned(self, owner: str, hashes: Collection[str]) -> dict[str, tuple[str, int]]:
        """Those of the hashes that the owner uploaded completely, with media type and size."""
        if not hashes:
            return {}
        query = select(uploads.c.sha256, uploads.c.media_type, uploads.c.size).where(
            uploads.c.owner == owner, uploads.c.sha256.in_(list(hashes)), uploads.c.complete
        )
        database = await self._db()
        rows = await database.read(lambda db: db.execute(query).all())
        return {row.sha256: (row.media_type, row.size) for row in rows}

    async def _row(self, owner: str, upload_id: str) -> Any:
        database = await self._db()
        query = select(uploads).where(uploads.c.upload_id == upload_id, uploads.c.owner == owner)
        row = await database.read(lambda db: db.execute(query).one_or_none())
        if row is None:
            raise Rejected("UPLOAD_UNKNOWN", upload_id=upload_id[:80])
        return row

    async def _shown(self, row: Any) -> dossier_pb2.Upload:
        offset = row.size if row.complete else await self._blobs.offset(row.upload_id)
        return dossier_pb2.Upload(
            upload_id=row.upload_id,
            media_type=row.media_type,
            size=row.size,
            sha256=row.sha256,
            offset=offset,
            complete=row.complete,
        )


def _run(db: Connection, statement: Delete) -> None:
    db.execute(statement)
