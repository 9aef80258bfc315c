"""Uploads in chunks: content-addressed, limited in size and type, resumed after an interruption."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from weakref import WeakValueDictionary

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
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
from services.chassis.blobs import BlobMissing, BlobStore
from services.chassis.caller import Caller
from services.chassis.clock import MACHINE, Clock
from services.chassis.codec import to_timestamp
from services.chassis.container import platform_of
from services.chassis.database import Database, insert_new, utc
from services.chassis.decider import Rejected
from services.chassis.dependencies import key_ring
from services.chassis.growing import GrowingUploads, WrongOffset
from services.chassis.privacy import KeyRing
from services.chassis.sealed_blobs import SealedBlobs, WrongContent

LARGEST_BYTES = 50 * 1024 * 1024
LARGEST_CHUNK_BYTES = 1024 * 1024
MOST_UNFINISHED = 20
UNFINISHED = timedelta(days=1)
MOST_UNFINISHED_BYTES = 200 * 1024 * 1024
# What a file of each accepted type begins with.
MAGIC = {"application/pdf": b"%PDF-", "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}

metadata = MetaData()
uploads = Table(
    "uploads_v2",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("owner", String, nullable=False, index=True),
    # Whose file it is. Empty: that of whoever's dossier takes it, until when it stays among the growing ones.
    Column("subject", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uploads, and whose the file is: the uploader's own, or empty for who uploads for others."""

    account: str
    subject: str


def owner_of(caller: Caller) -> Owner:
    return Owner(caller.actor, caller.actor if caller.kind in ("citizen", "organisation") else "")


