"""Uploads in chunks: content-addressed, limited in size and type, resumed after an interruption, checked before they count.

A file is asked about at the malware scanner, then read by a confined process. What is kept may be other bytes than what was sent
(a photo without the place where it was taken, a HEIC as JPEG): either hash names it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5
from weakref import WeakValueDictionary

import structlog
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
    case,
    delete,
    func,
    select,
    update,
)

from motcua.dossier.v1 import dossier_pb2
from services.chassis.blobs.port import BlobMissing, BlobStore
from services.chassis.blobs.sealed import ContentWrong, SealedBlobs
from services.chassis.blobs.unfinished import GrowingUploads, OffsetWrong
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.clock import MACHINE, Clock
from services.chassis.database.database import Database, insert_new, utc
from services.chassis.decider import Rejected, Words
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.codec import to_timestamp
from services.chassis.platform.parts import Parts
from services.chassis.privacy.sealing import KeyRing
from services.chassis.text.sizes import sized
from services.chassis.work.confined import Confined, WorkExhausted
from services.dossier.files.kinds import media_type_of
from services.dossier.files.scanner import NoScanner, Scanner, ScannerUnavailable, scanner_of
from services.dossier.refusals import Refused
from services.dossier.values import KINDS, File, FileKind

log = structlog.get_logger()

LARGEST_BYTES = 50 * 1024 * 1024
LARGEST_CHUNK_BYTES = 1024 * 1024
MOST_UNFINISHED = 20
UNFINISHED = timedelta(days=1)
MOST_UNFINISHED_BYTES = 200 * 1024 * 1024
_FILES = "services.dossier.files"
JUDGES = {
    FileKind.DOCUMENT: f"{_FILES}.documents:judge",
    FileKind.PICTURE: f"{_FILES}.pictures:judge",
    FileKind.DRAWING: f"{_FILES}.judging:judge",
    FileKind.SIGNED_XML: f"{_FILES}.judging:judge",
}
# Of a picture of 50 million pixels, decoded, with what it is read from and made into.
JUDGE_MEMORY_BYTES = 448 * 1024 * 1024
JUDGE_CPU_SECONDS = 8
_SHA256 = re.compile("[0-9a-f]{64}")

# By what the judges say.
_FOUND = {
    "sha256": ("mã SHA-256 của tệp đã gửi là", "the SHA-256 of what was sent is"),
    "media_type": ("tệp thuộc loại", "it is of the type"),
    "media_type ?": ("tệp không thuộc loại nào được nhận", "it is of no type that is accepted"),
    "%PDF-": ("có nội dung khác trước phần đầu của PDF", "something else stands before the PDF's header"),
    "<!DOCTYPE": ("tệp XML có khai báo DOCTYPE", "the XML has a DOCTYPE"),
}

metadata = MetaData()
uploads = Table(
    "uploads_v2",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("owner", String, nullable=False, index=True),
    # The account under whose key the file is sealed. Empty if uploaded for somebody else: it waits among the growing uploads until
    # a dossier takes it.
    Column("subject", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
)
# What is kept of an upload, where that is not what was sent.
kept = Table(
    "kept_v1",
    metadata,
    Column("upload_id", String, primary_key=True),
    Column("media_type", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String, nullable=False, index=True),
)


def _or_sent(name: str) -> ColumnElement[Any]:
    return case((kept.c.upload_id.is_(None), uploads.c[name]), else_=kept.c[name]).label(f"kept_{name}")


_UPLOADS = select(
    uploads, kept.c.upload_id.is_not(None).label("changed"), *map(_or_sent, ("media_type", "size", "sha256"))
)
_UPLOADS = _UPLOADS.outerjoin_from(uploads, kept, uploads.c.upload_id == kept.c.upload_id)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uploads, and for whom.

    `subject`: the account under whose key the file is sealed, the uploader's own. Empty if uploaded for somebody else: the file
    waits among the growing uploads until a dossier takes it.
    """

    account: str
    subject: str


def owner_of(caller: Caller) -> Owner:
    return Owner(caller.actor, caller.actor if caller.kind in ("citizen", "organisation") else "")


