"""`motcua restore`: a backup into an empty site, and only if nothing contradicts it.

Cut off, it goes on where it was when it is run again: what is there already must be what it would write. Until it is done the
ledger is held, so that no service signs another history than the public has seen.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.progress import Progress

from command.backup import durable
from command.backup.archive import Archive, ArchiveError, File, Manifest, unpacked
from command.backup.backup import FAILURES, bars, database, inventory_of, told
from command.backup.proving import Proved, bundles, faulty, prove, saved_events
from command.console import err, fail, harmless, out
from command.site import belonging
from gateway.ledger.audit import checking
from gateway.ledger.audit.reading import CHECKPOINT, CheckpointWrong
from gateway.ledger.audit.remembering import HEADER, Remembered
from gateway.ledger.audit.source import LedgerUnreachable, open_source
from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.note import Note, Verifier
from gateway.ledger.keep import restoring
from gateway.ledger.keep.comparing import EventComparison, Stored, stored_events
from gateway.ledger.keep.own_keys import log_key
from gateway.ledger.keep.publishing import Publisher
from gateway.ledger.keep.sequencing import MOST_LEAVES
from gateway.ledger.keep.storage import Storage
from gateway.ledger.running import open_storage, remotes
from services.chassis.blobs.port import BlobStore
from services.chassis.following.erasures import erased_accounts
from services.chassis.platform.platform import open_blobs, open_store
from services.chassis.platform.settings import Settings
from services.chassis.site.refusal import SiteRefused
from services.chassis.store.port import START, Conflict, EventStore, NewEvent, RecordedEvent
from services.identity.keys import SubjectKeys
from services.identity.kms import KeyNotUnwrapped, LocalKeys
from services.identity.vault import Vault, generation_name

# Events of one append where order demands that appends follow each other.
MOST_EVENTS, MOST_BYTES = 100, 512 * 1024
# SQLite writes in the order in which it is asked.
SQLITE_IN_FLIGHT = 512
ATTACHMENTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Asked:
    source: str
    published: str
    """A checkpoint's file or address, the newest that the public has seen; empty for a new ledger."""
    databases_only: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    proved: Proved
    leaves: int
    committed: int
    attachments: int
    ledger_begins_anew: bool
    silent: Sequence[str]
    """Witnesses that did not say what they have seen."""


def restore(settings: Settings, asked: Asked) -> int:
    os.umask(0o077)
    try:
        with bars(disable=asked.as_json) as progress:
            if asked.databases_only:
                rows = asyncio.run(bring_back_databases(settings, asked.source, progress))
            else:
                restored = asyncio.run(bring_back(settings, asked.source, asked.published, progress))
    except (*FAILURES, LedgerError, KeyNotUnwrapped, Conflict, SiteRefused) as failed:
        fail(told(failed), "The site is not restored: start nothing on it. Run it again when the reason is gone.")
    if asked.databases_only:
        _tell_databases(rows, asked)
    else:
        _tell(restored, asked)
    return 0


async def bring_back(settings: Settings, source: str, published: str, progress: Progress) -> Restored:
    """Raises ArchiveError, LedgerError, KeyNotUnwrapped, and what the site's parts raise."""
    archive, manifest = await _open(settings, source)
    newest = await asyncio.to_thread(_newest, settings, manifest, published)
    silent = await restoring.require_witnesses(remotes(settings), newest) if newest else []
    await _require_master_key(settings, archive, manifest)
    proved = await prove(archive, manifest, progress, ledger=False)
    async with AsyncExitStack() as stack:
        store = await open_store(settings)
        stack.push_async_callback(store.close)
        ledger = await stack.enter_async_context(database(settings, "ledger"))
        keys = await stack.enter_async_context(database(settings, "keys"))
        await _require_no_other_log(store, archive, manifest)
        storage = open_storage(settings)
        _require_newest(await storage.read(CHECKPOINT), newest)
        await restoring.hold(ledger)
        attachments = await _restore_attachments(open_blobs(settings), archive, manifest, proved.erased, progress)
        await _restore_log(settings, store, archive, manifest, progress)
        for name, file in manifest.tables.items():
            await _restore_tables(settings, archive, name, file, sorted(proved.erased))
        leaves = committed = 0
        if newest:
            ring = SubjectKeys(Vault(keys, LocalKeys.of(settings), store))
            log = log_key(settings).verifier
            task = progress.add_task("ledger", total=None)
            leaves = await restoring.restore_log(
                ledger,
                store,
                ring,
                log,
                Note.parse(await archive.read(manifest.ledger.checkpoint)) if manifest.ledger else None,
                bundles(archive, manifest.ledger, MOST_LEAVES),
                newest,
                lambda done, size: progress.update(task, completed=done, total=size),
            )
            await Publisher(ledger, storage, log).publish()
            committed = await _check(storage, log, stored_events(store, ring), progress)
            await belonging.restored(settings, store)
            await restoring.release(ledger, log.vkey)
        else:
            await belonging.restored(settings, store)
            await restoring.release(ledger, "")
    return Restored(manifest, proved, leaves, committed, attachments, newest is None, silent)