class Uploads:
    """Each belongs to the account that began it: nobody attaches another's file by its hash.

    Whose file is whose stands in no event before a dossier takes the file: the database is durable.
    """

    def __init__(
        self,
        store: BlobStore,
        keys: KeyRing,
        database: Database,
        clock: Clock = MACHINE,
        kept: timedelta = timedelta(days=30),
    ) -> None:
        """`kept`: for so long what is uploaded for others waits for a dossier that takes it."""
        self._clock = clock
        self._kept = kept
        self._growing = GrowingUploads(store, keys)
        self._blobs = SealedBlobs(store, keys)
        self._database = database
        self._ready = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def of(cls, container: Any) -> Uploads:
        platform = platform_of(container)
        database = platform.database(f"{container.service_name}-uploads", durable=True)
        kept = timedelta(days=platform.settings.uploads_kept_days)
        return cls(platform.blobs, key_ring(container), database, platform.clock, kept)

    async def _db(self) -> Database:
        if not self._ready:
            await self._database.create(metadata)
            self._ready = True
        return self._database

    async def create(self, owner: Owner, media_type: str, size: int, sha256: str) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_TYPE_REFUSED, UPLOAD_TOO_LARGE, UPLOAD_CONTENT_WRONG, UPLOAD_QUOTA."""
        if media_type not in MAGIC:
            raise Rejected("UPLOAD_TYPE_REFUSED", media_type=media_type[:80], accepted=", ".join(MAGIC))
        if not 0 < size <= LARGEST_BYTES:
            raise Rejected("UPLOAD_TOO_LARGE", limit=str(LARGEST_BYTES))
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise Rejected("UPLOAD_CONTENT_WRONG", why="sha256: 64 lower-case hexadecimal digits")
        upload_id = str(uuid5(NAMESPACE_OID, f"upload:{owner.account}:{owner.subject}:{media_type}:{size}:{sha256}"))
        database = await self._db()

        row = {
            "upload_id": upload_id,
            "owner": owner.account,
            "subject": owner.subject,
            "media_type": media_type,
            "size": size,
            "sha256": sha256,
            "complete": False,
            "began_at": self._clock.now(),
        }

        def begin(db: Connection) -> Any:
            this = select(uploads).where(uploads.c.upload_id == upload_id)
            if (found := db.execute(this).one_or_none()) is not None:
                if found.complete:  # whoever uploads it again wants it kept as long again
                    renewed = update(uploads).where(uploads.c.upload_id == upload_id)
                    db.execute(renewed.values(began_at=row["began_at"]))
                return db.execute(this).one()
            unfinished = select(func.count(), func.coalesce(func.sum(uploads.c.size), 0))
            count, held = db.execute(unfinished.where(uploads.c.owner == owner.account, ~uploads.c.complete)).one()
            if count >= MOST_UNFINISHED or held + size > MOST_UNFINISHED_BYTES:
                raise Rejected("UPLOAD_QUOTA", limit=str(MOST_UNFINISHED), bytes=str(MOST_UNFINISHED_BYTES))
            insert_new(db, uploads, row)
            return db.execute(this).one()

        return await self._shown(await database.write(begin))

    async def get(self, owner: Owner, upload_id: str) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_UNKNOWN."""
        return await self._shown(await self._row(owner, upload_id))

    async def read(self, owner: Owner, upload_id: str) -> tuple[str, AsyncIterator[bytes]]:
        """Its media type and content, for who made it. Raises Rejected UPLOAD_UNKNOWN, UPLOAD_UNFINISHED."""
        row = await self._row(owner, upload_id)
        if not row.complete:
            offset = await self._growing.offset(upload_id)
            raise Rejected("UPLOAD_UNFINISHED", offset=str(offset), size=str(row.size))
        if row.subject:
            return row.media_type, self._blobs.read(row.subject, row.sha256)
        return row.media_type, self._growing.read(row.owner, upload_id)

    async def add(self, owner: Owner, upload_id: str, offset: int, data: bytes) -> dossier_pb2.Upload:
        """Raises Rejected UPLOAD_UNKNOWN, UPLOAD_TOO_LARGE, UPLOAD_OFFSET_WRONG, UPLOAD_CONTENT_WRONG, OVERLOADED."""
        async with self._locks.setdefault(upload_id, asyncio.Lock()):
            row = await self._row(owner, upload_id)
            if row.complete:
                return await self._shown(row)
            if len(data) > LARGEST_CHUNK_BYTES:
                raise Rejected("UPLOAD_TOO_LARGE", limit=str(LARGEST_CHUNK_BYTES))
            if offset < 0 or offset + len(data) > row.size:
                raise Rejected("UPLOAD_TOO_LARGE", limit=str(row.size))
            try:
                reached = await self._growing.write(owner.account, upload_id, offset, data)
            except WrongOffset as wrong:
                raise Rejected("UPLOAD_OFFSET_WRONG", offset=str(wrong.offset)) from None
            except BlobMissing:  # another replica writes the same: sent again, it finds what is there then
                raise Rejected("OVERLOADED") from None
            if reached == row.size:
                await self._finish(row)
                row = await self._row(owner, upload_id)
            return await self._shown(row)

    async def _finish(self, row: Any) -> None:
        """Raises Rejected UPLOAD_CONTENT_WRONG, and the upload begins anew; OVERLOADED while it changes."""
        content = self._growing.read(row.owner, row.upload_id)
        try:
            if row.subject:
                await self._blobs.put(row.subject, row.sha256, _checked(content, row.media_type))
                await self._growing.discard(row.upload_id)
            else:
                await _verify(_checked(content, row.media_type), row.sha256)
        except (_WrongType, WrongContent, BlobMissing) as wrong:
            if await self._growing.offset(row.upload_id) < row.size:  # another replica has finished meanwhile
                raise Rejected("OVERLOADED") from None
            await self._growing.discard(row.upload_id)
            why = f"its sha256 is {wrong.sha256}" if isinstance(wrong, WrongContent) else f"it is no {row.media_type}"
            raise Rejected("UPLOAD_CONTENT_WRONG", why=why) from None
        done = update(uploads).where(uploads.c.upload_id == row.upload_id).values(complete=True)
        await self._database.write(lambda db: db.execute(done))

    async def take(self, owner: Owner, subject: str, hashes: Collection[str]) -> None:
        """Seal the owner's files as the subject's, before any event names them so.

        Raises SubjectErased, Rejected ATTACHMENT_UNKNOWN.
        """
        for row in await self._complete(owner, hashes):
            if row.subject == subject or await self._blobs.has(subject, row.sha256):
                continue
            stored = self._blobs.read(row.subject, row.sha256)
            content = stored if row.subject else self._growing.read(row.owner, row.upload_id)
            try:
                await self._blobs.put(subject, row.sha256, content)
            except WrongContent:  # dropped at this moment
                raise Rejected("ATTACHMENT_UNKNOWN", sha256=row.sha256) from None

    async def sweep(self, now: datetime) -> None:
        """Discard what is not completed in time, and what was uploaded for others and is kept no longer.

        A dossier that took it has its own.
        """
        t = uploads.c
        unfinished = ~t.complete & (t.began_at < now - UNFINISHED)
        await self._discard(unfinished | (t.complete & (t.subject == "") & (t.began_at < now - self._kept)))

    async def forget(self, account: str) -> None:
        """All that the account has uploaded is gone; finished files of its own are SealedBlobs' to forget."""
        await self._discard(uploads.c.owner == account)
        await self._database.checkpoint()

    async def _discard(self, which: ColumnElement[bool]) -> None:
        database = await self._db()
        for upload_id in await database.read(
            lambda db: db.execute(select(uploads.c.upload_id).where(which)).scalars().all()
        ):
            async with self._locks.setdefault(upload_id, asyncio.Lock()):
                this = delete(uploads).where(uploads.c.upload_id == upload_id, which)
                if await database.write(partial(_run, statement=this)):
                    await self._growing.discard(upload_id)

    async def owned(self, owner: Owner, hashes: Collection[str]) -> dict[str, tuple[str, int]]:
        """Those of the hashes that the owner uploaded completely, with media type and size."""
        return {row.sha256: (row.media_type, row.size) for row in await self._complete(owner, hashes)}

    async def begun(self, owner: Owner, hashes: Collection[str]) -> frozenset[str]:
        """Those of the hashes that the owner has begun to upload at least."""
        if not hashes:
            return frozenset()
        query = select(uploads.c.sha256).where(_belongs(owner), uploads.c.sha256.in_(list(hashes)))
        database = await self._db()
        return frozenset(await database.read(lambda db: db.scalars(query).all()))

    async def _complete(self, owner: Owner, hashes: Collection[str]) -> Sequence[Any]:
        if not hashes:
            return []
        query = select(uploads).where(_belongs(owner), uploads.c.sha256.in_(list(hashes)), uploads.c.complete)
        database = await self._db()
        return await database.read(lambda db: db.execute(query).all())

    async def _row(self, owner: Owner, upload_id: str) -> Any:
        database = await self._db()
        query = select(uploads).where(uploads.c.upload_id == upload_id, _belongs(owner))
        row = await database.read(lambda db: db.execute(query).one_or_none())
        if row is None:
            raise Rejected("UPLOAD_UNKNOWN", upload_id=upload_id[:80])
        return row

    async def _shown(self, row: Any) -> dossier_pb2.Upload:
        offset = row.size if row.complete else await self._growing.offset(row.upload_id)
        kept_until = self._kept_until(row)
        return dossier_pb2.Upload(
            upload_id=row.upload_id,
            media_type=row.media_type,
            size=row.size,
            sha256=row.sha256,
            offset=offset,
            complete=row.complete,
            kept_until=to_timestamp(kept_until) if kept_until else None,
        )

    def _kept_until(self, row: Any) -> datetime | None:
        """None for one's own that is complete: it is kept."""
        if row.complete and row.subject:
            return None
        return utc(row.began_at) + (self._kept if row.complete else UNFINISHED)


def _belongs(owner: Owner) -> ColumnElement[bool]:
    return (uploads.c.owner == owner.account) & (uploads.c.subject == owner.subject)


def _run(db: Connection, statement: Delete) -> int:
    return db.execute(statement).rowcount


class _WrongType(Exception):
    """The content does not begin as files of its type do."""


async def _checked(content: AsyncIterator[bytes], media_type: str) -> AsyncIterator[bytes]:
    """Raises _WrongType."""
    magic, head = MAGIC[media_type], b""
    async for piece in content:
        if len(head) < len(magic):
            head += piece[: len(magic) - len(head)]
            if not magic.startswith(head):
                raise _WrongType
        yield piece
    if head != magic:
        raise _WrongType


async def _verify(content: AsyncIterator[bytes], sha256: str) -> None:
    """Raises WrongContent."""
    digest = hashlib.sha256()
    async for piece in content:
        await asyncio.to_thread(digest.update, piece)
    if digest.hexdigest() != sha256:
        raise WrongContent(digest.hexdigest())
