"""The files of a backup. Each is named after its content and never changed; the newest manifest says which belong together.

A manifest is written last, and what only older ones name is removed after it: whenever a backup is cut off, the newest manifest is
one whose files are all there. docs/backup.md describes the format.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store
from pydantic import BaseModel, ConfigDict, ValidationError

from services.chassis.blobs.bucket import PART_BYTES, PARTS_AT_ONCE, answering, open_bucket
from services.chassis.blobs.port import BlobsUnavailable

MANIFESTS = "manifests"
LAST = "last-backup.json"
# Nobody waits for it, and a file may be large, the line thin.
REQUEST_SECONDS = 300
FASTER = 3  # levels of gzip: sealed fields do not get smaller with more of them
_MANIFEST = re.compile(rf"{MANIFESTS}/(\d{{8}})\.json", re.ASCII)


class ArchiveError(Exception):
    """What is there is no backup that could be used; the text says which file, and why."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class File(_Strict):
    path: str
    sha256: str
    bytes: int


class Segment(_Strict):
    """Events, or entries of the ledger, in order; `first` is counted from 0."""

    file: File
    first: int
    count: int


class Log(_Strict):
    events: int
    position: int
    """All events up to this position of the store are there."""
    newest: str
    """`<stream> <revision> <id>` of the last one, empty if there is none."""
    segments: tuple[Segment, ...]


class Ledger(_Strict):
    vkey: str
    size: int
    checkpoint: File
    segments: tuple[Segment, ...]


class Attachments(_Strict):
    count: int
    bytes: int
    inventory: File


class Manifest(_Strict):
    format: Literal["motcua.backup/1"] = "motcua.backup/1"
    number: int
    site: str
    begun_at: str
    finished_at: str
    log: Log
    tables: dict[str, File]
    """By the database's name."""
    ledger: Ledger | None
    attachments: Attachments

    def files(self) -> list[File]:
        """All but attachments themselves."""
        found = [segment.file for segment in self.log.segments]
        found += [*self.tables.values(), self.attachments.inventory]
        if self.ledger:
            found += [self.ledger.checkpoint, *(segment.file for segment in self.ledger.segments)]
        return found

    def text(self) -> bytes:
        """With its own hash in the last line: nothing else vouches for it."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        return f"{text}sha256 {_sha256(text.encode())}\n".encode()

    @classmethod
    def parse(cls, content: bytes, path: str) -> Manifest:
        """Accepts only what `text` gives."""
        try:
            found = cls.model_validate_json(content.rpartition(b"sha256 ")[0])
        except ValidationError as invalid:
            raise ArchiveError(f"{path} is damaged: {invalid.errors()[0]['msg']}") from None
        if found.text() != content:
            raise ArchiveError(f"{path} is damaged: its content does not have the hash in its last line")
        return found


class Archive:
    def __init__(self, store: LocalStore | S3Store, address: str, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self.address = address

    @classmethod
    def open(cls, address: str, *, create: bool) -> Archive:
        """A folder, file:///folder or s3://bucket/prefix. Raises ArchiveError if there is no such folder and none is made."""
        if address.startswith("s3://"):
            return cls(open_bucket(address, request_seconds=REQUEST_SECONDS), address, None)
        folder = Path(unquote(urlsplit(address).path)) if address.startswith("file://") else Path(address)
        if create:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not folder.is_dir():
            raise ArchiveError(f"there is no folder {folder}")
        return cls(LocalStore(folder), str(folder), folder)

    async def newest(self) -> Manifest | None:
        """Raises ArchiveError."""
        numbers = [path for path in await self.paths(MANIFESTS) if _MANIFEST.fullmatch(path)]
        if not numbers:
            return None
        path = max(numbers)
        return Manifest.parse(await self._content(path), path)

    async def whole(self) -> Manifest:
        """Raises ArchiveError, also where no backup was ever finished."""
        found = await self.newest()
        if found is None:
            raise ArchiveError(f"{self.address} holds no whole backup: no manifest is there")
        return found

    async def add(self, folder: str, content: bytes, suffix: str = "") -> File:
        sha256 = await asyncio.to_thread(_sha256, content)
        file = File(path=f"{folder}/{sha256[:2]}/{sha256}{suffix}", sha256=sha256, bytes=len(content))
        with answering():
            await self._store.put_async(file.path, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        return file

    async def read(self, file: File) -> bytes:
        """Raises ArchiveError if it is not what was written."""
        content = await self._content(file.path)
        if await asyncio.to_thread(_sha256, content) != file.sha256:
            raise ArchiveError(
                f"{file.path} is damaged: its content has another hash than its name and the manifest say"
            )
        return content

    async def commit(self, manifest: Manifest) -> None:
        """From now on it is the newest. Raises ArchiveError if another backup was faster."""
        path = f"{MANIFESTS}/{manifest.number:08}.json"
        if self._folder:
            await asyncio.to_thread(os.sync)
        with answering():
            try:
                await self._store.put_async(path, manifest.text(), mode="create", use_multipart=False)
            except AlreadyExistsError:
                raise ArchiveError(
                    f"another backup into {self.address} was finished meanwhile: {path} is there already"
                ) from None
            last = {"number": manifest.number, "finished_at": manifest.finished_at, "events": manifest.log.events}
            await self._store.put_async(LAST, json.dumps(last).encode(), use_multipart=False)
        if self._folder:
            await asyncio.to_thread(os.sync)

    async def prune(self, there: Iterable[str], manifest: Manifest, attachments: Iterable[File]) -> int:
        """Remove what was there before this backup and does not belong to it; how many files that were."""
        kept = {file.path for file in (*manifest.files(), *attachments)} | {LAST}
        gone = [path for path in there if path not in kept]
        with answering():
            for start in range(0, len(gone), 1000):
                await self._store.delete_async(gone[start : start + 1000])
        return len(gone)

    async def paths(self, folder: str | None = None) -> list[str]:
        with answering():
            return [each["path"] async for some in self._store.list_async(folder, chunk_size=1000) for each in some]

    async def _content(self, path: str) -> bytes:
        try:
            with answering():
                return bytes(await (await self._store.get_async(path)).bytes_async())
        except FileNotFoundError:
            raise ArchiveError(f"{path} is missing in {self.address}") from None
        except BlobsUnavailable as unreadable:
            raise ArchiveError(f"{path} cannot be read: {unreadable}") from None


def packed(rows: Iterable[Any]) -> bytes:
    """One JSON value a line, compressed, the same bytes for the same values."""
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    return gzip.compress(text.encode(), FASTER, mtime=0)


def unpacked(content: bytes, path: str) -> list[Any]:
    """Raises ArchiveError."""
    try:
        return [json.loads(line) for line in gzip.decompress(content).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError) as damaged:
        raise ArchiveError(f"{path} is damaged: {damaged}") from None


async def pages(archive: Archive, segments: Sequence[Segment]) -> AsyncIterator[tuple[int, list[Any]]]:
    """Each segment's first number and rows. Raises ArchiveError."""
    following = 0
    for segment in segments:
        if segment.first != following:
            raise ArchiveError(f"{segment.file.path} begins at {segment.first}, expected {following}")
        rows = await asyncio.to_thread(unpacked, await archive.read(segment.file), segment.file.path)
        if len(rows) != segment.count:
            raise ArchiveError(f"{segment.file.path} has {len(rows)} rows, the manifest says {segment.count}")
        yield segment.first, rows
        following += segment.count


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
