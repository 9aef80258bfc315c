"""The event store in memory: for tests, and the plainest statement of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from services.chassis.machine import moments
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
)


class MemoryStore:
    def __init__(self) -> None:
        self._all: list[RecordedEvent] = []
        self._streams: dict[str, list[RecordedEvent]] = {}
        self._feed = Feed(START)

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if not events:
            raise ValueError(f"nothing to append to {stream}")
        history = self._streams.get(stream, [])
        revision = len(history) - 1
        first = expected + 1
        if expected == ANY:
            newest = history[-LOOK_BACK:]
            first = next((e.revision for e in newest if e.id == events[0].id), len(history))
        earlier = history[first : first + len(events)]
        if earlier and [e.id for e in earlier] == [e.id for e in events]:
            return Appended(earlier[-1].revision, earlier[-1].position)
        if expected not in (ANY, revision):
            raise Conflict(stream, expected, revision)
        now = moments.now()
        position = len(self._all)
        recorded = [
            RecordedEvent(e.id, e.type, e.data, e.metadata, stream, revision + i, position + i, e.recorded_at or now)
            for i, e in enumerate(events, start=1)
        ]
        self._streams.setdefault(stream, []).extend(recorded)
        self._all.extend(recorded)
        self._feed.push(recorded)
        return Appended(revision + len(events), len(self._all))

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        return self._streams.get(stream, [])[after + 1 :]

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        prefixes = tuple(types)
        matching = (e for e in self._all[after:] if not prefixes or e.type.startswith(prefixes))
        return [event for event, _ in zip(matching, range(limit), strict=False)]

    def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        return self._feed.follow(self.read_all, after, types)

    async def head(self) -> int:
        return len(self._all)

    async def close(self) -> None:
        pass