async def bring_back_databases(settings: Settings, source: str, progress: Progress) -> dict[str, int]:
    """Of a site whose log survived: the rows of each. Raises ArchiveError, KeyNotUnwrapped."""
    archive, manifest = await _open(settings, source)
    await _require_master_key(settings, archive, manifest)
    await prove(archive, manifest, progress, ledger=False)
    store = await open_store(settings)
    try:
        await _require_beginning(store, archive, manifest, progress)
        erased = await erased_accounts(store)
        restored = {}
        for name, file in manifest.tables.items():
            restored[name] = await _restore_tables(settings, archive, name, file, sorted(erased))
        await belonging.restored(settings, store, manifest.tables)
    finally:
        await store.close()
    return restored


async def _open(settings: Settings, source: str) -> tuple[Archive, Manifest]:
    archive = Archive.open(source, create=False)
    manifest = await archive.whole()
    if settings.event_store == "memory:":
        raise ArchiveError("MOTCUA_EVENT_STORE=memory: forgets: restore into a store that keeps")
    if settings.site != manifest.site:
        raise ArchiveError(f"the backup is of {manifest.site}, MOTCUA_SITE says {settings.site}")
    return archive, manifest


# What is asked before anything is written


def _newest(settings: Settings, manifest: Manifest, published: str) -> Note | None:
    """The newest published checkpoint; None if the site begins a new ledger."""
    if not (settings.ledger_key or (settings.data / "secrets" / "ledger").exists()):
        raise ArchiveError(
            "the ledger's key is not here: set MOTCUA_LEDGER_KEY, or put secrets/ledger into the data folder. It is not in the "
            "backup"
        )
    own = log_key(settings).verifier
    if not published:
        if manifest.ledger and own.name == Verifier.parse(manifest.ledger.vkey).name:
            raise ArchiveError(
                f"a new ledger needs a new name: {own.name} is the one of the backup, and what it signed is known. Set "
                "MOTCUA_LEDGER_ORIGIN and MOTCUA_LEDGER_KEY to new ones"
            )
        return None
    if manifest.ledger and own.vkey != manifest.ledger.vkey:
        raise ArchiveError(
            f"the ledger of the backup is {manifest.ledger.vkey}, the settings say {own.vkey}: set MOTCUA_LEDGER_ORIGIN and "
            "MOTCUA_LEDGER_KEY to what they were"
        )
    try:
        note = _note(published)
        note.require(own)
    except LedgerError as unusable:
        raise ArchiveError(f"{published} is no checkpoint of this ledger: {unusable}") from None
    return note


def _require_newest(content: bytes | None, newest: Note | None) -> None:
    """The site's own files may have survived."""
    if content is None:
        return
    if newest is None:
        raise ArchiveError(
            "a ledger's files lie where this site's new ledger would be: move them away first, and keep them"
        )
    there, given = (Checkpoint.parse(note.text) for note in (Note.parse(content), newest))
    if there.size > given.size:
        raise ArchiveError(
            f"--published is of {given.size} leaves, and where this site's ledger lies there is one of {there.size}: give that one"
        )


def _note(published: str) -> Note:
    """Of a checkpoint, of what `motcua ledger follow` remembers, or of a log's address. Raises LedgerError."""
    path = Path(published)
    if path.is_file():
        content = path.read_bytes()
        return Remembered.parse(content).note if content.startswith(HEADER.encode()) else Note.parse(content)
    found = open_source(published).read(CHECKPOINT)
    if found is None:
        raise LedgerUnreachable(f"{published} has no checkpoint")
    return Note.parse(found)


async def _require_master_key(settings: Settings, archive: Archive, manifest: Manifest) -> None:
    """It opens what the backup's keys are wrapped with. Raises KeyNotUnwrapped."""
    file = manifest.tables.get("keys")
    if file is None:
        return
    if not (settings.master_key or (settings.data / "secrets" / "master").exists()):
        raise ArchiveError(
            "the master key is not here: set MOTCUA_MASTER_KEY, or put secrets/master into the data folder. It is not in the backup"
        )
    rows = _tables(unpacked(await archive.read(file), file.path)).get("wrapping_keys", [])
    kms = LocalKeys.of(settings)
    for number, wrapped in rows:
        await kms.unwrap(durable.binary(wrapped), generation_name(number))


# Attachments


