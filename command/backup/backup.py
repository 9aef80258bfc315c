"""`motcua backup`: a site that works, saved so that all that its events refer to is saved with them.

Whatever an event refers to was there before the event: the person's key, the attachment. So the log is read first, up to where it
ends at the beginning, and everything else after it. Only the ledger's checkpoint is taken before: no leaf is ahead of the log.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from command.backup import durable
from command.backup.archive import (
    Archive,
    ArchiveError,
    Attachments,
    File,
    Ledger,
    Log,
    Manifest,
    Segment,
    packed,
    unpacked,
)
from command.backup.proving import Proved, prove
from command.console import err, fail, harmless, out
from command.site import belonging
from gateway.ledger.keep import tables
from gateway.ledger.keep.opening import UNFINISHED
from gateway.ledger.keep.tables import Standing
from services.chassis.blobs.port import Blob, BlobMissing, BlobStore
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.platform.platform import database_exists, open_blobs, open_database, open_store
from services.chassis.platform.settings import Settings
from services.chassis.store.port import START, EventStore, RecordedEvent, StoreUnavailable

# Of one file. Rows of a file are in memory together.
EVENTS = 10_000
EVENT_BYTES = 32 * 1024 * 1024
LEAVES = 20_000
READ_AT_ONCE = 1000
ATTACHMENTS_AT_ONCE = 4
PIECE_BYTES = 4 * 1024 * 1024
GROWING = "upload-"
FAILURES = (ArchiveError, OSError, StoreUnavailable, DatabaseUnavailable, SQLAlchemyError, ValueError, ExceptionGroup)
SECRETS = (
    "MOTCUA_MASTER_KEY or secrets/master: without it nobody opens a name or an attachment again; apart from this backup",
    "MOTCUA_LEDGER_KEY, MOTCUA_WITNESS_KEY or secrets/ledger, secrets/witness: without them the ledger cannot go on",
    "MOTCUA_QR_KEY or secrets/qr: without it printed QR codes lead nowhere",
    "the other settings and secrets, which are made again without loss: MOTCUA_SERVICE_SECRET, certificates, providers' secrets",
)


@dataclass(frozen=True, slots=True)
class Done:
    manifest: Manifest
    before: Manifest | None
    copied: int
    """Attachments."""
    kept: int
    """Attachments that are gone from the site, though nobody was erased."""
    removed: int
    """Files of older backups."""
    proved: Proved | None


def backup(settings: Settings, address: str, *, check: bool, as_json: bool) -> int:
    os.umask(0o077)
    try:
        with bars(disable=as_json) as progress:
            done = asyncio.run(take(settings, Archive.open(address, create=True), progress, check=check))
    except FAILURES as failed:
        fail(told(failed), "The backups that were whole before still are. Run it again when the reason is gone.")
    _tell(done, address, as_json)
    return 0


def bars(*, disable: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=disable)


def told(failed: BaseException) -> str:
    """The first of those that failed side by side."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return harmless(str(failed) or type(failed).__name__)


async def take(settings: Settings, archive: Archive, progress: Progress, *, check: bool) -> Done:
    """Raises ArchiveError, and what the site's parts raise."""
    _require_a_site(settings)
    _require_elsewhere(settings, archive.address)
    for fault in await belonging.examined_to_save(settings):
        raise ArchiveError(f"{fault}. What was saved before stays as it is; docs/backup.md says what to do")
    begun_at, there = _now(), await archive.paths()
    before = await archive.newest()
    if before and before.site != settings.site:
        raise ArchiveError(
            f"{archive.address} holds backups of {before.site}, this is {settings.site}: name another place"
        )
    store, blobs = await open_store(settings), open_blobs(settings)
    try:
        standing = await _standing(settings)
        saved = await _save_log(store, archive, before, progress)
        dumped = {
            name: await _save_tables(settings, archive, name)
            for name in durable.DURABLE
            if database_exists(settings, name, durable=True)
        }
        if "keys" not in dumped:
            raise ArchiveError(
                f"the log has {saved.events} events and there is no keys.db beside it: set MOTCUA_DATABASE to the site's"
            )
        held = await _save_attachments(blobs, archive, before, dumped.get("keys"), progress)
        ledger = await _save_ledger(settings, archive, before, standing, progress) if standing else None
    finally:
        await store.close()
    manifest = Manifest(
        number=before.number + 1 if before else 1,
        site=settings.site,
        begun_at=begun_at,
        finished_at=_now(),
        log=saved,
        tables={name: dump.file for name, dump in dumped.items()},
        ledger=ledger,
        attachments=Attachments(
            count=len(held.files), bytes=sum(file.bytes for file in held.files), inventory=held.inventory
        ),
    )
    proved = await prove(archive, manifest, progress, ledger=True) if check else None
    await archive.commit(manifest)
    removed = await archive.prune(there, manifest, held.files)
    return Done(manifest, before, held.copied, held.kept, removed, proved)


def _require_a_site(settings: Settings) -> None:
    if settings.event_store == "memory:":
        raise ArchiveError("MOTCUA_EVENT_STORE=memory: keeps nothing that another process could save")
    if settings.event_store == "sqlite:" and not (settings.data / "events.db").exists():
        raise ArchiveError(f"there is no event store in {settings.data}: set MOTCUA_DATA to the site's data folder")


