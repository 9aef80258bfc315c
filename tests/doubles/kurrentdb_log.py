"""What a KurrentDB keeps, in memory: one log, streams in it, and when an append is a repetition.

The rules are those of the server's index writer (CheckCommit) and of its gRPC answers; nothing here knows the product's own stores.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID, uuid4

# A server keeps the ids of its newest events in a cache of some megabytes; only there an append at ANY finds itself again.
KNOWN_IDS = 50_000
# Bytes of a record beside its type, stream, data and metadata: positions are offsets in a file.
RECORD_BYTES = 96


class State(Enum):
    ANY = "any"
    NO_STREAM = "no stream"
    EXISTS = "stream exists"


Expected = int | State


@dataclass(frozen=True, slots=True)
class Proposed:
    id: UUID
    type: str
    content_type: str
    data: bytes
    metadata: bytes

    @property
    def size(self) -> int:
        return len(self.data) + len(self.metadata) + 2 * len(self.type)


@dataclass(frozen=True, slots=True)
class Record:
    proposed: Proposed
    stream: str
    revision: int
    position: int
    created: int
    """Ticks of 100 ns since 1970."""


@dataclass(frozen=True, slots=True)
class Written:
    revision: int
    position: int
    repeated: bool


class WrongVersion(Exception):
    def __init__(self, current: int | None) -> None:
        super().__init__(f"the stream is at {current}")
        self.current = current


class Deleted(Exception):
    """The stream was tombstoned."""


@dataclass(slots=True)
class Stream:
    events: list[Record] = field(default_factory=list)
    begins: int = 0
    """Revisions before it were deleted; deleted is softly deleted when none is left."""
    tombstoned: bool = False

    @property
    def last(self) -> int:
        return len(self.events) - 1

    @property
    def soft_deleted(self) -> bool:
        return self.begins > self.last >= 0

    @property
    def readable(self) -> Sequence[Record]:
        return self.events[self.begins :]


class Log:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self._end = 0
        self._streams: dict[str, Stream] = {}
        self._ids: OrderedDict[UUID, tuple[str, int]] = OrderedDict()
        self._changed = asyncio.Event()
        self.system_event("$stats-127.0.0.1:2113", "$statsCollected")

    # What clients ask for

    def stream(self, name: str) -> Stream | None:
        return self._streams.get(name)

    def append(self, name: str, expected: Expected, proposed: Sequence[Proposed]) -> Written:
        """Raises WrongVersion, Deleted."""
        stream = self._streams.get(name) or Stream()
        if stream.tombstoned:
            raise Deleted
        if expected is State.EXISTS and (stream.last < 0 or stream.soft_deleted):
            raise WrongVersion(None)
        if earlier := self._earlier(name, stream, expected, proposed):
            return earlier
        current = None if stream.last < 0 else stream.last
        begins_again = expected is State.NO_STREAM and stream.soft_deleted
        if expected is State.NO_STREAM and current is not None and not begins_again:
            raise WrongVersion(current)
        if isinstance(expected, int) and expected != current:
            raise WrongVersion(current)
        if stream.soft_deleted:
            stream.begins = len(stream.events)
        return self._write(name, stream, proposed)

    def delete(self, name: str, expected: Expected) -> int:
        """Softly: what comes later goes on counting. Returns the position. Raises WrongVersion, Deleted."""
        stream = self._expect(name, expected)
        stream.begins = len(stream.events)
        return self.system_event(f"$${name}", "$metadata", b'{"$tb":9223372036854775807}')

    def tombstone(self, name: str, expected: Expected) -> int:
        stream = self._expect(name, expected)
        stream.tombstoned = True
        return self.system_event(name, "$streamDeleted")

    # Places in the log

    def index_from(self, position: int) -> int:
        """Of the first record at a position or after it."""
        return bisect_left(self.records, position, key=lambda record: record.position)

    def index_after(self, position: int) -> int:
        return bisect_right(self.records, position, key=lambda record: record.position)

    def is_place(self, position: int) -> bool:
        """A client may name the position of a record, or one after the end; between them nothing can be read."""
        index = self.index_from(position)
        return index == len(self.records) or self.records[index].position == position

    # What happens by itself

    def system_event(self, stream: str, type_: str, data: bytes = b"{}") -> int:
        """As statistics, scavenges and metadata write them all the time."""
        place = self._streams.setdefault(stream, Stream())
        return self._write(stream, place, [Proposed(uuid4(), type_, "application/json", data, b"")]).position

    def forget_ids(self) -> None:
        """As a restart does."""
        self._ids.clear()

    @property
    def changed(self) -> asyncio.Event:
        """Set when something is written after it was asked for."""
        return self._changed

    def wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _expect(self, name: str, expected: Expected) -> Stream:
        stream = self._streams.get(name)
        if stream is not None and stream.tombstoned:
            raise Deleted
        if stream is None or stream.soft_deleted:
            if expected in (State.ANY, State.NO_STREAM):
                return self._streams.setdefault(name, Stream())
            raise WrongVersion(None)
        if expected is State.NO_STREAM or (isinstance(expected, int) and expected != stream.last):
            raise WrongVersion(stream.last)
        return stream

    def _earlier(self, name: str, stream: Stream, expected: Expected, proposed: Sequence[Proposed]) -> Written | None:
        if expected in (State.ANY, State.EXISTS):
            places = [self._ids.get(event.id) for event in proposed]
            known = [place[1] for place in places if place is not None and place[0] == name]
            if not places or places[0] is None or places[0][0] != name:
                return None
            if len(known) < len(proposed):  # some of them: neither new nor a repetition
                raise WrongVersion(stream.last)
            return Written(known[-1], stream.events[known[-1]].position, repeated=True)
        first = 0 if expected is State.NO_STREAM else int(expected) + 1
        there = stream.events[first : first + len(proposed)]
        same = [record.proposed.id == event.id for record, event in zip(there, proposed, strict=False)]
        if not same or not same[0]:
            return None
        if not all(same) or len(there) < len(proposed):
            raise WrongVersion(stream.last)
        return Written(there[-1].revision, there[-1].position, repeated=True)

    def _write(self, name: str, stream: Stream, proposed: Sequence[Proposed]) -> Written:
        self._streams[name] = stream
        created = time.time_ns() // 100
        for event in proposed:
            record = Record(event, name, len(stream.events), self._end, created)
            stream.events.append(record)
            self.records.append(record)
            self._end += RECORD_BYTES + event.size + 2 * len(name)
            self._ids[event.id] = (name, record.revision)
            if len(self._ids) > KNOWN_IDS:
                self._ids.popitem(last=False)
        self.wake()
        return Written(stream.last, stream.events[-1].position, repeated=False)