async def _restore_attachments(
    blobs: BlobStore, archive: Archive, manifest: Manifest, erased: set[str], progress: Progress
) -> int:
    """Those of erased people stay away."""
    inventory = await inventory_of(archive, manifest.attachments)
    wanted = {name: file for name, (_, file) in inventory.items() if name.partition("/")[0] not in erased}
    marker = f"{belonging.MARKER}/"
    there = {
        blob.name: blob.size async for some in blobs.everything() for blob in some if not blob.name.startswith(marker)
    }
    if foreign := sorted(there.keys() - wanted.keys()):
        raise ArchiveError(
            f"there are attachments already that are not the backup's, as {foreign[0]}: a backup is restored into an empty "
            "site only"
        )
    task = progress.add_task("attachments", total=len(wanted))
    places = asyncio.Semaphore(ATTACHMENTS_AT_ONCE)

    async def put(name: str, file: File) -> None:
        async with places:
            if there.get(name) != file.bytes:
                await blobs.put(name, _once(await archive.read(file)))
            progress.advance(task)

    names = sorted(wanted)
    for start in range(0, len(names), 1000):
        async with asyncio.TaskGroup() as group:
            for name in names[start : start + 1000]:
                group.create_task(put(name, wanted[name]))
    return len(wanted)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


# The log


async def _restore_log(
    settings: Settings, store: EventStore, archive: Archive, manifest: Manifest, progress: Progress
) -> None:
    task = progress.add_task("events", total=manifest.log.events)
    after = START
    append = _append_side_by_side if settings.event_store == "sqlite:" else _append_in_turn
    async for events in saved_events(archive, manifest):
        missing = events
        while missing and (there := await store.read_all(after, limit=min(1000, len(missing)))):
            _require_same(missing, there)
            after, missing = there[-1].position, missing[len(there) :]
        if missing:
            after = await append(store, missing)
        progress.advance(task, len(events))
    if await store.head() > after:
        raise ArchiveError(
            f"the event store goes on after the backup's {manifest.log.events} events: a backup is restored into an empty site only"
        )


async def _require_no_other_log(store: EventStore, archive: Archive, manifest: Manifest) -> None:
    """Before anything is touched: what is there already, an earlier attempt of this restore wrote."""
    there = await store.read_all()
    if there and not manifest.log.events:
        raise ArchiveError("the event store is in use: a backup is restored into an empty site only")
    async for events in saved_events(archive, manifest):
        _require_same(events, there)
        return


async def _require_beginning(store: EventStore, archive: Archive, manifest: Manifest, progress: Progress) -> None:
    """The store's log begins with the backup's."""
    task = progress.add_task("comparing the log", total=manifest.log.events)
    after = START
    async for events in saved_events(archive, manifest):
        missing = events
        while missing:
            there = await store.read_all(after, limit=min(1000, len(missing)))
            if not there:
                raise ArchiveError(
                    "the event store ends before the backup does: its log is lost, too. Restore all of it"
                )
            _require_same(missing, there)
            after, missing = there[-1].position, missing[len(there) :]
        progress.advance(task, len(events))


def _require_same(saved: Sequence[RecordedEvent], there: Sequence[RecordedEvent]) -> None:
    for mine, found in zip(saved, there, strict=False):
        if _content(mine) != _content(found):
            raise ArchiveError(
                f"the event store holds the event {found.id} of {found.stream} where the backup has {mine.id} of {mine.stream}: "
                "it is another log. A backup is restored into an empty site only"
            )


def _content(event: RecordedEvent) -> tuple[object, ...]:
    return event.stream, event.revision, event.id, event.type, event.data, event.metadata, event.recorded_at


def _new(event: RecordedEvent) -> NewEvent:
    return NewEvent(event.id, event.type, event.data, event.metadata, event.recorded_at)


async def _append_side_by_side(store: EventStore, events: Sequence[RecordedEvent]) -> int:
    """The position of the last."""
    for start in range(0, len(events), SQLITE_IN_FLIGHT):
        some = events[start : start + SQLITE_IN_FLIGHT]
        done = await asyncio.gather(*(store.append(event.stream, [_new(event)], event.revision - 1) for event in some))
    return done[-1].position


async def _append_in_turn(store: EventStore, events: Sequence[RecordedEvent]) -> int:
    """The same; what follows each other in one stream goes together."""
    position = START
    for stream, of_stream in groupby(events, key=lambda event: event.stream):
        for some in _portions(of_stream):
            position = (await store.append(stream, [_new(event) for event in some], some[0].revision - 1)).position
    return position


