"""The event store in one SQLite file: group commit, several processes may share it.

One thread writes: it takes every append that has queued up, checks each against its stream and commits them as one transaction
with one fsync. Checks precede writes, so an append that conflicts fails alone. BEGIN IMMEDIATE makes the order of positions the
order of commits, over all processes.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from services.chassis.files.examination import is_damage
from services.chassis.machine import moments, threads
from services.chassis.store.feed import Feed
from services.chassis.store.port import (
    ANY,
    LOOK_BACK,
    NO_STREAM,
    START,
    Appended,
    Batch,
    Conflict,
    NewEvent,
    RecordedEvent,
    StoreUnavailable,
)
from services.chassis.work.tasks import Owned, OwnedThread

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id BLOB NOT NULL,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    metadata BLOB NOT NULL,
    recorded_at INTEGER NOT NULL  -- microseconds since 1970
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_stream ON events (stream, revision);
"""
COLUMNS = "id, type, data, metadata, stream, revision, position, recorded_at"
GROUP = 256
# How soon a commit of another process is seen.
POLL_SECONDS = 0.05
BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Append:
    stream: str
    events: Sequence[NewEvent]
    expected: int
    done: asyncio.Future[Appended]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _recorded(row: tuple[bytes, str, bytes, bytes, str, int, int, int]) -> RecordedEvent:
    id_, type_, data, metadata, stream, revision, position, at = row
    return RecordedEvent(UUID(bytes=id_), type_, data, metadata, stream, revision, position, _moment(at))


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


