"""The event store as the services see it. memory.py, sqlite.py and kurrentdb.py behave alike: one contract suite runs over all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

NO_STREAM = -1
"""Expected revision of a stream that must not exist yet."""
ANY = -2
"""Append whatever the stream's revision is."""
LOOK_BACK = 256
"""How many of a stream's newest events an append at ANY is compared with: it is repeated soon, or never."""
START = 0
"""The position before the first event."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    id: UUID
    type: str
    data: bytes
    metadata: bytes
    recorded_at: datetime | None = None
    """When the store from which it is restored recorded it; now if None."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """`revision` counts a stream's events from 0. `position` orders all events: opaque, growing, with gaps."""

    id: UUID
    type: str
    data: bytes
    metadata: bytes
    stream: str
    revision: int
    position: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Appended:
    """Revision and position of the append's last event."""

    revision: int
    position: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in order, and how far the subscription has looked. `caught_up` is a hint: nothing newer was there."""

    events: Sequence[RecordedEvent]
    position: int
    caught_up: bool


class Conflict(Exception):
    """The stream is at another revision than expected."""

    def __init__(self, stream: str, expected: int, revision: int) -> None:
        super().__init__(f"{stream} is at revision {revision}, expected {expected}")
        self.stream = stream
        self.expected = expected
        self.revision = revision


class StoreUnavailable(Exception):
    """The store did not answer. The append may or may not have happened: send the same events again."""


class EventStore(Protocol):
    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        """Write all events or none; durable when it returns.

        The same event ids at the same expected revision succeed again without writing; at ANY, while they are among the stream's
        LOOK_BACK newest.
        Raises Conflict, StoreUnavailable; ValueError for no events, or for more than the store takes at once.
        """
        ...

    async def read(self, stream: str, after: int = NO_STREAM) -> list[RecordedEvent]:
        """The stream's events after a revision, in order; empty if there is no such stream."""
        ...

    async def read_all(self, after: int = START, types: Sequence[str] = (), limit: int = 1000) -> list[RecordedEvent]:
        """All streams' events after a position, in order, of the types that begin with one of `types` (all if empty)."""
        ...

    def subscribe(self, after: int = START, types: Sequence[str] = ()) -> AsyncIterator[Batch]:
        """History after a position, then live events, at least once and in order. Never ends by itself."""
        ...

    async def head(self) -> int:
        """The position of the newest event, START if there is none."""
        ...

    async def close(self) -> None: ...