def _portions(events: Iterable[RecordedEvent]) -> Iterator[list[RecordedEvent]]:
    some: list[RecordedEvent] = []
    size = 0
    for event in events:
        if some and (len(some) == MOST_EVENTS or size + len(event.data) > MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(event)
        size += len(event.data) + len(event.metadata)
    yield some


# Databases


async def _restore_tables(settings: Settings, archive: Archive, name: str, file: File, erased: Sequence[str]) -> int:
    if name not in durable.DURABLE:
        raise ArchiveError(f"the backup holds a database {name}, which this version does not know")
    rows = _tables(unpacked(await archive.read(file), file.path))
    async with database(settings, name) as opened:
        await opened.create(durable.DURABLE[name].metadata)
        count = await opened.write(partial(durable.load, name=name, rows=rows, erased=erased))
        await opened.checkpoint()
    return count


def _tables(rows: Sequence[dict[str, Any]]) -> durable.Rows:
    found: dict[str, list[list[Any]]] = {}
    for row in rows:
        found.setdefault(row["table"], []).append(row["row"])
    return found


# The ledger


class _Published:
    """What is published, as `checking` reads it from a thread."""

    def __init__(self, storage: Storage, loop: asyncio.AbstractEventLoop) -> None:
        self.address = "the restored ledger"
        self._storage = storage
        self._loop = loop

    def read(self, path: str, /) -> bytes | None:
        content = asyncio.run_coroutine_threadsafe(self._storage.read(path), self._loop).result()
        return gzip.decompress(content) if content and path.startswith("tile/entries/") else content


async def _check(
    storage: Storage, log: Verifier, events: AsyncGenerator[Sequence[Stored], None], progress: Progress
) -> int:
    """As `motcua ledger check --events`; how many commitments hold. Raises ArchiveError."""
    loop = asyncio.get_running_loop()
    task = progress.add_task("checking the ledger", total=None)

    async def more() -> Sequence[Stored] | None:
        return await anext(events, None)

    def stored() -> Iterator[Stored]:
        while batch := asyncio.run_coroutine_threadsafe(more(), loop).result():
            yield from batch

    comparison = EventComparison(stored())

    def advance(done: int, size: int) -> None:
        progress.update(task, completed=done, total=size)

    try:
        report = await asyncio.to_thread(
            checking.check, _Published(storage, loop), log, progress=advance, comparison=comparison
        )
    except CheckpointWrong as wrong:
        raise ArchiveError(faulty([wrong.fault])) from None
    if report.faults:
        raise ArchiveError(faulty(report.faults))
    return comparison.committed


# The report


def _tell(restored: Restored, asked: Asked) -> None:
    manifest, proved = restored.manifest, restored.proved
    if asked.as_json:
        print(json.dumps(summary(restored)))
        return
    out.print(
        f"[bold green]✓[/] {manifest.site} is restored from backup {manifest.number} of {manifest.begun_at}.",
        highlight=False,
    )
    lines = [
        f"{manifest.log.events} events, each as it was; {restored.attachments} attachments, each with its hash.",
        f"{len(proved.erased)} people are erased in this log: their keys and attachments are not here.",
    ]
    if restored.leaves:
        lines += [
            f"The ledger goes on after its {restored.leaves} leaves, as the public knows it. All of it was read again: its tiles, "
            f"its map of heads, every leaf against its event; {restored.committed} commitments hold.",
        ]
    if restored.ledger_begins_anew:
        lines.append(
            "The ledger begins anew under its new name. Publish that, with the reason, and the last checkpoint of the old one."
        )
    lines.append(
        "Views are made again, and reactions look at the whole log once more, when the services start; nothing happens twice."
    )
    for line in lines:
        out.print(f"  {line}", highlight=False, soft_wrap=True)
    for name in restored.silent:
        err.print(
            f"[yellow]![/] The witness {harmless(name)} did not say what it has seen of the ledger.", highlight=False
        )


def _tell_databases(rows: Mapping[str, int], asked: Asked) -> None:
    if asked.as_json:
        print(json.dumps(rows))
        return
    told = ", ".join(f"{count} rows of {name}" for name, count in sorted(rows.items()))
    out.print(f"[bold green]✓[/] Restored: {told}.", highlight=False)
    out.print(
        "  Who was erased since is erased in them, too. Views and the ledger's tables are made again.", highlight=False
    )
    out.print(
        "  People who came after the backup have lost their keys: their names and files cannot be opened.",
        highlight=False,
    )


def summary(restored: Restored) -> dict[str, Any]:
    manifest = restored.manifest
    return {
        "site": manifest.site,
        "number": manifest.number,
        "begun_at": manifest.begun_at,
        "events": manifest.log.events,
        "attachments": restored.attachments,
        "erased": len(restored.proved.erased),
        "leaves": restored.leaves,
        "committed": restored.committed,
        "new_ledger": restored.ledger_begins_anew,
        "silent_witnesses": list(restored.silent),
    }