def _require_elsewhere(settings: Settings, address: str) -> None:
    places = [str(settings.data.absolute()), settings.blobs.rstrip("/") or str(settings.data.absolute())]
    if settings.blob_folder:
        places.append(str(settings.blob_folder.absolute()))
    if address.rstrip("/") in places:
        raise ArchiveError(f"{address} is where the site itself lies: name another place")


# The log


async def _save_log(store: EventStore, archive: Archive, before: Manifest | None, progress: Progress) -> Log:
    head = await store.head()
    if head == START:
        raise ArchiveError("the event store is empty: is it this site's?")
    segments, events, position, newest = [], 0, START, ""
    if before:
        segments, events = list(before.log.segments), before.log.events
        position, newest = before.log.position, before.log.newest
        await _require_same_log(store, before, head)
    task = progress.add_task("events", total=None, completed=events)
    async for rows, last in _segments(store, position, head):
        file = await archive.add("log", await asyncio.to_thread(packed, rows), ".jsonl.gz")
        segments.append(Segment(file=file, first=events, count=len(rows)))
        events += len(rows)
        newest = f"{last.stream} {last.revision} {last.id}"
        progress.update(task, completed=events)
    progress.update(task, total=events, completed=events)
    return Log(events=events, position=max(head, position), newest=newest, segments=tuple(segments))


async def _require_same_log(store: EventStore, before: Manifest, head: int) -> None:
    if not before.log.newest:
        return
    stream, revision, id_ = before.log.newest.split(" ")
    found = [event for event in await store.read(stream, int(revision) - 1) if event.revision == int(revision)]
    if head < before.log.position or not found or str(found[0].id) != id_ or found[0].position > before.log.position:
        raise ArchiveError(
            f"the log does not go on from the one that was backed up here: event {id_} of {stream} is not at its place. After a "
            "restore into another store begin in another place, and keep this one until that backup is whole"
        )


async def _segments(
    store: EventStore, after: int, head: int
) -> AsyncIterator[tuple[Sequence[dict[str, Any]], RecordedEvent]]:
    rows: list[dict[str, Any]] = []
    size, last = 0, None
    while after < head and (page := await store.read_all(after, limit=READ_AT_ONCE)):
        after = page[-1].position
        for event in page:
            if event.position > head:
                break
            rows.append(row_of(event))
            size, last = size + len(event.data) + len(event.metadata), event
            if len(rows) >= EVENTS or size >= EVENT_BYTES:
                yield rows, last
                rows, size = [], 0
    if rows and last:
        yield rows, last


def row_of(event: RecordedEvent) -> dict[str, Any]:
    return {
        "stream": event.stream,
        "revision": event.revision,
        "id": str(event.id),
        "type": event.type,
        "recorded_at": event.recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "data": base64.b64encode(event.data).decode(),
        "metadata": base64.b64encode(event.metadata).decode(),
    }


# Databases


@dataclass(frozen=True, slots=True)
class _Dump:
    file: File
    rows: durable.Rows


async def _save_tables(settings: Settings, archive: Archive, name: str) -> _Dump:
    async with database(settings, name) as opened:
        rows = await opened.read(partial(durable.save, name=name))
    content = packed({"table": table, "row": row} for table, some in rows.items() for row in some)
    return _Dump(await archive.add(f"tables/{name}", content, ".jsonl.gz"), rows)


async def _standing(settings: Settings) -> Standing | None:
    """Of a ledger that has leaves."""
    if not database_exists(settings, "ledger", durable=True):
        return None

    def read(db: Connection) -> Standing | None:
        return tables.standing(db) if tables.ledger.name in durable.tables_of(db, "ledger") else None

    async with database(settings, "ledger") as opened:
        standing = await opened.read(read)
    if standing and standing.vkey == UNFINISHED:
        raise ArchiveError(
            "a backup is being restored into this site, or was and did not come to its end: there is nothing to save"
        )
    return standing if standing and standing.size else None


async def _save_ledger(
    settings: Settings, archive: Archive, before: Manifest | None, standing: Standing, progress: Progress
) -> Ledger:
    segments: list[Segment] = []
    if before and before.ledger:
        if before.ledger.vkey == standing.vkey and before.ledger.size <= standing.size:
            segments = list(before.ledger.segments)
        elif before.ledger.vkey == standing.vkey:
            raise ArchiveError(
                f"the ledger has {standing.size} leaves, the backup {before.ledger.size}: it was rolled back. Keep this backup, "
                "and compare both before anything is published"
            )
    size = segments[-1].first + segments[-1].count if segments else 0
    task = progress.add_task("ledger", total=standing.size, completed=size)
    async with database(settings, "ledger") as opened:
        while size < standing.size:
            found = await opened.read(partial(tables.entries, start=size, count=min(LEAVES, standing.size - size)))
            if not found:
                raise ArchiveError(f"the ledger's database has no leaf {size}, its checkpoint is of {standing.size}")
            content = await asyncio.to_thread(packed, (entry.decode() for entry in found))
            file = await archive.add("ledger", content, ".jsonl.gz")
            segments.append(Segment(file=file, first=size, count=len(found)))
            size += len(found)
            progress.update(task, completed=size)
    checkpoint = await archive.add("ledger", standing.note, ".checkpoint")
    return Ledger(vkey=standing.vkey, size=size, checkpoint=checkpoint, segments=tuple(segments))


