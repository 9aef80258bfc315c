"""Every event store there is, opened for a test; KurrentDB's is the stand-in, or MOTCUA_TEST_KURRENTDB=esdb://... instead."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from services.chassis.store.kurrentdb import KurrentStore
from services.chassis.store.memory import MemoryStore
from services.chassis.store.port import START, Appended, Batch, Conflict, EventStore, NewEvent, RecordedEvent
from services.chassis.store.sqlite import SqliteStore
from tests.doubles.kurrentdb import Double

ENGINES = ("memory", "sqlite", "kurrentdb")
REAL_KURRENTDB = os.environ.get("MOTCUA_TEST_KURRENTDB", "")


@asynccontextmanager
async def opened(engine: str, folder: Path) -> AsyncIterator[EventStore]:
    """An empty store, or one that looks empty."""
    if engine == "memory":
        yield MemoryStore()
    elif engine == "sqlite":
        store = await SqliteStore.open(folder / "events.db")
        yield store
        await store.close()
    elif REAL_KURRENTDB:
        real = await KurrentStore.open(REAL_KURRENTDB)
        yield await Apart.of(real)
        await real.close()
    else:
        async with doubled() as (_, store_on_double):
            yield store_on_double


@asynccontextmanager
async def doubled(
    nodes: int = 1, patience: float = 20, stall: float = 20
) -> AsyncIterator[tuple[Double, KurrentStore]]:
    double = Double(nodes)
    await double.start()
    store = await KurrentStore.open(double.uri, patience, stall)
    try:
        yield double, store
    finally:
        double.faults.open.set()
        double.speak()
        await store.close()
        await double.stop()


class Apart:
    """A store that others used before and use now, as if it were new: its own streams, from here on."""

    def __init__(self, store: EventStore, begins: int) -> None:
        self._store = store
        self._begins = begins
        self._tag = uuid4().hex + "."

    @classmethod
    async def of(cls, store: EventStore) -> Apart:
        return cls(store, await store.head())

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        try:
            return await self._store.append(self._tag + stream, events, expected)
        except Conflict as conflict:
            raise Conflict(stream, expected, conflict.revision) from None

    async def read(self, stream: str, after: int = -1) -> list[RecordedEvent]:
        return self._ours(await self._store.read(self._tag + stream, after))

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        after = max(after, self._begins)
        while len(found) < limit:
            page = await self._store.read_all(after, types, limit)
            found += self._ours(page)
            if len(page) < limit:
                break
            after = page[-1].position
        return found[:limit]

    async def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        async with aclosing(self._store.subscribe(max(after, self._begins), types)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                yield replace(batch, events=self._ours(batch.events))

    async def head(self) -> int:
        everything = await self.read_all(limit=100_000)
        return everything[-1].position if everything else START

    async def close(self) -> None:
        pass

    def _ours(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        return [replace(e, stream=e.stream.removeprefix(self._tag)) for e in events if e.stream.startswith(self._tag)]
