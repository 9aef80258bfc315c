"""The write path: load, decide, append; decide again on a conflict."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from services.chassis.decider import Decider, Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.codec import Codec
from services.chassis.privacy.sealing import KeyRing
from services.chassis.store.port import NO_STREAM, Conflict, EventStore, NewEvent, RecordedEvent
from services.chassis.telemetry import telemetry

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
T = TypeVar("T")

CACHED_STREAMS = 20_000
ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Outcome(Generic[E]):
    """What a command led to, now or when the same request was first sent."""

    events: tuple[E, ...]
    revision: int
    position: int

    def one(self, kind: type[T]) -> T:
        """The first event of a kind of which the command leads to one."""
        return next(event for event in self.events if isinstance(event, kind))

    def first(self, kind: type[T]) -> T | None:
        return next((event for event in self.events if isinstance(event, kind)), None)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that a stream remembers: the revisions of its first and last event."""

    digest: str
    first: int
    last: int


@dataclass(slots=True)
class _Stream(Generic[S]):
    state: S
    revision: int = NO_STREAM
    position: int = 0
    requests: dict[str, _Request] = field(default_factory=dict)


class Handler(Generic[C, S, E]):
    """Executes commands on the streams of one decider, named `<category>-<id>`."""

    def __init__(
        self,
        category: str,
        decider: Decider[C, S, E],
        codec: Codec[E],
        store: EventStore,
        keys: KeyRing,
        site: str,
        service: str,
        now: Callable[[], datetime],
    ) -> None:
        self._category = category
        self._decider = decider
        self._codec = codec
        self._store = store
        self._keys = keys
        self._site = site
        self._now = now
        self._service = service
        self._append_seconds = telemetry.APPEND_SECONDS.labels(service)
        self._cache: OrderedDict[str, _Stream[S]] = OrderedDict()

    async def execute(
        self, id_: str, command: C | Callable[[S], C], origin: Origin, *, creates: bool = False
    ) -> Outcome[E]:
        """Decide and append.

        `command` may be a function of the state it is decided on. `creates` spares the look-up of a stream that should not exist.

        Raises Rejected (the decider's reasons, REQUEST_ID_REUSED, REVISION_CONFLICT), SubjectErased, StoreUnavailable.
        """
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream)
        if current is None:
            current = _Stream(self._decider.initial)
            if not creates:
                await self._refresh(stream, current)
        for _ in range(ATTEMPTS):
            if earlier := current.requests.get(origin.request_id):
                return await self._earlier(stream, earlier, origin)
            if origin.expected_revision is not None and origin.expected_revision != current.revision:
                # The cache may be behind another process; the caller's revision cannot be.
                await self._refresh(stream, current)
                if earlier := current.requests.get(origin.request_id):
                    return await self._earlier(stream, earlier, origin)
                if origin.expected_revision != current.revision:
                    raise Rejected(
                        "REVISION_CONFLICT", revision=str(current.revision), expected=str(origin.expected_revision)
                    )
            expected = current.revision
            try:
                asked = command(current.state) if callable(command) else command
                events = tuple(self._decider.decide(asked, current.state))
            except Rejected:
                # What was refused on a cached state may be right on the newest one, whichever command of ours fetches it.
                await self._refresh(stream, current)
                if current.revision != expected:
                    continue
                raise
            if not events:
                await self._refresh(stream, current)
                if current.revision != expected:
                    continue
                return Outcome((), current.revision, current.position)
            try:
                encoded = await self._encode(events, origin)
                with self._append_seconds.time():
                    appended = await self._store.append(stream, encoded, expected)
                for one in encoded:
                    telemetry.EVENTS.labels(self._service, one.type.rpartition(".")[2]).inc()
            except Conflict:
                await self._refresh(stream, current)
                continue
            if current.revision == expected:  # not refreshed by a concurrent command meanwhile
                for event in events:
                    current.state = self._decider.evolve(current.state, event)
                current.revision, current.position = appended.revision, appended.position
                request = _Request(origin.digest, expected + 1, appended.revision)
                current.requests[origin.request_id] = request
            self._remember(stream, current)
            return Outcome(events, appended.revision, appended.position)
        raise Conflict(stream, expected, current.revision)

    async def earlier(self, id_: str, origin: Origin) -> Outcome[E] | None:
        """What this request led to before, if the stream holds it. Raises Rejected REQUEST_ID_REUSED."""
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream) or _Stream(self._decider.initial)
        if origin.request_id not in current.requests:
            await self._refresh(stream, current)
        found = current.requests.get(origin.request_id)
        return await self._earlier(stream, found, origin) if found else None

    async def load(self, id_: str) -> tuple[S, int]:
        """The newest state and its revision; the initial state and NO_STREAM if there is no such stream."""
        stream = f"{self._category}-{id_}"
        current = self._cache.get(stream) or _Stream(self._decider.initial)
        await self._refresh(stream, current)
        return current.state, current.revision

    def known(self, id_: str) -> S:
        """The state as it was read last, without asking the store; the initial one if it never was."""
        current = self._cache.get(f"{self._category}-{id_}")
        return current.state if current else self._decider.initial

    async def read(self, id_: str) -> list[RecordedEvent]:
        return await self._store.read(f"{self._category}-{id_}")

    def _remember(self, stream: str, current: _Stream[S]) -> None:
        self._cache[stream] = current
        self._cache.move_to_end(stream)
        if len(self._cache) > CACHED_STREAMS:
            self._cache.popitem(last=False)

    async def _refresh(self, stream: str, current: _Stream[S]) -> None:
        """Fold what was stored since."""
        news = [e for e in await self._store.read(stream, current.revision) if e.revision > current.revision]
        for event in news:
            current.state = self._decider.evolve(current.state, self._codec.decode(event.type, event.data))
            current.revision, current.position = event.revision, event.position
            metadata = json.loads(event.metadata)
            if digest := metadata.get("request_hash"):
                current.requests[metadata["request_id"]] = _Request(digest, event.revision, event.revision)
            elif (request := current.requests.get(metadata["request_id"])) is not None:
                current.requests[metadata["request_id"]] = _Request(request.digest, request.first, event.revision)
        if current.revision > NO_STREAM:
            self._remember(stream, current)

    async def _earlier(self, stream: str, request: _Request, origin: Origin) -> Outcome[E]:
        if request.digest != origin.digest:
            raise Rejected("REQUEST_ID_REUSED", request_id=origin.request_id)
        stored = (await self._store.read(stream, request.first - 1))[: request.last - request.first + 1]
        events = tuple(self._codec.decode(event.type, event.data) for event in stored)
        return Outcome(events, stored[-1].revision, stored[-1].position)

    async def _encode(self, events: tuple[E, ...], origin: Origin) -> list[NewEvent]:
        subjects = self._codec.subjects(events)
        keys = await self._keys.keys(subjects, create=True) if subjects else {}
        now = self._now()
        encoded = []
        for index, event in enumerate(events):
            event_id, type_, data = self._codec.encode(event, UUID(origin.request_id), index, keys)
            # The first event remembers the request, so that another content under its id is noticed for ever.
            extra = {"request_hash": origin.digest} if index == 0 else {}
            encoded.append(NewEvent(event_id, type_, data, origin.metadata(self._site, now, **extra)))
        return encoded