@asynccontextmanager
async def database(settings: Settings, name: str) -> AsyncIterator[Database]:
    opened = open_database(settings, name, durable=True)
    try:
        yield opened
    finally:
        await opened.close()


# Attachments


@dataclass(slots=True)
class _Held:
    inventory: File
    files: list[File]
    copied: int
    kept: int


async def inventory_of(archive: Archive, attachments: Attachments) -> dict[str, tuple[str, File]]:
    """By the blob's name, the tag that it had and its file."""
    rows = unpacked(await archive.read(attachments.inventory), attachments.inventory.path)
    return {row["name"]: (row["tag"], File.model_validate(row["file"])) for row in rows}


async def _save_attachments(
    blobs: BlobStore, archive: Archive, before: Manifest | None, keys: _Dump | None, progress: Progress
) -> _Held:
    known = await inventory_of(archive, before.attachments) if before else {}
    there: dict[str, tuple[str, File]] = {}
    copied = 0
    task = progress.add_task("attachments", total=None)
    places = asyncio.Semaphore(ATTACHMENTS_AT_ONCE)

    async def save(blob: Blob) -> None:
        nonlocal copied
        async with places:
            tag, file = known.get(blob.name, ("", None))
            if file is None or tag != blob.tag or file.bytes != blob.size:
                try:
                    file = await archive.add("attachments", await _content(blobs, blob))
                except BlobMissing:  # erased, or an upload that was finished, at this moment
                    return
                copied += 1
            there[blob.name] = (blob.tag, file)
            progress.advance(task)

    async for some in blobs.everything():
        async with asyncio.TaskGroup() as group:
            for blob in some:
                if not blob.name.startswith(f"{belonging.MARKER}/"):
                    group.create_task(save(blob))
    erased = _destroyed(keys)
    gone = {
        name: entry
        for name, entry in known.items()
        if name not in there and not name.startswith(GROWING) and name.partition("/")[0] not in erased
    }
    entries = sorted((there | gone).items())
    rows = ({"name": name, "tag": tag, "file": file.model_dump()} for name, (tag, file) in entries)
    inventory = await archive.add("attachments", await asyncio.to_thread(packed, rows), ".jsonl.gz")
    progress.update(task, total=len(there), completed=len(there))
    return _Held(inventory, [file for _, (_, file) in entries], copied, len(gone))


async def _content(blobs: BlobStore, blob: Blob) -> bytes:
    return b"".join([await blobs.get(blob.name, start, PIECE_BYTES) for start in range(0, blob.size, PIECE_BYTES)])


def _destroyed(keys: _Dump | None) -> set[str]:
    rows: Iterable[Sequence[Any]] = keys.rows.get("subject_keys", ()) if keys else ()
    return {row[0] for row in rows if row[2]}


# The report


def _tell(done: Done, address: str, as_json: bool) -> None:
    manifest, before = done.manifest, done.before
    ledger = manifest.ledger
    if as_json:
        print(json.dumps(summary(done)))
        return
    new_events = manifest.log.events - (before.log.events if before else 0)
    lines = [
        f"{manifest.log.events} events, {new_events} of them new, up to position {manifest.log.position}",
        f"{manifest.attachments.count} attachments ({manifest.attachments.bytes / 1e6:.1f} MB), {done.copied} of them copied now",
        f"keys and uploads: {', '.join(sorted(manifest.tables)) or 'none'}",
        f"the ledger of {ledger.size} leaves under {ledger.vkey}" if ledger else "no ledger: nothing was published yet",
    ]
    if done.proved:
        lines.append(done.proved.told())
    out.print(f"[bold green]✓[/] Backup {manifest.number} of {manifest.site} is whole: {address}", highlight=False)
    for line in lines:
        out.print(f"  {line}", highlight=False, soft_wrap=True)
    if done.kept:
        err.print(
            f"[yellow]![/] {done.kept} attachments are gone from the site although nobody was erased: the backup keeps them.",
            highlight=False,
        )
    out.print("  It holds no secrets. Keep these yourself, or it cannot be used:", highlight=False)
    for secret in SECRETS:
        out.print(f"  • {secret}", highlight=False, soft_wrap=True)


def summary(done: Done) -> Mapping[str, Any]:
    manifest = done.manifest
    return {
        "number": manifest.number,
        "site": manifest.site,
        "events": manifest.log.events,
        "position": manifest.log.position,
        "attachments": manifest.attachments.count,
        "attachments_copied": done.copied,
        "attachments_kept": done.kept,
        "leaves": manifest.ledger.size if manifest.ledger else 0,
        "files_removed": done.removed,
        "manifest_sha256": hashlib.sha256(manifest.text()).hexdigest(),
        "checked": done.proved is not None,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