class SqliteStore:
    """Open with `await SqliteStore.open(path)`, on the loop that uses it."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self.damage = ""
        """What SQLite said of a damaged page, if it met one."""
        self._opened: list[sqlite3.Connection] = []
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._writer = _connect(path)
        self._writer.executescript(SCHEMA)
        self._readers = ThreadPoolExecutor(2, "event-store-read")
        self._local = threading.local()
        self._path = path
        self._feed = Feed(self._max_position(self._writer))
        self._pull_lock = asyncio.Lock()
        self._pending: set[asyncio.Future[Appended]] = set()
        self._closed = False
        self._thread = OwnedThread("event store: writer", self._write_loop, self._writer_ended)
        self._thread.start()
        self._poll = Owned("event store: poll", self._poll_loop, passing=(StoreUnavailable,))
        self._poll.start()

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(path)

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if not events:
            raise ValueError(f"nothing to append to {stream}")
        if self._closed:
            raise StoreUnavailable("the event store is closed")
        done: asyncio.Future[Appended] = self._loop.create_future()
        self._pending.add(done)
        done.add_done_callback(self._pending.discard)
        self._queue.put(_Append(stream, events, expected, done))
        return await asyncio.shield(done)  # a caller that gives up does not undo the write

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        sql = f"SELECT {COLUMNS} FROM events WHERE stream = ? AND revision > ? ORDER BY revision"
        return await self._select(sql, (stream, after))

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        # A prefix is a range of names; U+10FFFF sorts after every continuation.
        ranges = " OR ".join("(type >= ? AND type < ?)" for _ in types) or "TRUE"
        bounds = [bound for prefix in types for bound in (prefix, prefix + "\U0010ffff")]
        sql = f"SELECT {COLUMNS} FROM events WHERE position > ? AND ({ranges}) ORDER BY position LIMIT ?"
        return await self._select(sql, (after, *bounds, limit))

    def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        return self._feed.follow(self.read_all, after, types)

    async def head(self) -> int:
        return await self._asked(lambda: self._max_position(self._reader()))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._poll.stop()
        self._thread.stop()
        self._queue.put(None)
        await threads.in_thread(self._thread.join)
        self._abandon("the event store is closed")
        await threads.in_thread(self._shut)

    def _shut(self) -> None:
        """Nothing is left in the log beside the file, unless another process uses it still."""
        self._readers.shutdown()
        for reader in self._opened:
            reader.close()
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._path)
            self._opened.append(connection)
        return connection

    async def _select(self, sql: str, values: tuple[object, ...]) -> list[RecordedEvent]:
        def run() -> list[RecordedEvent]:
            return [_recorded(row) for row in self._reader().execute(sql, values)]

        return await self._asked(run)

    async def _asked(self, read: Callable[[], T]) -> T:
        try:
            return await self._loop.run_in_executor(self._readers, read)
        except sqlite3.DatabaseError as error:  # no room, no descriptor, an error of the disk, a damaged page
            self._met(error)
            raise StoreUnavailable(f"{self._path}: {error}") from error

    def _met(self, error: Exception) -> None:
        if is_damage(error):
            self.damage = str(error)

    @staticmethod
    def _max_position(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])

    async def _poll_loop(self) -> None:
        while True:
            await moments.sleep(POLL_SECONDS)
            self._thread.ensure()
            if await self.head() > self._feed.last:
                await self._pull()

    async def _pull(self) -> None:
        """Bring what other processes wrote, in order, into the feed."""
        async with self._pull_lock:
            while events := await self.read_all(self._feed.last):
                self._feed.push([event for event in events if event.position > self._feed.last])

    def _committed(self, outcomes: list[tuple[_Append, Appended | Exception]], recorded: list[RecordedEvent]) -> None:
        for append, outcome in outcomes:
            if append.done.done():
                continue
            if isinstance(outcome, Exception):
                append.done.set_exception(outcome)
            else:
                append.done.set_result(outcome)
        # Only what follows the feed without a gap is pushed here; the poll brings the rest in order.
        if recorded and recorded[0].position == self._feed.last + 1 and not self._pull_lock.locked():
            contiguous = recorded[-1].position - recorded[0].position == len(recorded) - 1
            if contiguous:
                self._feed.push(recorded)

    def _write_loop(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            stop = False
            while len(group) < GROUP:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            outcomes, recorded = self._commit(group)
            self._loop.call_soon_threadsafe(self._committed, outcomes, recorded)
            if stop:
                return

    def _commit(self, group: list[_Append]) -> tuple[list[tuple[_Append, Appended | Exception]], list[RecordedEvent]]:
        outcomes: list[tuple[_Append, Appended | Exception]] = []
        recorded: list[RecordedEvent] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for append in group:
                try:
                    outcomes.append((append, self._write(append, recorded)))
                except Conflict as conflict:
                    outcomes.append((append, conflict))
            self._writer.execute("COMMIT")
        except Exception as error:
            self._met(error)
            self._undo()
            return [(append, StoreUnavailable(f"{self._path}: {error}")) for append in group], []
        return outcomes, recorded

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            self._writer.rollback()
        if self._writer.in_transaction:  # on a connection that cannot even do that nothing is ever written
            broken, self._writer = self._writer, _connect(self._path)
            with suppress(sqlite3.Error):
                broken.close()

    def _writer_ended(self) -> None:
        """In whatever way: who waits for an answer gets one."""
        self._undo()
        self._loop.call_soon_threadsafe(self._abandon, "the thread that writes ended")

    def _abandon(self, why: str) -> None:
        for done in list(self._pending):
            if not done.done():
                done.set_exception(StoreUnavailable(why))

    def _write(self, append: _Append, recorded: list[RecordedEvent]) -> Appended:
        stream, events, expected = append.stream, append.events, append.expected
        row = self._writer.execute("SELECT max(revision) FROM events WHERE stream = ?", (stream,)).fetchone()
        revision = NO_STREAM if row[0] is None else int(row[0])
        if revision > NO_STREAM and (earlier := self._earlier(append, revision)):
            return earlier
        if expected not in (ANY, revision):
            raise Conflict(stream, expected, revision)
        now = moments.now()
        position = START
        for event in events:
            revision += 1
            at = round((event.recorded_at or now).timestamp() * 1e6)
            cursor = self._writer.execute(
                "INSERT INTO events (stream, revision, id, type, data, metadata, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (stream, revision, event.id.bytes, event.type, event.data, event.metadata, at),
            )
            position = cursor.lastrowid or START
            recorded.append(
                RecordedEvent(event.id, event.type, event.data, event.metadata, stream, revision, position, _moment(at))
            )
        return Appended(revision, position)

    def _earlier(self, append: _Append, revision: int) -> Appended | None:
        """Where the same events were written before, at the same place."""
        if append.expected == ANY:
            # By the index over streams: one over ids would cost every append.
            sql = "SELECT revision FROM events WHERE stream = ? AND revision > ? AND id = ?"
            values = (append.stream, revision - LOOK_BACK, append.events[0].id.bytes)
            row = self._writer.execute(sql, values).fetchone()
            if row is None:
                return None
            first = int(row[0])
        else:
            first = append.expected + 1
        sql = "SELECT id, revision, position FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?"
        rows = self._writer.execute(sql, (append.stream, first, len(append.events))).fetchall()
        if rows and [row[0] for row in rows] == [event.id.bytes for event in append.events]:
            return Appended(int(rows[-1][1]), int(rows[-1][2]))
        return None