class Uploads:
    """Files that are uploaded in chunks. Each belongs to the account that began it: nobody attaches another's file by its hash.

    Whose file is whose stands in no event before a dossier takes the file: the database is durable.
    """

    def __init__(
        self,
        store: BlobStore,
        keys: KeyRing,
        database: Database,
        clock: Clock = MACHINE,
        kept: timedelta = timedelta(days=30),
        scanner: Scanner | None = None,
    ) -> None:
        """`kept`: for so long what is uploaded for others waits for a dossier that takes it."""
        self._clock = clock
        self._kept = kept
        self._scanner = scanner or NoScanner()
        # Of each program one at a time: a service's container has no room for more.
        self._judges = {name: Confined(name, 1, JUDGE_MEMORY_BYTES, JUDGE_CPU_SECONDS) for name in {*JUDGES.values()}}
        self._growing = GrowingUploads(store, keys)
        self._blobs = SealedBlobs(store, keys)
        self._database = database
        self._ready = False
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def of(cls, parts: Parts) -> Uploads:
        platform = parts.platform
        database = platform.database(f"{parts.service}-uploads", durable=True)
        waits, scanner = timedelta(days=platform.settings.uploads_kept_days), scanner_of(platform.settings.clamd_url)
        return cls(platform.blobs, parts.keys, database, platform.clock, waits, scanner)

    async def close(self) -> None:
        for judge in self._judges.values():
            await judge.close()

    async def _db(self) -> Database:
        if not self._ready:
            await self._database.create(metadata)
            self._ready = True
        return self._database

    async def create(self, owner: Owner, media_type: str, size: int, sha256: str) -> dossier_pb2.Upload:
        """The upload of this content, begun or as far as it is.

        Raises RequestInvalid, Rejected UPLOAD_TYPE_REFUSED, UPLOAD_EMPTY, UPLOAD_TOO_LARGE, UPLOAD_QUOTA.
        """
        declared, media_type = media_type, media_type_of(media_type) or ""
        if not media_type:
            raise Refused("UPLOAD_TYPE_REFUSED", media_type=declared[:80], accepted=", ".join(KINDS))
        if size == 0:
            raise Refused("UPLOAD_EMPTY")
        if size < 0:
            raise RequestInvalid([Violation("size", "Không được là số âm.", "It must not be negative.")])
        if size > LARGEST_BYTES:
            raise Refused("UPLOAD_TOO_LARGE", limit=sized(LARGEST_BYTES))
        sha256 = sha256.lower()
        if not _SHA256.fullmatch(sha256):
            raise RequestInvalid(
                [
                    Violation(
                        "sha256",
                        "Ghi mã SHA-256 của tệp: 64 chữ số thập lục phân (0-9, a-f).",
                        "Write the file's SHA-256: 64 hexadecimal digits (0-9, a-f).",
                    )
                ]
            )
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
            this = _UPLOADS.where(uploads.c.upload_id == upload_id)
            if (found := db.execute(this).one_or_none()) is not None:
                if found.complete:  # whoever uploads it again wants it kept as long again
                    renewed = update(uploads).where(uploads.c.upload_id == upload_id)
                    db.execute(renewed.values(began_at=row["began_at"]))
                return db.execute(this).one()
            unfinished = select(func.count(), func.coalesce(func.sum(uploads.c.size), 0))
            count, held = db.execute(unfinished.where(uploads.c.owner == owner.account, ~uploads.c.complete)).one()
            if count >= MOST_UNFINISHED or held + size > MOST_UNFINISHED_BYTES:
                raise Refused("UPLOAD_QUOTA", limit=str(MOST_UNFINISHED), bytes=sized(MOST_UNFINISHED_BYTES))
            insert_new(db, uploads, row)
            return db.execute(this).one()

        return await self._shown(await database.write(begin))

    async def get(self, owner: Owner, upload_id: str) -> dossier_pb2.Upload:
        """The owner's upload as far as it is. Raises Rejected UPLOAD_UNKNOWN."""
        return await self._shown(await self._row(owner, upload_id))

    async def read(self, owner: Owner, upload_id: str) -> tuple[str, AsyncIterator[bytes]]:
        """The media type and content of an upload, for who made it. Raises Rejected UPLOAD_UNKNOWN, UPLOAD_UNFINISHED."""
        row = await self._row(owner, upload_id)
        if not row.complete:
            offset = await self._growing.offset(upload_id)
            raise Refused("UPLOAD_UNFINISHED", offset=str(offset), size=str(row.size))
        return row.kept_media_type, self._content(row)

    async def add(self, owner: Owner, upload_id: str, offset: int, data: bytes) -> dossier_pb2.Upload:
        """Writes a chunk; the last one finishes the upload.

        Raises Rejected UPLOAD_UNKNOWN, UPLOAD_TOO_LARGE, UPLOAD_BEYOND_SIZE, UPLOAD_OFFSET_WRONG, OVERLOADED; the last chunk as
        _finish.
        """
        async with self._locks.setdefault(upload_id, asyncio.Lock()):
            row = await self._row(owner, upload_id)
            if row.complete:
                return await self._shown(row)
            if len(data) > LARGEST_CHUNK_BYTES:
                raise Refused("UPLOAD_TOO_LARGE", limit=sized(LARGEST_CHUNK_BYTES))
            if offset < 0 or offset + len(data) > row.size:
                raise Refused("UPLOAD_BEYOND_SIZE", size=sized(row.size))
            try:
                reached = await self._growing.write(owner.account, upload_id, offset, data)
            except OffsetWrong as wrong:
                raise Refused("UPLOAD_OFFSET_WRONG", offset=str(wrong.offset)) from None
            except BlobMissing:  # another replica writes the same: sent again, it finds what is there then
                raise Refused("OVERLOADED") from None
            if reached == row.size:
                await self._finish(row)
                row = await self._row(owner, upload_id)
            return await self._shown(row)

    async def _finish(self, row: Any) -> None:
        """Raises Rejected UPLOAD_UNSCANNED and OVERLOADED, after which the last chunk is sent again; and for a file that is not
        taken, which begins anew, UPLOAD_INFECTED, UPLOAD_UNCHECKABLE and the reasons of services/dossier/files."""
        try:
            verdict, made = await self._judged(row)
        except Rejected as refused:
            if refused.reason not in ("UPLOAD_UNSCANNED", "OVERLOADED"):
                if await self._growing.offset(row.upload_id) < row.size:  # another replica has finished meanwhile
                    raise Refused("OVERLOADED") from None
                await self._growing.discard(row.upload_id)
            raise
        new = verdict.get("kept")
        try:
            await self._keep(row, new["sha256"] if new else row.sha256, made if new else None)
        except (ContentWrong, BlobMissing):
            raise Refused("OVERLOADED") from None
        done = update(uploads).where(uploads.c.upload_id == row.upload_id).values(complete=True)

        def finish(db: Connection) -> None:
            if new:
                insert_new(db, kept, {"upload_id": row.upload_id, **new})
            db.execute(done)

        await (await self._db()).write(finish)
        if row.subject or new:
            await self._growing.discard(row.upload_id)

    async def _judged(self, row: Any) -> tuple[Any, bytes]:
        """What is kept, if that is not what was sent. Raises Rejected."""
        try:
            found = await self._scanner.found_in(self._growing.read(row.owner, row.upload_id))
        except ScannerUnavailable as silent:
            log.error("a file was not scanned for malware, and is not taken", error=str(silent))
            raise Refused("UPLOAD_UNSCANNED") from None
        except BlobMissing:
            raise Refused("OVERLOADED") from None
        if found:
            log.warning("malware in an upload", found=found, owner=row.owner)
            raise Refused("UPLOAD_INFECTED", found=found[:100])
        try:
            content = self._growing.read(row.owner, row.upload_id)
            judge = self._judges[JUDGES[KINDS[row.media_type]]]
            verdict, made = await judge.of(content, row.media_type, row.sha256, LARGEST_BYTES)
        except WorkExhausted:
            raise Refused("UPLOAD_UNCHECKABLE") from None
        except BlobMissing:
            raise Refused("OVERLOADED") from None
        if "reason" in verdict:
            raise Refused(verdict["reason"], **_explained(verdict["facts"]))
        return verdict, made

    async def _keep(self, row: Any, sha256: str, made: bytes | None) -> None:
        """Raises ContentWrong, BlobMissing."""
        if row.subject:
            content = self._growing.read(row.owner, row.upload_id) if made is None else _pieces(made)
            await self._blobs.put(row.subject, sha256, content)
        elif made is not None:
            place = _kept_place(row.upload_id)
            await self._growing.discard(place)
            offset = 0
            async for piece in _pieces(made):
                offset = await self._growing.write(row.owner, place, offset, piece)

    async def take(self, owner: Owner, subject: str, hashes: Collection[str]) -> None:
        """Seal the owner's files as the subject's, before any event names them so.

        Raises SubjectErased, Rejected ATTACHMENT_UNKNOWN.
        """
        for row in await self._complete(owner, hashes):
            if row.subject == subject or await self._blobs.has(subject, row.kept_sha256):
                continue
            try:
                await self._blobs.put(subject, row.kept_sha256, self._content(row))
            except ContentWrong:  # dropped at this moment
                raise Refused("ATTACHMENT_UNKNOWN", sha256=row.sha256, component="-") from None

    def _content(self, row: Any) -> AsyncIterator[bytes]:
        """What is kept of a finished upload."""
        if row.subject:
            return self._blobs.read(row.subject, row.kept_sha256)
        return self._growing.read(row.owner, _kept_place(row.upload_id) if row.changed else row.upload_id)

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
                if await database.write(partial(_drop, statement=this, upload_id=upload_id)):
                    await self._growing.discard(upload_id)
                    await self._growing.discard(_kept_place(upload_id))

    async def owned(self, owner: Owner, hashes: Collection[str]) -> dict[str, File]:
        """Those of the hashes, of what was sent or of what is kept, that the owner uploaded completely."""
        found: dict[str, File] = {}
        for row in await self._complete(owner, hashes):
            file = File(row.kept_sha256, row.kept_media_type, row.kept_size)
            found |= {sha256: file for sha256 in (row.sha256, row.kept_sha256) if sha256 in hashes}
        return found

    async def begun(self, owner: Owner, hashes: Collection[str]) -> frozenset[str]:
        """Those of the hashes that the owner has begun to upload at least."""
        if not hashes:
            return frozenset()
        query = _UPLOADS.where(_belongs(owner), _named(hashes))
        database = await self._db()
        rows = await database.read(lambda db: db.execute(query).all())
        return frozenset(sha256 for row in rows for sha256 in (row.sha256, row.kept_sha256))

    async def _complete(self, owner: Owner, hashes: Collection[str]) -> Sequence[Any]:
        if not hashes:
            return []
        query = _UPLOADS.where(_belongs(owner), _named(hashes), uploads.c.complete)
        database = await self._db()
        return await database.read(lambda db: db.execute(query).all())

    async def _row(self, owner: Owner, upload_id: str) -> Any:
        database = await self._db()
        query = _UPLOADS.where(uploads.c.upload_id == upload_id, _belongs(owner))
        row = await database.read(lambda db: db.execute(query).one_or_none())
        if row is None:
            raise Refused("UPLOAD_UNKNOWN", upload_id=upload_id[:80])
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
            kept=_kept_file(row) if row.complete else None,
        )

    def _kept_until(self, row: Any) -> datetime | None:
        """None for one's own that is complete: it is kept."""
        if row.complete and row.subject:
            return None
        return utc(row.began_at) + (self._kept if row.complete else UNFINISHED)


