"""The newest events, fanned out to every subscription of this process."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import islice

from services.chassis.machine import moments
from services.chassis.store.port import Batch, RecordedEvent

PAGE = 500
# A subscription that matched nothing reports how far it looked at most this often.
QUIET_SECONDS = 0.02

ReadAll = Callable[[int, Sequence[str], int], Awaitable[list[RecordedEvent]]]


class Feed:
    """Events after `start` up to `last`, complete and in order. Older ones are in the store alone."""

    def __init__(self, start: int, capacity: int = 10_000) -> None:
        self.start = start
        self.last = start
        self._live = True
        self._capacity = capacity
        self._events: deque[RecordedEvent] = deque()
        self._changed = asyncio.Event()

    @property
    def live(self) -> bool:
        """Whether nothing newer than `last` is known to be missing: false while a connection that fills the feed is lost."""
        return self._live

    @live.setter
    def live(self, live: bool) -> None:
        if self._live != live:
            self._live = live
            self._wake()

    def push(self, events: Sequence[RecordedEvent]) -> None:
        if not events:
            return
        self._events.extend(events)
        self.last = events[-1].position
        while len(self._events) > self._capacity:
            self.start = self._events.popleft().position
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def after(self, position: int, limit: int) -> list[RecordedEvent]:
        first = bisect_right(self._events, position, key=lambda event: event.position)
        return list(islice(self._events, first, first + limit))

    async def follow(self, read_all: ReadAll, after: int, types: Sequence[str]) -> AsyncIterator[Batch]:
        """What is older than the feed page by page, then what is in it and what comes."""
        prefixes = tuple(types)
        cursor = after
        while True:
            if cursor < self.start:
                known = self.last
                events = await read_all(cursor, prefixes, PAGE)
                cursor = (
                    events[-1].position if len(events) == PAGE else max(known, *(e.position for e in events[-1:]), 0)
                )
                yield Batch(events, cursor, cursor >= self.last and self.live)
                continue
            async with aclosing(self.recent(cursor, prefixes)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    yield batch
                    cursor = batch.position

    async def recent(self, after: int, types: Sequence[str]) -> AsyncIterator[Batch]:
        """What is in the feed, then what comes; ends when it was overtaken: the feed does not reach back so far any more."""
        prefixes = tuple(types)
        cursor = after
        while cursor >= self.start:
            changed = self._changed
            seen = self.after(cursor, PAGE)
            events = [event for event in seen if not prefixes or event.type.startswith(prefixes)]
            cursor = seen[-1].position if seen else cursor
            seen_all = cursor >= self.last
            yield Batch(events, cursor, seen_all and self.live)
            if seen_all:
                await changed.wait()
                if not events:
                    await moments.sleep(QUIET_SECONDS)
