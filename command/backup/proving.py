"""Whether a backup is what it was, and whether the ledger in it is a ledger of the events in it: before it is relied on."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from rich.progress import Progress

from command.backup.archive import Archive, ArchiveError, Ledger, Manifest, Segment, pages, unpacked
from gateway.ledger.audit import checking
from gateway.ledger.audit.faults import Fault
from gateway.ledger.audit.reading import CHECKPOINT, CheckpointWrong
from gateway.ledger.format import tiles
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.merkle import TILE_WIDTH, leaf_hash, tile_root
from gateway.ledger.format.note import Verifier
from gateway.ledger.format.tiles import TileName
from gateway.ledger.keep.comparing import EventComparison, Stored
from gateway.ledger.keep.entries import of_dossiers
from services.chassis.following.erasures import DECIDED, erased_by
from services.chassis.store.port import RecordedEvent

T = TypeVar("T")

SHOWN = 3
SEGMENTS_AT_ONCE = 3


@dataclass(slots=True)
class Proved:
    events: int = 0
    leaves: int = 0
    dossiers: int = 0
    ahead: int = 0
    """Events of dossiers that have no leaf yet."""
    erased: set[str] = field(default_factory=set)
    """Whom the log says to be erased."""

    def told(self) -> str:
        ledger = f"; {self.leaves} leaves of {self.dossiers} dossiers are those of the events" if self.leaves else ""
        return f"checked: every file has its hash{ledger}; {self.ahead} events are newer than the ledger's checkpoint"


async def prove(archive: Archive, manifest: Manifest, progress: Progress, *, ledger: bool) -> Proved:
    """Read all but the attachments again, and with `ledger` compare it. Raises ArchiveError, naming what is wrong."""
    proved = Proved()
    task = progress.add_task("checking the files", total=manifest.log.events)
    for file in (*manifest.tables.values(), manifest.attachments.inventory):
        await archive.read(file)

    def seen(count: int) -> None:
        progress.advance(task, count)

    events = _events(archive, manifest, proved, seen)
    if ledger and manifest.ledger:
        await _prove_ledger(archive, manifest.ledger, events, proved)
    elif manifest.ledger:
        for file in (manifest.ledger.checkpoint, *(segment.file for segment in manifest.ledger.segments)):
            await archive.read(file)
    async for _ in events:  # those that were not asked for until now
        pass
    if proved.events != manifest.log.events:
        raise ArchiveError(f"the log of the backup has {proved.events} events, the manifest says {manifest.log.events}")
    return proved


def event_of(row: Mapping[str, Any], position: int, path: str) -> RecordedEvent:
    """Raises ArchiveError for what no backup writes."""
    try:
        return RecordedEvent(
            UUID(row["id"]),
            row["type"],
            base64.b64decode(row["data"], validate=True),
            base64.b64decode(row["metadata"], validate=True),
            row["stream"],
            row["revision"],
            position,
            datetime.fromisoformat(row["recorded_at"]),
        )
    except (KeyError, TypeError, ValueError) as unusable:
        raise ArchiveError(f"{path}: event {position - 1} is none: {unusable!r}") from None


async def saved_events(archive: Archive, manifest: Manifest) -> AsyncGenerator[list[RecordedEvent], None]:
    """In the log's order, counted from 1 in place of their positions. Raises ArchiveError."""
    paths = {segment.first: segment.file.path for segment in manifest.log.segments}
    async for first, rows in pages(archive, manifest.log.segments):
        yield [event_of(row, number, paths[first]) for number, row in enumerate(rows, start=first + 1)]


async def _events(
    archive: Archive, manifest: Manifest, proved: Proved, seen: Callable[[int], None]
) -> AsyncGenerator[list[RecordedEvent], None]:
    async for events in saved_events(archive, manifest):
        proved.events += len(events)
        proved.erased |= erased_by([event for event in events if event.type in DECIDED])
        seen(len(events))
        yield events


async def _prove_ledger(
    archive: Archive, ledger: Ledger, events: AsyncGenerator[list[RecordedEvent], None], proved: Proved
) -> None:
    loop = asyncio.get_running_loop()
    note = await archive.read(ledger.checkpoint)

    async def more() -> list[RecordedEvent] | None:
        return await anext(events, None)

    def wait(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def stored() -> Iterator[Stored]:
        while (some := wait(more())) is not None:
            # Nobody's key is needed: what commitments bind is compared after a restore.
            yield from (Stored(event, {}) for event in of_dossiers(some))

    comparison = EventComparison(stored())
    source = SavedLog(archive.address, ledger, note, lambda segment: wait(_rows(archive, segment)))
    try:
        report = await asyncio.to_thread(checking.check, source, Verifier.parse(ledger.vkey), comparison=comparison)
    except CheckpointWrong as wrong:
        raise ArchiveError(faulty([wrong.fault])) from None
    except LedgerError as unusable:
        raise ArchiveError(f"the ledger of the backup is unusable: {unusable}") from None
    if report.faults:
        raise ArchiveError(faulty(report.faults))
    proved.leaves, proved.dossiers, proved.ahead = report.leaves, report.dossiers, comparison.ahead


async def _rows(archive: Archive, segment: Segment) -> list[bytes]:
    rows = await asyncio.to_thread(unpacked, await archive.read(segment.file), segment.file.path)
    if len(rows) != segment.count:
        raise ArchiveError(f"{segment.file.path} has {len(rows)} entries, the manifest says {segment.count}")
    return [str(row).encode() for row in rows]


def faulty(faults: Sequence[Fault]) -> str:
    shown = "; ".join(f"{fault.kind.value}: {fault}" for fault in faults[:SHOWN])
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return f"the ledger is not one of the events: {shown}{more}. {faults[0].means}"


class SavedLog:
    """A log's files, made from the entries of a backup: `checking` reads them as it reads those that are published."""

    def __init__(self, address: str, ledger: Ledger, note: bytes, read: Callable[[Segment], list[bytes]]) -> None:
        self.address = address
        self._ledger = ledger
        self._note = note
        self._segment = lru_cache(SEGMENTS_AT_ONCE)(read)
        self._roots: dict[int, list[bytes]] = {}

    def read(self, path: str, /) -> bytes | None:
        if path == CHECKPOINT:
            return self._note
        name = TileName.parse(path)
        if name.level is None:
            return tiles.format_bundle(self._entries(name.index * TILE_WIDTH, name.width))
        return b"".join(self._hashes(name.level, name.index * TILE_WIDTH, name.width))

    def _entries(self, start: int, count: int) -> list[bytes]:
        found: list[bytes] = []
        for segment in self._ledger.segments:
            if segment.first < start + count and start < segment.first + segment.count:
                begin = max(0, start - segment.first)
                found += self._segment(segment)[begin : start + count - segment.first]
        return found

    def _hashes(self, level: int, start: int, count: int) -> list[bytes]:
        if level == 0:
            return [leaf_hash(entry) for entry in self._entries(start, count)]
        roots = self._roots.setdefault(level, [])
        while len(roots) < start + count:
            full = self._hashes(level - 1, len(roots) * TILE_WIDTH, TILE_WIDTH)
            roots.append(tile_root(b"".join(full)))
        return roots[start : start + count]


async def bundles(archive: Archive, ledger: Ledger | None, most: int) -> AsyncGenerator[Sequence[bytes], None]:
    """All entries in order, at most so many at a time."""
    for segment in ledger.segments if ledger else ():
        entries = await _rows(archive, segment)
        for start in range(0, len(entries), most):
            yield entries[start : start + most]