def _explained(facts: dict[str, str]) -> dict[str, str]:
    """What the judges found, in words; they speak in codes, from another process."""
    found = dict(facts)
    if "limit" in found and found["limit"].isdigit() and int(found["limit"]) == LARGEST_BYTES:
        found["limit"] = sized(LARGEST_BYTES)
    if why := facts.get("why"):
        kind, _, what = why.partition(" ")
        whole = _FOUND.get(why)
        vi, en = whole or (f"{text} {what}" for text in _FOUND[kind])
        found["why"] = Words.of(vi, en, why)
    return found


def _named(hashes: Collection[str]) -> ColumnElement[bool]:
    return uploads.c.sha256.in_(list(hashes)) | kept.c.sha256.in_(list(hashes))


def _belongs(owner: Owner) -> ColumnElement[bool]:
    return (uploads.c.owner == owner.account) & (uploads.c.subject == owner.subject)


def _drop(db: Connection, statement: Delete, upload_id: str) -> int:
    dropped = db.execute(statement).rowcount
    if dropped:
        db.execute(delete(kept).where(kept.c.upload_id == upload_id))
    return dropped


def _kept_file(row: Any) -> dossier_pb2.KeptFile:
    return dossier_pb2.KeptFile(media_type=row.kept_media_type, size=row.kept_size, sha256=row.kept_sha256)


def _kept_place(upload_id: str) -> str:
    """Where what is kept of a file for somebody else waits, if that is not what was sent."""
    return f"{upload_id}-kept"


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), LARGEST_CHUNK_BYTES):
        yield content[start : start + LARGEST_CHUNK_BYTES]
